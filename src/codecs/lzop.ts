import { ExhumeError } from '../bytes/errors.js';
import { viewOf } from '../bytes/struct-table.js';
import { crc32 } from './crc.js';
import { decodeLzo1x } from './lzo1x.js';
import { adler32 } from './zlib.js';

const LZOP_MAGIC = [0x89, 0x4c, 0x5a, 0x4f, 0x00, 0x0d, 0x0a, 0x1a, 0x0a];
/** Flags of the header: which checksums stand beside each block, and whether there is an extra field or a filter. */
const ADLER32_DATA = 0x1;
const ADLER32_PACKED = 0x2;
const EXTRA_FIELD = 0x40;
const CRC32_DATA = 0x100;
const CRC32_PACKED = 0x200;
const FILTER = 0x800;

/**
 * A file of `lzop` (version 0x0940 and later, method LZO1X), as the kernel's build makes it; lib/decompress_unlzo.c.
 * All numbers are big endian. Gives how many bytes it made, at most as many as `into` has room for. Throws EXH_CODEC;
 * EXH_UNSUPPORTED_FORMAT for another method. What follows the end mark is not looked at.
 */
export function decodeLzop(compressed: Uint8Array, into: Uint8Array): number {
  const view = viewOf(compressed);
  if (compressed.length < 34 || LZOP_MAGIC.some((byte, i) => compressed[i] !== byte)) throw bad('no file begins here');
  const version = view.getUint16(9);
  if (version < 0x0940) throw bad(`version ${version.toString(16)}`);
  const method = compressed[15] as number;
  if (method < 1 || method > 3) throw new ExhumeError('EXH_UNSUPPORTED_FORMAT', `lzop: method ${method}`);
  const flags = view.getUint32(17);
  if ((flags & (FILTER | EXTRA_FIELD)) !== 0) {
    throw new ExhumeError('EXH_UNSUPPORTED_FORMAT', `lzop: flags ${flags.toString(16)}`);
  }
  // Mode, time in two words, the name with its length, a checksum.
  let at = 34 + (compressed[33] as number) + 4;
  const word = (): number => {
    if (at + 4 > compressed.length) throw bad('the file ends too soon');
    at += 4;
    return view.getUint32(at - 4);
  };
  let written = 0;
  for (;;) {
    const size = word();
    if (size === 0) return written;
    const packed = word();
    const adler = (flags & ADLER32_DATA) !== 0 ? word() : undefined;
    const crc = (flags & CRC32_DATA) !== 0 ? word() : undefined;
    // A block that did not shrink is stored, and has no second checksum.
    if (packed < size && (flags & ADLER32_PACKED) !== 0) word();
    if (packed < size && (flags & CRC32_PACKED) !== 0) word();
    if (packed > size || packed > compressed.length - at) throw bad('a block does not fit the file');
    if (size > into.length - written) throw bad(`more than ${into.length} bytes`);
    const bytes = compressed.subarray(at, at + packed);
    const made = into.subarray(written, written + size);
    if (packed === size) made.set(bytes);
    else decodeLzo1x(bytes, made);
    if (adler !== undefined && adler !== adler32(made)) throw bad('wrong checksum');
    if (crc !== undefined && crc !== crc32(made)) throw bad('wrong checksum');
    at += packed;
    written += size;
  }
}

function bad(problem: string): ExhumeError {
  return new ExhumeError('EXH_CODEC', `lzop: ${problem}`);
}
