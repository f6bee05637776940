import { codecError, type Decoder } from './codec.js';
import { xxh64 } from './xxh64.js';
import { type HuffmanTable, readLiterals } from './zstd-literals.js';
import { newSequenceState, runSequences } from './zstd-sequences.js';

const MAGIC = 0xfd2fb528;

/**
 * One Zstandard frame (RFC 8878), as in a kdump page with flag 0x20 (makedumpfile -z); without a dictionary.
 *
 * fzstd is not used: its loops over broken data go as far as the data says (up to 98,000 copies of up to 131,000 bytes
 * in one block, by its source), whatever the size of the output.
 */
export const decodeZstd: Decoder = (compressed, into) => {
  const frame = readFrameHeader(compressed, into.length);
  const end = compressed.length - (frame.checksum ? 4 : 0);
  let at = frame.next;
  let written = 0;
  let huffman: HuffmanTable | undefined;
  const sequences = newSequenceState();
  for (let last = false; !last; ) {
    if (at + 3 > end) throw codecError('zstd', 'the frame ends inside a block header', { offset: at });
    const header =
      (compressed[at] as number) | ((compressed[at + 1] as number) << 8) | ((compressed[at + 2] as number) << 16);
    last = (header & 1) !== 0;
    const kind = (header >> 1) & 3;
    const size = header >> 3;
    at += 3;
    const next = at + (kind === 1 ? 1 : size);
    if (kind === 3 || next > end) throw codecError('zstd', 'a block that does not fit the frame', { offset: at });
    if (kind < 2) {
      if (size > into.length - written) throw codecError('zstd', `more than ${into.length} bytes`, { offset: at });
      if (kind === 0) into.set(compressed.subarray(at, next), written);
      else into.fill(compressed[at] as number, written, written + size);
      written += size;
    } else {
      if (size === 0) throw codecError('zstd', 'an empty compressed block', { offset: at });
      const literals = readLiterals(compressed, at, next, into.length - written, huffman);
      huffman = literals.table;
      written = runSequences(compressed, literals.next, next, literals.bytes, sequences, into, written);
    }
    at = next;
  }
  if (at !== end) throw codecError('zstd', `${end - at} bytes after the last block`, { offset: at });
  if (written !== into.length) {
    throw codecError('zstd', `${written} bytes instead of ${into.length}`, { expected: into.length, found: written });
  }
  if (frame.checksum) {
    const stored = new DataView(compressed.buffer, compressed.byteOffset + end, 4).getUint32(0, true);
    const computed = Number(xxh64(into) & 0xffffffffn);
    if (stored !== computed) throw codecError('zstd', 'wrong checksum', { expected: stored, found: computed });
  }
};

interface FrameHeader {
  /** Offset of the first block. */
  readonly next: number;
  readonly checksum: boolean;
}

/** RFC 8878, 3.1.1.1. */
function readFrameHeader(bytes: Uint8Array, expected: number): FrameHeader {
  if (bytes.length < 6) throw codecError('zstd', `${bytes.length} bytes are too few for a frame`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  if (view.getUint32(0, true) !== MAGIC) throw codecError('zstd', 'no frame begins here', { offset: 0 });
  const descriptor = view.getUint8(4);
  if ((descriptor & 0x08) !== 0) throw codecError('zstd', 'a reserved bit of the frame header is set', { offset: 4 });
  const single = (descriptor & 0x20) !== 0;
  const dictionaryBytes = [0, 1, 2, 4][descriptor & 3] as number;
  const sizeBytes = [single ? 1 : 0, 2, 4, 8][descriptor >> 6] as number;
  const dictionaryAt = single ? 5 : 6;
  const sizeAt = dictionaryAt + dictionaryBytes;
  const next = sizeAt + sizeBytes;
  if (next > bytes.length) throw codecError('zstd', 'the frame ends inside its header', { offset: 4 });
  if (bytes.subarray(dictionaryAt, sizeAt).some((byte) => byte !== 0)) {
    throw codecError('zstd', 'the frame needs a dictionary', { offset: dictionaryAt });
  }
  if (sizeBytes > 0) {
    let size = sizeBytes === 2 ? 256 : 0;
    for (let i = 0; i < sizeBytes; i++) size += (bytes[sizeAt + i] as number) * 2 ** (8 * i);
    if (size !== expected) {
      throw codecError('zstd', `says ${size} bytes, expected ${expected}`, { offset: sizeAt, expected, found: size });
    }
  }
  return { next, checksum: (descriptor & 0x04) !== 0 };
}
