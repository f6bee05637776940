import type { Pfn } from '../bytes/address.js';
import type { PhysicalMemory } from '../dump/memory.js';
import type { PageBitmap } from '../dump/page-bitmap.js';
import { ThinnedMemory } from './thinned-memory.js';

/** Another memory with nothing but some of its pages. */
export class KeptMemory extends ThinnedMemory {
  constructor(
    under: PhysicalMemory,
    private readonly kept: PageBitmap,
  ) {
    super(under);
  }

  protected keeps(pfn: Pfn): boolean {
    return this.kept.has(pfn);
  }
}
