import type { Pfn } from '../bytes/address.js';
import { type MissingState, type PageState, PhysicalMemory, type PhysicalRange } from '../dump/memory.js';
import { PageBitmap } from '../dump/page-bitmap.js';

/**
 * Another memory that notes which of its pages were read: those that a new dump must hold for the same answers.
 * Whatever keeps pages or parsed structures must be opened anew over it, else reads that it answers are not seen.
 */
export class RecordingMemory extends PhysicalMemory {
  readonly pageSize: number;
  /** The pages that were there and were read. */
  readonly touched: PageBitmap;

  /**
   * @param searched where a search through all memory may look: what it reads is noted like everything else,
   * so these are the places where it is known to find something
   */
  constructor(
    private readonly under: PhysicalMemory,
    private readonly searched: readonly PhysicalRange[],
  ) {
    super();
    this.pageSize = under.pageSize;
    this.touched = PageBitmap.empty(Math.ceil((under.ranges().at(-1)?.end ?? 0) / under.pageSize));
  }

  ranges(): readonly PhysicalRange[] {
    return this.under.ranges();
  }

  override presentRanges(): readonly PhysicalRange[] {
    return this.searched;
  }

  override presentBytes(): number {
    return this.under.presentBytes();
  }

  state(pfn: Pfn): PageState {
    return this.under.state(pfn);
  }

  page(pfn: Pfn): Uint8Array | MissingState {
    const page = this.under.page(pfn);
    if (typeof page !== 'string') this.touched.add(pfn);
    return page;
  }
}
