import type { SubBuffer, TraceStatistics } from '../model.js';
import { RecordCursor } from './sub-buffer.js';

/** The statistics of a CPU's part of which only the pages are left: what is in them, counted. */
export function countedStatistics(subBuffers: Iterable<SubBuffer>): TraceStatistics {
  const cursor = new RecordCursor(0n);
  let entries = 0;
  let bytes = 0;
  for (const sub of subBuffers) {
    cursor.open(sub);
    while (cursor.next()) entries++;
    bytes += sub.data.length;
  }
  return { entries, bytes, overrun: 0, commitOverrun: 0, droppedEvents: 0, readEvents: 0 };
}
