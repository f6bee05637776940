import { IntervalIndex } from '../../dump/intervals.js';
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
  private readonly index: IntervalIndex;

  /** @param areas ascending, not overlapping */
  constructor(
    private readonly areas: readonly MemoryArea[],
    private readonly filePages: FilePages,
  ) {
    this.index = IntervalIndex.of(
      areas.map(({ start, end }) => ({ start: Number(start >> 12n), end: Number(end >> 12n) })),
    );
  }

  at(page: number): { readonly area: MemoryArea | undefined; readonly kind: AreaKind } {
    const area = this.areas[this.index.ownerAt(page)];
    return { area, kind: kindOf(area) };
  }

  /** What all of these pages are, where they are all alike. */
  kindOfAll(page: number, count: number): AreaKind | undefined {
    const end = this.index.endOf(page);
    if (end === undefined) return this.index.nextStart(page) >= page + count ? 'none' : undefined;
    return end >= page + count ? this.at(page).kind : undefined;
  }

  cachedPage(area: MemoryArea, page: number): number {
    return this.filePages(area, page);
  }

  /** Does one area, or several that touch, hold all of these pages? */
  covers(page: number, count: number): boolean {
    for (let at = page; at < page + count; ) {
      const end = this.index.endOf(at);
      if (end === undefined) return false;
      at = end;
    }
    return true;
  }
}

function kindOf(area: MemoryArea | undefined): AreaKind {
  if (area === undefined) return 'none';
  if ((area.flags & VM_UFFD_MISSING) !== 0n) return 'awaited';
  return area.file === undefined && area.inode === 0n ? 'zeros' : 'file';
}
