import { ExhumeError } from '../bytes/errors.js';
import { viewOf } from '../bytes/struct-table.js';
import { crc32, crc64 } from './crc.js';
import { LzmaDecoder } from './lzma.js';
import { undoX86Filter } from './x86-filter.js';

const MAGIC = [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00];
const FILTER_X86 = 4;
const FILTER_LZMA2 = 0x21;
/** Bytes of the check behind a block, by its number: none, CRC-32, CRC-64, SHA-256; others are reserved. */
const CHECK_BYTES = [0, 4, 4, 4, 8, 8, 8, 16, 16, 16, 32, 32, 32, 64, 64, 64];

/**
 * An xz stream (xz-file-format.txt 1.2), as `xz` of the kernel's build makes it: LZMA2, alone or behind the filter for
 * x86 code. Gives how many bytes it made, at most as many as `into` has room for; CRC-32 and CRC-64 are checked, SHA-256 is not.
 * Throws EXH_CODEC for what is broken, EXH_UNSUPPORTED_FORMAT for other filters. What follows the stream is not looked at.
 */
export function decodeXz(compressed: Uint8Array, into: Uint8Array): number {
  const view = viewOf(compressed);
  if (compressed.length < 24 || MAGIC.some((byte, i) => compressed[i] !== byte)) throw xzError('no stream begins here');
  if (view.getUint32(8, true) !== crc32(compressed.subarray(6, 8)))
    throw xzError("wrong checksum of the stream's flags");
  const check = compressed[7] as number;
  if (compressed[6] !== 0 || check > 15) throw xzError('a flag of the stream is not known');
  let at = 12;
  let written = 0;
  for (;;) {
    if (at >= compressed.length) throw xzError('the stream ends before its index');
    if (compressed[at] === 0) break;
    const block = readBlockHeader(compressed, at);
    const decoder = new LzmaDecoder(into.subarray(written));
    const end = decodeLzma2(compressed, block.next, decoder);
    const made = into.subarray(written, written + decoder.written);
    if (block.x86) undoX86Filter(made);
    // Blocks are padded to four bytes from their header on.
    at += Math.ceil((end - at) / 4) * 4;
    const checkBytes = CHECK_BYTES[check] as number;
    if (at + checkBytes > compressed.length) throw xzError('the stream ends inside a check');
    verify(view, at, check, made);
    at += checkBytes;
    written += decoder.written;
  }
  return written;
}

function verify(view: DataView, at: number, check: number, made: Uint8Array): void {
  if (check === 1 && view.getUint32(at, true) !== crc32(made)) throw xzError('wrong checksum');
  if (check !== 4) return;
  const { low, high } = crc64(made);
  if (view.getUint32(at, true) !== low || view.getUint32(at + 4, true) !== high) throw xzError('wrong checksum');
}

interface BlockHeader {
  /** Where the block's data begins. */
  readonly next: number;
  readonly x86: boolean;
}

function readBlockHeader(bytes: Uint8Array, start: number): BlockHeader {
  const next = start + ((bytes[start] as number) + 1) * 4;
  if (next > bytes.length) throw xzError('the stream ends inside a block header');
  const header = bytes.subarray(start, next - 4);
  if (viewOf(bytes).getUint32(next - 4, true) !== crc32(header)) throw xzError('wrong checksum of a block header');
  const flags = header[1] as number;
  if ((flags & 0x3c) !== 0) throw xzError('a flag of a block is not known');
  let at = 2;
  /** Seven bits in each byte, the low ones first; a set top bit says that it goes on. */
  const number = (): number => {
    let value = 0;
    for (let scale = 1; at < header.length && scale < 2 ** 53; scale *= 128) {
      const byte = header[at++] as number;
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
    }
    throw xzError('a number in a block header does not end');
  };
  // Sizes, which the data tells as well.
  if ((flags & 0x40) !== 0) number();
  if ((flags & 0x80) !== 0) number();
  const filters: number[] = [];
  for (let left = (flags & 3) + 1; left > 0; left--) {
    filters.push(number());
    const properties = number();
    at += properties;
  }
  const x86 = filters.length === 2 && filters[0] === FILTER_X86;
  if (filters[filters.length - 1] !== FILTER_LZMA2 || (filters.length > 1 && !x86)) {
    throw new ExhumeError('EXH_UNSUPPORTED_FORMAT', `xz: filters ${filters.join(', ')}`, {
      expected: 'LZMA2, alone or behind the filter for x86 code',
    });
  }
  return { next, x86 };
}

/** Chunks up to the one that ends them; gives where the input goes on. */
function decodeLzma2(input: Uint8Array, start: number, decoder: LzmaDecoder): number {
  let at = start;
  let needsDictionary = true;
  let needsProperties = true;
  for (;;) {
    const control = input[at];
    if (control === undefined) throw xzError('the data ends before its end mark');
    if (control === 0) return at + 1;
    if (at + 6 > input.length) throw xzError('the data ends inside a chunk');
    const low = ((input[at + 1] as number) << 8) | (input[at + 2] as number);
    if (control === 1 || control >= 0xe0) {
      decoder.resetDictionary();
      needsDictionary = false;
    } else if (needsDictionary) throw xzError('the first chunk does not start a dictionary');
    if (control < 0x80) {
      if (control > 2) throw xzError(`a chunk of kind ${control}`);
      const next = at + 3 + low + 1;
      if (next > input.length) throw xzError('the data ends inside a chunk');
      decoder.copyPlain(input.subarray(at + 3, next));
      at = next;
      continue;
    }
    const unpacked = ((control & 0x1f) << 16) + low + 1;
    const packed = (((input[at + 3] as number) << 8) | (input[at + 4] as number)) + 1;
    at += 5;
    if (control >= 0xc0) {
      decoder.setProperties(input[at++] as number);
      needsProperties = false;
    } else if (needsProperties) throw xzError('a chunk without properties');
    else if (control >= 0xa0) decoder.resetState();
    const next = at + packed;
    if (next > input.length) throw xzError('the data ends inside a chunk');
    const target = decoder.written + unpacked;
    const end = decoder.decode(input, at, next, target);
    if (decoder.written !== target || end > next) throw xzError('a chunk makes another size than it says');
    at = next;
  }
}

function xzError(problem: string): ExhumeError {
  return new ExhumeError('EXH_CODEC', `xz: ${problem}`);
}
