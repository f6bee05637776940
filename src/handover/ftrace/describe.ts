import type { Pfn } from '../../bytes/address.js';
import { ExhumeError } from '../../bytes/errors.js';
import type { PhysicalMemory, PhysicalRange } from '../../dump/memory.js';
import { AreaSet, wholePages } from '../area-set.js';
import type { KhoBuildDescription, MemDescription, TreeDescription } from '../build/description.js';
import type { MemoryArea } from '../model.js';
import { PAGE } from '../source-reader.js';
import { type EventShape, eventNumbers } from './fingerprint.js';

/** What a kernel of the series of 2023/24 would hand over of its trace. */
export interface FtraceState {
  /** `tr->trace_flags`, as the kernel has them in memory. */
  readonly flags: Uint8Array;
  /** The instance's name; undefined: the top level. */
  readonly instance?: string | undefined;
  readonly rings: readonly FtraceRing[];
  /** All its kinds of events, in the order of its list. */
  readonly events: readonly EventShape[];
  /** `__TRACE_LAST_TYPE`: the first number that is not the same in each kernel. */
  readonly firstDynamic: number;
}

/** One CPU's ring, its pages in the order of their links. */
export interface FtraceRing {
  readonly cpu: number;
  readonly pages: readonly { readonly descriptor: MemoryArea; readonly page: MemoryArea }[];
}

/** What contents of the description call the memory of the kernel's dump; a file's offset is a physical address. */
export const DUMP_MEMORY = 'memory';

/** The scratch memory of `kho_scratch=`, tried from the largest on. */
const SCRATCH_SIZES = [64, 32, 16, 8, 4, 2, 1].map((size) => size << 20);

/**
 * What `exhume kho build` is to build of a kernel's trace: the tree that the series of 2023/24 writes, and the memory that it
 * names as the dump has it. Throws EXH_NO_SPACE when the machine has no room for scratch memory.
 */
export function describeFtrace(state: FtraceState, version: 'v2' | 'v3', memory: PhysicalMemory): KhoBuildDescription {
  const areas = state.rings.flatMap(({ pages }) => pages.flatMap(({ descriptor, page }) => [descriptor, page]));
  return {
    version: `2023-${version}`,
    direction: 'outgoing',
    scratch: [scratchFor(areas, memory.ranges())],
    users: [{ name: 'ftrace', tree: ftraceTree(state, version, memory) }],
  };
}

function ftraceTree(state: FtraceState, version: 'v2' | 'v3', memory: PhysicalMemory): TreeDescription {
  const [top, flags] = version === 'v2' ? ['global_trace', 'trace_flags'] : ['global-trace', 'trace-flags'];
  const numbers = eventNumbers(state.events, state.firstDynamic);
  const array = `/${state.instance ?? top}`;
  const mem = (area: MemoryArea): MemDescription => memOf(area, memory);
  return {
    '/': {
      compatible: 'ftrace-v1',
      events: { u32: numbers.flatMap(({ fingerprint = 0, id }) => [fingerprint, id]) },
    },
    [array]: {
      compatible: 'ftrace,array-v1',
      [flags]: { u32: Array.from(new Uint32Array(state.flags.slice().buffer)) },
    },
    ...Object.fromEntries(
      state.rings.map(({ cpu, pages }) => [
        `${array}/cpu${cpu.toString(16)}`,
        {
          compatible: 'ftrace,cpu-v1',
          cpu: { u32: cpu },
          mem: { mem: pages.flatMap(({ descriptor, page }) => [mem(descriptor), mem(page)]) },
        },
      ]),
    ),
  };
}

/** What the dump does not have, the handover does not have either. */
function memOf({ address, size }: MemoryArea, memory: PhysicalMemory): MemDescription {
  const end = Math.ceil((address + size) / PAGE);
  let content: MemDescription['content'] = { file: DUMP_MEMORY, offset: address, size };
  for (let pfn = Math.floor(address / PAGE); pfn < end; pfn++) {
    if (memory.state(pfn as Pfn) !== 'present') content = 'excluded';
  }
  return { address, size, content };
}

/** The highest stretch of RAM without preserved memory, of the largest size that leaves one; at a multiple of its size. */
function scratchFor(areas: readonly MemoryArea[], ram: readonly PhysicalRange[]): MemoryArea {
  const taken = new AreaSet(areas.map(wholePages));
  for (const size of SCRATCH_SIZES) {
    for (const { start, end } of [...ram].reverse()) {
      for (let address = Math.floor((end - size) / size) * size; address >= start && address > 0; address -= size) {
        const [clash] = taken.within({ address, size });
        if (clash === undefined) return { address, size };
      }
    }
  }
  throw new ExhumeError('EXH_NO_SPACE', 'no MiB of RAM in one piece is without a page of the trace');
}
