import type { Pfn } from '../bytes/address.js';
import { type MissingState, type PageState, PhysicalMemory, type PhysicalRange } from '../dump/memory.js';
import type { PageBitmap } from '../dump/page-bitmap.js';

/** Another memory with nothing but some of its pages: what a dump has from which the others were filtered. */
export class KeptMemory extends PhysicalMemory {
  readonly pageSize: number;

  constructor(
    private readonly under: PhysicalMemory,
    private readonly kept: PageBitmap,
  ) {
    super();
    this.pageSize = under.pageSize;
  }

  ranges(): readonly PhysicalRange[] {
    return this.under.ranges();
  }

  /** As told by the whole dump, so that answers which tell it are the same. */
  override presentBytes(): number {
    return this.under.presentBytes();
  }

  state(pfn: Pfn): PageState {
    const state = this.under.state(pfn);
    return state === 'present' && !this.kept.has(pfn) ? 'excluded' : state;
  }

  page(pfn: Pfn): Uint8Array | MissingState {
    const state = this.state(pfn);
    return state === 'present' ? this.under.page(pfn) : state;
  }
}
