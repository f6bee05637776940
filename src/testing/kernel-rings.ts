import type { Struct } from '../kernel/types/struct.js';
import type { SubBuffer } from '../trace/model.js';
import { readKernelBuffers } from '../trace/ring/kernel-buffers.js';
import type { DamagedView } from './damaged-view.js';

/** A ring of the sample, which holds nothing. */
export interface Ring {
  readonly ring: Struct;
  readonly reader: Struct;
  /** The pages of the ring, from its head on. */
  readonly pages: readonly Struct[];
}

/** A CPU's ring of the top level buffer. */
export function ringOf({ view }: DamagedView, cpu = 0): Ring {
  const [top] = readKernelBuffers(view, []);
  if (top === undefined) throw new Error('the sample has no top level buffer');
  const table = top.array.pointer('array_buffer.buffer->buffers');
  const ring = view.struct('ring_buffer_per_cpu', view.memory.pointer(table + BigInt(8 * cpu)));
  const reader = ring.follow('reader_page');
  const head = ring.follow('head_page');
  if (reader === undefined || head === undefined) throw new Error('the ring has no pages');
  const pages = [head];
  for (let page = head.follow('list.next'); page !== undefined && pages.length < ring.int('nr_pages'); ) {
    const next = view.struct('buffer_page', page.address & ~3n);
    pages.push(next);
    page = next.follow('list.next');
  }
  return { ring, reader, pages };
}

/** Writes a sub-buffer into a page as the kernel would. */
export function fill({ writeBytes, set }: DamagedView, page: Struct, { timestamp, data, consumed }: SubBuffer): void {
  const at = page.pointer('page');
  writeBytes(at, new Uint8Array(BigUint64Array.of(timestamp, BigInt(data.length)).buffer));
  writeBytes(at + 16n, data);
  set(page, 'read', consumed);
}
