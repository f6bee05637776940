import { type ByteSource, readUpTo } from '../../bytes/byte-source.js';
import { viewOf } from '../../bytes/struct-table.js';
import type { SubBuffer } from '../model.js';
import { PAGE_HEADER, pageOf } from './page.js';

/** So many bytes are read at once, or one sub-buffer where those are larger. */
const PIECE = 1 << 18;

/**
 * The sub-buffers of a copy of `per_cpu/cpuN/trace_pipe_raw`: one after the other, each of `size` bytes.
 * What is left at the end and no whole one is left out, as are those that say that they hold more than they do.
 */
export function rawPages(source: ByteSource, size: number, littleEndian: boolean): Iterable<SubBuffer> {
  const step = Math.max(1, Math.floor(PIECE / size)) * size;
  return subBuffersIn(
    (function* () {
      for (let at = 0; at < source.size; at += step) yield readUpTo(source, at, step);
    })(),
    size,
    littleEndian,
  );
}

/** The sub-buffers in pieces of bytes, none of which lies in two of them; empty ones left out. */
export function* subBuffersIn(
  pieces: Iterable<Uint8Array>,
  size: number,
  littleEndian: boolean,
): Generator<SubBuffer, void, undefined> {
  for (const piece of pieces) {
    for (let at = 0; at + PAGE_HEADER <= piece.length; at += size) {
      const bytes = piece.subarray(at, at + size);
      const page = pageOf(bytes, viewOf(bytes), littleEndian);
      if (page !== undefined && page.data.length > 0) yield page;
    }
  }
}
