import type { SubBuffer } from '../model.js';

/** `struct buffer_data_page`: u64 time_stamp, local_t commit; the records follow. The same in all kernels of 64 bits. */
export const PAGE_HEADER = 16;
/** In `commit`: events were lost before this page… */
const MISSED_EVENTS = 1 << 31;
/** …and their number, a long, stands behind the records. */
const MISSED_STORED = 1 << 30;
const COMMIT_MASK = ~(MISSED_EVENTS | MISSED_STORED);

/** How many bytes of records a page says that it holds; it may say more than it can. `view` is of its header at least. */
export function committedBytes(view: DataView, littleEndian: boolean): number {
  return view.getInt32(littleEndian ? 8 : 12, littleEndian) & COMMIT_MASK;
}

/**
 * A page of a ring buffer as a sub-buffer, whose data are those bytes themselves.
 * Undefined: it says that it holds more than the page does. Source: `kernel/trace/ring_buffer.c`.
 */
export function pageOf(bytes: Uint8Array, view: DataView, littleEndian: boolean): SubBuffer | undefined {
  const low = view.getInt32(littleEndian ? 8 : 12, littleEndian);
  const length = committedBytes(view, littleEndian);
  const end = PAGE_HEADER + length;
  if (end > bytes.length) return undefined;
  let lost = 0;
  if ((low & MISSED_EVENTS) !== 0) {
    lost = (low & MISSED_STORED) !== 0 && end + 8 <= bytes.length ? Number(view.getBigUint64(end, littleEndian)) : -1;
  }
  return {
    timestamp: view.getBigUint64(0, littleEndian),
    data: bytes.subarray(PAGE_HEADER, end),
    lost: Number.isSafeInteger(lost) ? lost : -1,
    consumed: 0,
  };
}
