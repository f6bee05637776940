import { IntervalIndex } from '../dump/intervals.js';
import type { PhysicalMemory } from '../dump/memory.js';
import { NestedMemory } from './control/nested-memory.js';
import { isSwapped, PAGE } from './kvm/process-pages.js';
import { SlotMemory, type SwapReader } from './kvm/slot-memory.js';

/**
 * Where a guest's pages lie in the dump of its host, of which it may be a guest's guest. Plain data: another thread that
 * has the same dump open needs not find the guest again.
 */
export interface GuestLayout {
  /** First page frame of each part of the guest's memory, and how many pages it has, by turns; ascending. */
  readonly parts: Float64Array;
  /** Runs of pages that are alike, ascending: the first page frame of each, and the first one after. */
  readonly starts: Float64Array;
  readonly ends: Float64Array;
  /** Where each begins: a page frame of the dump, which those of its other pages follow; or one of PAGE, or a place in swap. */
  readonly places: Float64Array;
  /** Some are in swap. */
  readonly swapped: boolean;
}

/** More runs than this are not handed around: each is 24 bytes. */
const MOST_RUNS = 4 * 2 ** 20;

/**
 * The layout of a guest's memory in the memory of a dump; undefined where it is of another kind, where pages are in the swap
 * of a guest that is a host, or where it is in more pieces than are worth it.
 */
export function layoutOf(memory: PhysicalMemory, dump: PhysicalMemory): GuestLayout | undefined {
  const locate = locator(memory, dump);
  if (locate === undefined) return undefined;
  const { pageSize } = memory;
  const parts: number[] = [];
  const starts: number[] = [];
  const ends: number[] = [];
  const places: number[] = [];
  let swapped = false;
  for (const { start, end } of memory.ranges()) {
    const first = start / pageSize;
    parts.push(first, (end - start) / pageSize);
    let expected = Number.NaN;
    for (let page = first; page < end / pageSize; page++) {
      const at = locate(page);
      if (Number.isNaN(at) || starts.length > MOST_RUNS) return undefined;
      if (page === first || at !== expected) {
        starts.push(page);
        ends.push(page);
        places.push(at);
      }
      ends[ends.length - 1] = page + 1;
      swapped ||= isSwapped(at);
      // Each place in swap is a run of its own.
      expected = at >= 0 ? at + 1 : isSwapped(at) ? Number.NaN : at;
    }
  }
  return { parts: shared(parts), starts: shared(starts), ends: shared(ends), places: shared(places), swapped };
}

/** It is not copied for each thread. */
function shared(values: readonly number[]): Float64Array {
  const array = new Float64Array(new SharedArrayBuffer(values.length * 8));
  array.set(values);
  return array;
}

/** Finds a page of a memory in the dump, through those between them; NaN: not to be told so. */
function locator(memory: PhysicalMemory, dump: PhysicalMemory): ((page: number) => number) | undefined {
  if (memory === dump) return (page) => page;
  if (!(memory instanceof SlotMemory || memory instanceof NestedMemory)) return undefined;
  const outer = locator(memory.host, dump);
  if (outer === undefined) return undefined;
  const direct = memory.host === dump;
  return (page) => {
    const at = memory instanceof SlotMemory ? memory.locate(page) : memory.hostFrame(page);
    if (typeof at === 'string') return PAGE[at];
    if (at < 0) return isSwapped(at) && !direct ? Number.NaN : at;
    return outer(at);
  };
}

/** The memory that a layout describes. */
export function memoryOf(layout: GuestLayout, dump: PhysicalMemory, swap: SwapReader): PhysicalMemory {
  const { parts } = layout;
  const pages = new Runs(layout);
  const slots = Array.from({ length: parts.length / 2 }, (_, i) => {
    const first = parts[i * 2] as number;
    return { first, pages: parts[i * 2 + 1] as number, processPage: first, pagesOf: pages };
  });
  return new SlotMemory(dump, slots, swap);
}

/** Pages by runs of them. */
class Runs {
  private readonly index: IntervalIndex;

  constructor(private readonly layout: GuestLayout) {
    this.index = IntervalIndex.build(layout.starts, layout.ends, (run) => -run);
  }

  at(page: number): number {
    const run = this.index.ownerAt(page);
    if (run < 0) return PAGE.absent;
    const at = this.layout.places[run] as number;
    return at >= 0 ? at + page - (this.layout.starts[run] as number) : at;
  }

  /** Nothing is said of chunks: who has the layout knows which pages it wants. */
  isUntouched(): boolean {
    return false;
  }
}
