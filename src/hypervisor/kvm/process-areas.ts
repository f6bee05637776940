import type { MemoryArea } from '../../kernel/memory/address-space.js';

/** What stands behind an address of a process that its page table says nothing of. */
export type AreaKind =
  /** Memory of its own, never written to: zeros. */
  | 'zeros'
  /** A file, whose page may be in the page cache. */
  | 'file'
  /** Memory that is still to come from elsewhere (userfaultfd: a migration under way). */
  | 'awaited'
  /** Nothing is mapped there. */
  | 'none';

/** Finds pages of files that no page table leads to. A page frame number, or one of PAGE. */
export type FilePages = (area: MemoryArea, page: number) => number;

const VM_UFFD_MISSING = 0x200n;

/** The areas of a process, by page numbers (virtual addresses divided by 4096). */
export class ProcessAreas {
  private readonly starts: Float64Array;
  private readonly ends: Float64Array;
  private last = 0;

  /** @param areas ascending, not overlapping */
  constructor(
    private readonly areas: readonly MemoryArea[],
    private readonly filePages: FilePages,
  ) {
    this.starts = Float64Array.from(areas, ({ start }) => Number(start >> 12n));
    this.ends = Float64Array.from(areas, ({ end }) => Number(end >> 12n));
  }

  at(page: number): { readonly area: MemoryArea | undefined; readonly kind: AreaKind } {
    const area = this.areas[this.find(page)];
    return { area, kind: kindOf(area) };
  }

  /** What all of these pages are, where they are all alike. */
  kindOfAll(page: number, count: number): AreaKind | undefined {
    const at = this.find(page);
    if (at < 0) return this.nextStart(page) >= page + count ? 'none' : undefined;
    return (this.ends[at] as number) >= page + count ? kindOf(this.areas[at]) : undefined;
  }

  cachedPage(area: MemoryArea, page: number): number {
    return this.filePages(area, page);
  }

  /** Does one area, or several that touch, hold all of these pages? */
  covers(page: number, count: number): boolean {
    for (let at = page; at < page + count; ) {
      const found = this.find(at);
      if (found < 0) return false;
      at = this.ends[found] as number;
    }
    return true;
  }

  /** The area with this page; -1: none. */
  private find(page: number): number {
    const { starts, ends, last } = this;
    if (page >= (starts[last] as number) && page < (ends[last] as number)) return last;
    const at = this.after(page) - 1;
    if (at < 0 || page >= (ends[at] as number)) return -1;
    this.last = at;
    return at;
  }

  /** The first area that begins after this page. */
  private after(page: number): number {
    let low = 0;
    let high = this.starts.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.starts[middle] as number) <= page) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  private nextStart(page: number): number {
    return this.starts[this.after(page)] ?? Number.POSITIVE_INFINITY;
  }
}

function kindOf(area: MemoryArea | undefined): AreaKind {
  if (area === undefined) return 'none';
  if ((area.flags & VM_UFFD_MISSING) !== 0n) return 'awaited';
  return area.file === undefined && area.inode === 0n ? 'zeros' : 'file';
}
