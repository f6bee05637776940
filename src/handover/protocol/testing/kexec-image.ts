import { PAGE } from '../../source-reader.js';
import type { FrameMemory, Run } from './frames.js';

/** A piece of the next kernel, and where it is to lie. */
export interface Segment extends Run {
  readonly name: string;
  readonly bytes: Uint8Array;
}

/** 64 KiB: what the kernel asks of the handover's own segments. */
const HANDOVER_ALIGN = 16;

/**
 * Finds room for a segment as `kexec_locate_mem_hole` does with kexec handover: in scratch areas alone, whatever lies there
 * now, since it is copied there when everything else has stopped. From the top of an area down, beside other segments.
 */
export function locate(scratch: readonly Run[], taken: readonly Run[], count: number): number | undefined {
  for (const area of scratch) {
    let start = Math.floor((area.pfn + area.count - count) / HANDOVER_ALIGN) * HANDOVER_ALIGN;
    for (; start >= area.pfn; start -= HANDOVER_ALIGN) {
      const from = start;
      if (!taken.some(({ pfn, count: length }) => from < pfn + length && from + count > pfn)) return start;
    }
  }
  return undefined;
}

/** Adds a segment (`kexec_add_buffer`). False: no room for it. */
export function addSegment(segments: Segment[], scratch: readonly Run[], name: string, bytes: Uint8Array): boolean {
  const count = Math.max(1, Math.ceil(bytes.length / PAGE));
  const pfn = locate(scratch, segments, count);
  if (pfn === undefined) return false;
  segments.push({ name, pfn, count, bytes });
  return true;
}

/** What `relocate_kernel` does: the segments are copied to their places. */
export function copySegments(memory: FrameMemory, segments: readonly Segment[]): void {
  for (const { pfn, count, bytes } of segments) {
    for (let page = 0; page < count; page++) {
      memory.fill(pfn + page, bytes.subarray(page * PAGE, (page + 1) * PAGE));
    }
  }
}
