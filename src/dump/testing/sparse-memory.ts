import type { Pfn, PhysicalAddress } from '../../bytes/address.js';
import { joinRanges, type MissingState, type PageState, PhysicalMemory, type PhysicalRange } from '../memory.js';

/** Physical memory out of a few pages; all others are absent. */
export class SparseMemory extends PhysicalMemory {
  readonly pages = new Map<number, Uint8Array | MissingState>();
  /** Kept, as of so many pages. */
  private kept: { readonly pages: number; readonly ranges: readonly PhysicalRange[] } | undefined;

  constructor(readonly pageSize = 4096) {
    super();
  }

  /** The bytes of a page, made of zeros when it was not there; for writing. */
  at(pfn: number): Uint8Array {
    const known = this.pages.get(pfn);
    if (known instanceof Uint8Array) return known;
    const page = new Uint8Array(this.pageSize);
    this.pages.set(pfn, page);
    return page;
  }

  ranges(): readonly PhysicalRange[] {
    const { pages, pageSize } = this;
    if (this.kept?.pages !== pages.size) {
      const ranges = [...pages.keys()].map((pfn) => ({
        start: (pfn * pageSize) as PhysicalAddress,
        end: ((pfn + 1) * pageSize) as PhysicalAddress,
      }));
      this.kept = { pages: pages.size, ranges: joinRanges(ranges) };
    }
    return this.kept.ranges;
  }

  state(pfn: Pfn): PageState {
    const page = this.page(pfn);
    return typeof page === 'string' ? page : 'present';
  }

  page(pfn: Pfn): Uint8Array | MissingState {
    return this.pages.get(pfn) ?? 'absent';
  }
}

/** A page-table page in sparse memory, for writing entries into. */
export class TableWriter {
  private readonly view: DataView;

  constructor(
    memory: SparseMemory,
    readonly pfn: number,
  ) {
    const page = memory.at(pfn);
    this.view = new DataView(page.buffer, page.byteOffset, page.length);
  }

  /** Entry `index` leads to physical address `target` with these flag bits. */
  set(index: number, target: number | bigint, flags: bigint): this {
    this.view.setBigUint64(index * 8, BigInt(target) | flags, true);
    return this;
  }
}
