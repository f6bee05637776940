import { type Damage, ExhumeError } from '../../bytes/errors.js';
import type { FtraceRing, FtraceState } from '../../handover/ftrace/describe.js';
import type { MemoryArea } from '../../handover/model.js';
import type { KernelView } from '../../kernel/kernel-view.js';
import { containerOf, type Struct } from '../../kernel/types/struct.js';
import type { VirtualMemory } from '../../machine/virtual-memory.js';
import { openKernelTrace } from '../kernel-trace.js';
import { countedStatistics } from '../ring/count.js';
import type { KernelRing } from '../ring/kernel-ring.js';
import { shapeOf } from './handover-trace.js';
import { firstDynamicEvent } from './target.js';

const LINK_FLAGS = 3n;

/** A kernel's trace as it would hand it over, and what of it would not cross. */
export interface KernelFtrace extends FtraceState {
  readonly cpus: readonly {
    readonly cpu: number;
    /** Events in the ring. */
    readonly kept: number;
    /** Events on the reader's page, which is not in the ring: they are not handed over. */
    readonly lost: number;
  }[];
  /** Known once the events were counted. */
  readonly damage: readonly Damage[];
}

/**
 * A buffer of the kernel in a dump, as `ring_buffer_kho_write()` of the series of 2023/24 walks it: from `cpu_buffer->pages`
 * on, once round. Throws EXH_NO_SYMBOL, EXH_NO_LAYOUT; EXH_USAGE for an instance that there is not, EXH_BAD_STRUCTURE for
 * rings that do not close.
 * @param instance undefined: the top level one, which is the one that the series writes
 */
export function kernelFtrace(view: KernelView, instance?: string): KernelFtrace {
  const trace = openKernelTrace(view);
  const buffer = trace.buffers.find((one) => one.instance === instance && !one.snapshot);
  if (buffer === undefined)
    throw new ExhumeError('EXH_USAGE', `the kernel has no buffer ${instance ?? 'at the top level'}`);
  const firstDynamic = firstDynamicEvent(view);
  if (firstDynamic === undefined) {
    throw new ExhumeError('EXH_NO_LAYOUT', "this kernel's type information has no enum trace_type", {
      expected: '__TRACE_LAST_TYPE',
    });
  }
  return {
    instance,
    flags: buffer.array.bytes('trace_flags'),
    rings: buffer.cpus.map((ring) => ringOf(view.memory, ring)),
    events: trace.formats.listed.map(shapeOf),
    firstDynamic,
    cpus: buffer.cpus.map((ring) => {
      const lost = countedStatistics(ring.readerPage()).entries;
      return { cpu: ring.cpu, kept: countedStatistics(ring.subBuffers()).entries - lost, lost };
    }),
    damage: [...trace.damage, ...buffer.damage],
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
