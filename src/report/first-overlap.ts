import type { MemoryArea } from '../handover/model.js';

/** Finds the first of many areas, which may overlap each other, that overlaps one. */
export class FirstOverlap<T extends MemoryArea> {
  /** The furthest end of the areas up to each. */
  private readonly ends: Float64Array;

  /** @param areas ascending by address */
  constructor(private readonly areas: readonly T[]) {
    let furthest = 0;
    this.ends = Float64Array.from(areas, ({ address, size }) => {
      furthest = Math.max(furthest, address + size);
      return furthest;
    });
  }

  of({ address, size }: MemoryArea): T | undefined {
    let low = 0;
    let high = this.areas.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.ends[middle] ?? 0) <= address) low = middle + 1;
      else high = middle;
    }
    const found = this.areas[low];
    return found !== undefined && found.address < address + size ? found : undefined;
  }
}
