import type { PhysicalAddress } from '../bytes/address.js';
import { IntervalIndex } from '../dump/intervals.js';
import { joinRanges, type PhysicalRange } from '../dump/memory.js';
import type { MemoryArea } from './model.js';

/** Memory that areas cover together, however they overlap. */
export class AreaSet {
  private readonly ranges: readonly PhysicalRange[];
  private readonly index: IntervalIndex;

  constructor(areas: Iterable<MemoryArea>) {
    const ranges: PhysicalRange[] = [];
    for (const { address, size } of areas) {
      ranges.push({ start: address as PhysicalAddress, end: (address + size) as PhysicalAddress });
    }
    this.ranges = joinRanges(ranges);
    this.index = IntervalIndex.of(this.ranges);
  }

  /** What it covers, ascending; areas that touch are one. */
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
