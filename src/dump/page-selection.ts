import type { PageBitmap } from './page-bitmap.js';

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
