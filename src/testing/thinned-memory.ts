import type { Pfn } from '../bytes/address.js';
import { type MissingState, type PageState, PhysicalMemory, type PhysicalRange } from '../dump/memory.js';

/** Another memory with some of its pages left out: what a dump has from which they were filtered. */
export abstract class ThinnedMemory extends PhysicalMemory {
  readonly pageSize: number;

  constructor(private readonly under: PhysicalMemory) {
    super();
    this.pageSize = under.pageSize;
  }

  /** Is a page that is there kept? */
  protected abstract keeps(pfn: Pfn): boolean;

  ranges(): readonly PhysicalRange[] {
    return this.under.ranges();
  }

  /** As told by the whole dump, so that answers which tell it are the same. */
  override presentBytes(): number {
    return this.under.presentBytes();
  }

  state(pfn: Pfn): PageState {
    const state = this.under.state(pfn);
    return state === 'present' && !this.keeps(pfn) ? 'excluded' : state;
  }

  page(pfn: Pfn): Uint8Array | MissingState {
    const state = this.state(pfn);
    return state === 'present' ? this.under.page(pfn) : state;
  }
}
