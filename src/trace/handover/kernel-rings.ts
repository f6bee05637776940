import { type Damage, ExhumeError } from '../../bytes/errors.js';
import type { FtraceRing, FtraceState } from '../../handover/ftrace/write.js';
import type { MemoryArea } from '../../handover/model.js';
import type { KernelView } from '../../kernel/kernel-view.js';
import { containerOf, type Struct } from '../../kernel/types/struct.js';
import type { VirtualMemory } from '../../machine/virtual-memory.js';
import { openKernelTrace } from '../kernel-trace.js';
import type { TraceStatistics } from '../model.js';
import { countedStatistics } from '../ring/count.js';
import type { KernelRing } from '../ring/kernel-ring.js';
import { shapeOf } from './handover-trace.js';
import { firstDynamicEvent } from './target.js';

const LINK_FLAGS = 3n;

/** A kernel's trace as it would hand it over, and what of it would not cross. */
export interface KernelFtrace extends FtraceState {
  readonly cpus: readonly {
    readonly cpu: number;
    /** What is in the ring. */
    readonly kept: TraceStatistics;
    /** What is on the reader's page, which is not in the ring: it is not handed over. */
    readonly lost: TraceStatistics;
  }[];
  readonly damage: readonly Damage[];
}

/**
 * The top level buffer of the kernel in a dump, as `ring_buffer_kho_write()` of the series of 2023/24 walks it: from
 * `cpu_buffer->pages` on, once round. Throws EXH_NO_SYMBOL, EXH_NO_LAYOUT; EXH_BAD_STRUCTURE for rings that do not close.
 */
export function kernelFtrace(view: KernelView): KernelFtrace {
  const trace = openKernelTrace(view);
  const top = trace.buffers.find(({ instance, snapshot }) => instance === undefined && !snapshot);
  if (top === undefined) throw new ExhumeError('EXH_BAD_STRUCTURE', 'the kernel has no top level trace buffer');
  const last = firstDynamicEvent(view);
  if (last === undefined) {
    throw new ExhumeError('EXH_NO_LAYOUT', "this kernel's type information has no enum trace_type", {
      expected: '__TRACE_LAST_TYPE',
    });
  }
  const rings = top.cpus.map((ring) => ringOf(view.memory, ring));
  const cpus = top.cpus.map((ring) => {
    const all = countedStatistics(ring.subBuffers());
    const lost = countedStatistics(ring.readerPage());
    const kept = { ...all, entries: all.entries - lost.entries, bytes: (all.bytes ?? 0) - (lost.bytes ?? 0) };
    return { cpu: ring.cpu, kept, lost };
  });
  return {
    flags: top.array.bytes('trace_flags'),
    rings,
    events: trace.formats.all.map(shapeOf),
    firstDynamic: last,
    cpus,
    damage: [...trace.damage, ...top.damage],
  };
}

function ringOf(memory: VirtualMemory, { cpu, ring, size }: KernelRing): FtraceRing {
  const pages: { descriptor: MemoryArea; page: MemoryArea }[] = [];
  const count = ring.int('nr_pages');
  const first = ring.pointer('pages') & ~LINK_FLAGS;
  const type = ring.follow('reader_page')?.type;
  if (type === undefined) throw new ExhumeError('EXH_BAD_STRUCTURE', `the ring of CPU ${cpu} has no reader's page`);
  let link = first;
  do {
    if (pages.length >= count) {
      throw new ExhumeError(
        'EXH_BAD_STRUCTURE',
        `the ring of CPU ${cpu} has more pages than the ${count} that it tells`,
      );
    }
    const page: Struct = containerOf(memory, type, 'list', link);
    pages.push({
      descriptor: { address: physicalOf(memory, page.address), size: type.size },
      page: { address: physicalOf(memory, page.pointer('page')), size },
    });
    link = page.pointer('list.next') & ~LINK_FLAGS;
  } while (link !== first);
  return { cpu, pages };
}

function physicalOf(memory: VirtualMemory, address: bigint): number {
  const physical = memory.translate(address as Parameters<VirtualMemory['translate']>[0]);
  if (physical !== undefined) return physical;
  throw new ExhumeError('EXH_BAD_ADDRESS', `0x${address.toString(16)} is nowhere in physical memory`, { address });
}
