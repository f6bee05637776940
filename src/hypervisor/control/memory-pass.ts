import { type PhysicalMemory, PRESENT } from '../../dump/memory.js';

const PAGE = 4096;
/** Pages read at once: 1 MiB. */
const CHUNK = 256;

/**
 * One pass over all memory that is there, in large reads. `look` is given some pages: as bytes and as 32-bit words (both of
 * the same buffer, which is used again), the physical address of the first, and how many bytes are good.
 */
export function passOver(
  memory: PhysicalMemory,
  look: (words: Int32Array, bytes: Uint8Array, address: number, length: number) => void,
): void {
  const bytes = new Uint8Array(CHUNK * PAGE);
  const words = new Int32Array(bytes.buffer);
  const states = new Uint8Array(CHUNK);
  for (const { start, end } of memory.presentRanges()) {
    const last = Math.floor(end / PAGE);
    for (let first = Math.ceil(start / PAGE); first < last; ) {
      const count = Math.min(CHUNK, last - first);
      memory.states(first, states.subarray(0, count));
      let from = 0;
      while (from < count && states[from] !== PRESENT) from++;
      let to = from;
      while (to < count && states[to] === PRESENT) to++;
      if (to > from) {
        const got = memory.readPages(first + from, bytes.subarray(0, (to - from) * PAGE));
        if (got > 0) look(words, bytes, (first + from) * PAGE, got * PAGE);
        // A page that is said to be there and cannot be read is passed over.
        to = from + Math.max(got, 1);
      }
      first += Math.max(to, 1);
    }
  }
}
