import { ExhumeError } from '../bytes/errors.js';
import { viewOf } from '../bytes/struct-table.js';
import { decodeLz4 } from './lz4.js';

const LZ4_LEGACY_MAGIC = 0x184c2102;
/** What each block but the last one holds (LEGACY_BLOCKSIZE). */
const BLOCK_BYTES = 8 << 20;

/**
 * An LZ4 file of the legacy format, as `lz4 -l` of the kernel's build makes it (lz4_Frame_format.md): a magic number, then
 * blocks with their packed size, each of 8 MiB but the last. It must make as many bytes as `into` has.
 * Throws EXH_CODEC.
 */
export function decodeLz4Legacy(compressed: Uint8Array, into: Uint8Array): number {
  const view = viewOf(compressed);
  if (compressed.length < 8 || view.getUint32(0, true) !== LZ4_LEGACY_MAGIC) throw bad('no file begins here');
  let at = 4;
  for (let written = 0; written < into.length; written += BLOCK_BYTES) {
    if (at + 4 > compressed.length) throw bad('the file ends before its last block');
    const size = view.getUint32(at, true);
    // Files that were written one after another have a magic number each.
    if (size === LZ4_LEGACY_MAGIC) throw bad('more than one file');
    const next = at + 4 + size;
    if (next > compressed.length) throw bad('the file ends inside a block');
    decodeLz4(compressed.subarray(at + 4, next), into.subarray(written, written + BLOCK_BYTES));
    at = next;
  }
  if (at !== compressed.length) throw bad(`${compressed.length - at} bytes after the last block`);
  return into.length;
}

function bad(problem: string): ExhumeError {
  return new ExhumeError('EXH_CODEC', `lz4 (legacy): ${problem}`);
}
