import { ByteWriter } from '../../bytes/byte-writer.js';
import { ExhumeError } from '../../bytes/errors.js';
import { joinRanges, type PhysicalRange } from '../../dump/memory.js';
import { type NewNode, type NewProperty, writeFdt } from '../fdt/fdt-write.js';
import type { MemoryArea } from '../model.js';
import { memValue } from '../series-2023/mem.js';
import { PAGE } from '../source-reader.js';
import { type EventShape, eventNumbers, eventsValue } from './fingerprint.js';

/** What a kernel of the series of 2023/24 would hand over of its trace. */
export interface FtraceState {
  /** `tr->trace_flags`, as the kernel has them in memory. */
  readonly flags: Uint8Array;
  readonly rings: readonly FtraceRing[];
  /** All its kinds of events. */
  readonly events: readonly EventShape[];
  /** `__TRACE_LAST_TYPE`: the first number that is not the same in each kernel. */
  readonly firstDynamic: number;
}

/** One CPU's ring, its pages in the order of their links. */
export interface FtraceRing {
  readonly cpu: number;
  readonly pages: readonly { readonly descriptor: MemoryArea; readonly page: MemoryArea }[];
}

/** What is placed in memory for the next kernel. */
export interface FtraceHandover {
  /** Memory that the next kernel may use at once; the tree and the cache lie in it. */
  readonly scratch: MemoryArea;
  readonly tree: MemoryArea;
  readonly blob: Uint8Array;
  /** `struct kho_mem[]`: all memory that the tree names, in whole pages, sorted, joined. */
  readonly cache: MemoryArea;
  readonly cacheBytes: Uint8Array;
  /** What the cache lists. */
  readonly preserved: readonly MemoryArea[];
}

/** kexec places what it hands over at multiples of this. */
const SEGMENT_ALIGN = 1 << 16;
/** The scratch memory of `kho_scratch=`, tried from the largest on. */
const SCRATCH_SIZES = [256, 128, 64, 32, 16, 8, 4, 2, 1].map((size) => size << 20);

/**
 * Writes the handover of a trace as versions 2 and 3 of the series of 2023/24 do, and places it in scratch memory where nothing
 * preserved is. Throws EXH_NO_SPACE when the machine has no room for it.
 * @param ram of the machine
 */
export function writeFtraceHandover(
  state: FtraceState,
  version: 'v2' | 'v3',
  ram: readonly PhysicalRange[],
): FtraceHandover {
  const blob = writeFdt({ root: ftraceTree(state, version) });
  const areas = state.rings.flatMap(({ pages }) => pages.flatMap(({ descriptor, page }) => [descriptor, page]));
  const preserved = joinRanges(areas.map(wholePages)).map(({ start, end }) => ({ address: start, size: end - start }));
  const cacheBytes = memValue(preserved);
  const room = segment(blob.length) + segment(cacheBytes.length);
  const scratch = scratchFor(preserved, ram, room);
  const end = scratch.address + scratch.size;
  const tree = { address: end - segment(blob.length), size: blob.length };
  const cache = { address: tree.address - segment(cacheBytes.length), size: cacheBytes.length };
  return { scratch, tree, blob, cache, cacheBytes, preserved };
}

/** The tree's root. */
function ftraceTree(state: FtraceState, version: 'v2' | 'v3'): NewNode {
  const [array, flags] = version === 'v2' ? ['global_trace', 'trace_flags'] : ['global-trace', 'trace-flags'];
  const cpus = state.rings.map(
    ({ cpu, pages }): NewNode => ({
      name: `cpu${cpu.toString(16)}`,
      properties: [
        compatible('ftrace,cpu-v1'),
        { name: 'cpu', value: new ByteWriter().u32(cpu).bytes },
        { name: 'mem', value: memValue(pages.flatMap(({ descriptor, page }) => [descriptor, page])) },
      ],
      children: [],
    }),
  );
  const events = eventsValue(eventNumbers(state.events, state.firstDynamic));
  return {
    name: '',
    properties: [compatible('kho-v1')],
    children: [
      {
        name: 'ftrace',
        properties: [compatible('ftrace-v1'), { name: 'events', value: events }],
        children: [
          {
            name: array,
            properties: [compatible('ftrace,array-v1'), { name: flags, value: state.flags }],
            children: cpus,
          },
        ],
      },
    ],
  };
}

function compatible(value: string): NewProperty {
  return { name: 'compatible', value: new ByteWriter().string(value).bytes };
}

function wholePages({ address, size }: MemoryArea): PhysicalRange {
  const start = Math.floor(address / PAGE) * PAGE;
  return { start, end: Math.ceil((address + size) / PAGE) * PAGE } as PhysicalRange;
}

function segment(size: number): number {
  return Math.ceil(size / SEGMENT_ALIGN) * SEGMENT_ALIGN;
}

/** The highest stretch of RAM without preserved memory, of the largest size that leaves one; at a multiple of its size. */
function scratchFor(preserved: readonly MemoryArea[], ram: readonly PhysicalRange[], room: number): MemoryArea {
  const gaps = gapsOf(preserved, ram);
  for (const size of SCRATCH_SIZES) {
    if (size < room) break;
    for (const { start, end } of [...gaps].reverse()) {
      const address = Math.floor((end - size) / size) * size;
      if (address >= start && address > 0) return { address, size };
    }
  }
  throw new ExhumeError('EXH_NO_SPACE', `no ${room} bytes of RAM in one piece are without a page of the trace`, {
    expected: room,
  });
}

function gapsOf(preserved: readonly MemoryArea[], ram: readonly PhysicalRange[]): { start: number; end: number }[] {
  const gaps: { start: number; end: number }[] = [];
  for (const { start, end } of ram) {
    let at: number = start;
    for (const area of preserved) {
      if (area.address + area.size <= at || area.address >= end) continue;
      gaps.push({ start: at, end: area.address });
      at = area.address + area.size;
    }
    gaps.push({ start: at, end });
  }
  return gaps;
}
