import type { PhysicalAddress } from '../bytes/address.js';
import { IntervalIndex } from '../dump/intervals.js';
import { joinRanges, type PhysicalRange } from '../dump/memory.js';
import type { MemoryArea } from './model.js';
import { PAGE } from './source-reader.js';

/** Memory that areas cover together, however they overlap. */
export class AreaSet {
  /** What it covers, ascending; those that touch are one. */
  readonly ranges: readonly PhysicalRange[];
  private readonly index: IntervalIndex;

  constructor(areas: Iterable<MemoryArea>) {
    const ranges: PhysicalRange[] = [];
    for (const { address, size } of areas) {
      ranges.push({ start: address as PhysicalAddress, end: (address + size) as PhysicalAddress });
    }
    this.ranges = joinRanges(ranges);
    this.index = IntervalIndex.of(this.ranges);
  }

  /** The same of memory that is told by its ends. */
  static ofRanges(ranges: readonly PhysicalRange[]): AreaSet {
    return new AreaSet(ranges.map(({ start, end }) => ({ address: start, size: end - start })));
  }

  /** `ranges` as areas. */
  *areas(): Generator<MemoryArea> {
    for (const { start, end } of this.ranges) yield { address: start, size: end - start };
  }

  /** The parts of an area that it covers. */
  *within({ address, size }: MemoryArea): Generator<MemoryArea> {
    for (let index = this.index.at(address); ; index++) {
      const range = this.ranges[index];
      if (range === undefined || range.start >= address + size) return;
      const start = Math.max(range.start, address);
      yield { address: start, size: Math.min(range.end, address + size) - start };
    }
  }

  covers(address: number): boolean {
    return this.index.endOf(address) !== undefined;
  }

  /** Where that ends which covers an address; the address itself when nothing does. */
  endOf(address: number): number {
    return this.index.endOf(address) ?? address;
  }

  /** The parts of an area that it does not cover. */
  *gaps(area: MemoryArea): Generator<MemoryArea> {
    let at = area.address;
    for (const { address, size } of this.within(area)) {
      if (address > at) yield { address: at, size: address - at };
      at = address + size;
    }
    const end = area.address + area.size;
    if (at < end) yield { address: at, size: end - at };
  }
}

/** The pages that an area lies in. */
export function wholePages({ address, size }: MemoryArea): MemoryArea {
  const start = Math.floor(address / PAGE) * PAGE;
  return { address: start, size: Math.ceil((address + size - start) / PAGE) * PAGE };
}

/** What areas have in common with those before them; they ascend by address. */
export function* overlaps(areas: Iterable<MemoryArea>): Generator<MemoryArea> {
  let furthest = 0;
  for (const { address, size } of areas) {
    if (address < furthest) yield { address, size: Math.min(furthest, address + size) - address };
    furthest = Math.max(furthest, address + size);
  }
}
