import type { PageBitmap } from './page-bitmap.js';
import type { PageChunk } from './page-chunk.js';

/**
 * Which pages a new dump has: `written` is a part of `described`, and both are for equally many pfns.
 * Pages that are described and not written are excluded: recorded as such, and never as zeros.
 */
export interface PageSelection {
  /** RAM: a page of which only a part is RAM counts. */
  readonly described: PageBitmap;
  /** Pages whose content is in the dump. A DumpWriter must be given each of them, in ascending order. */
  readonly written: PageBitmap;
  /** How many pages `written` holds. */
  readonly count: number;
}

/** Holds a DumpWriter's caller to the selection: a page too many or too few would make a dump that lies. */
export class SelectionCheck {
  /** The pfn that must come next. */
  private next: number;

  /** Only the pages from `start` to before `end` are to come. */
  constructor(
    private readonly written: PageBitmap,
    start = 0,
    private readonly end = written.length,
  ) {
    this.next = written.next(start);
  }

  /** The next page. Throws Error when it is not the one that must come. */
  page(pfn: number): void {
    if (pfn !== this.next || pfn >= this.end) {
      throw new Error(`page ${pfn} was given to be written where page ${this.next} must come (up to ${this.end})`);
    }
    this.next = this.written.next(pfn + 1);
  }

  /** Throws Error when a chunk has not as many bytes as its pages. */
  bytes({ sizes, data }: PageChunk): void {
    let sum = 0;
    for (let i = 0; i < sizes.length; i++) sum += sizes[i] as number;
    if (sum !== data.length) throw new Error(`a chunk of pages of ${sum} bytes has ${data.length}`);
  }

  /** Throws Error when pages are missing. */
  done(): void {
    if (this.next < this.end) throw new Error(`page ${this.next} was to be written, and was not`);
  }
}
