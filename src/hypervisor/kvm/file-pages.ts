import { isExhumeError } from '../../bytes/errors.js';
import type { KernelView } from '../../kernel/kernel-view.js';
import type { MemoryArea } from '../../kernel/memory/address-space.js';
import { type PageLayout, readPageLayout } from '../../kernel/memory/page-layout.js';
import { pageArrayBase } from '../../kernel/memory/page-map.js';
import { noLayout } from '../../kernel/types/kernel-types.js';
import { xarrayEntries, xarrayValue } from '../../kernel/types/xarray.js';
import { PAGE, swappedPage } from './process-pages.js';

/** TMPFS_MAGIC and HUGETLBFS_MAGIC, include/uapi/linux/magic.h: files that are nowhere but in memory and swap. */
const TMPFS = 0x01021994n;
const HUGETLBFS = 0x958458f6n;
/** Indexes looked up together. */
const BLOCK = 512;
/** A swap entry in the page cache: the area's number in its upper bits (include/linux/swapops.h: SWP_TYPE_SHIFT). */
const SWAP_TYPE_SHIFT = 58n;
/** Orders of compound pages are below this. */
const ORDERS = 32;

/** A file's pages, where the page cache has them. */
export class FileCache {
  private readonly layout: PageLayout;
  private readonly pages: bigint;
  private block: { readonly mapping: bigint; readonly first: number; readonly pages: Float64Array } | undefined;

  /** Throws EXH_NO_LAYOUT where `struct page` or where the array of them lies is not known. */
  constructor(private readonly view: KernelView) {
    this.layout = readPageLayout(view.kernel);
    const base = pageArrayBase(view.kernel, this.layout.size);
    if (base === undefined) throw noLayout('one array of struct page');
    this.pages = base;
  }

  /** The page frame that holds a page of a file, or its place in swap; undefined: in neither. `index` counts pages. */
  at(mapping: bigint, index: number): number | undefined {
    const first = index - (index % BLOCK);
    if (this.block?.mapping !== mapping || this.block.first !== first) {
      this.block = { mapping, first, pages: this.read(mapping, first) };
    }
    const page = this.block.pages[index - first] as number;
    return Number.isNaN(page) ? undefined : page;
  }

  /** Holds it what belongs there, or is that still to be read? */
  isUptodate(frame: number): boolean {
    const bit = this.view.types.enumerator('PG_uptodate');
    if (bit === undefined) return false;
    const flags = this.view.memory.u64(this.pages + BigInt(frame * this.layout.size));
    return ((flags >> bit) & 1n) === 1n;
  }

  private read(mapping: bigint, first: number): Float64Array {
    const { view } = this;
    const pages = new Float64Array(BLOCK).fill(Number.NaN);
    const range = { from: BigInt(first), to: BigInt(first + BLOCK) };
    try {
      const entries = view.struct('address_space', mapping).addressOf('i_pages');
      for (const { index, entry } of xarrayEntries(view.memory, view.types, entries, range)) {
        const at = Number(index) - first;
        const value = xarrayValue(entry);
        if (value !== undefined) {
          if (at >= 0 && at < BLOCK) pages[at] = swapEntryPage(value);
          continue;
        }
        const frame = this.frameOf(entry);
        // A page of several: those after the first have no entry of their own.
        const count = this.pagesOf(entry);
        for (let i = Math.max(0, at); i < Math.min(BLOCK, at + count); i++) pages[i] = frame + i - at;
      }
    } catch (error) {
      if (!isExhumeError(error)) throw error;
      // What was found stands, of the rest it is not known where it is.
      for (let i = 0; i < BLOCK; i++) if (Number.isNaN(pages[i])) pages[i] = PAGE.lost;
    }
    return pages;
  }

  private frameOf(page: bigint): number {
    const distance = page - this.pages;
    const size = BigInt(this.layout.size);
    return distance < 0n || distance % size !== 0n ? PAGE.lost : Number(distance / size);
  }

  private pagesOf(page: bigint): number {
    const { head, compoundOrder } = this.layout;
    const word = this.view.memory.u32(page + BigInt(head.offset)) | 0;
    if ((word & head.mask) !== head.value) return 1;
    return 2 ** Math.min(this.view.memory.u8(page + BigInt(compoundOrder)), ORDERS);
  }
}

function swapEntryPage(value: bigint): number {
  const type = Number(value >> SWAP_TYPE_SHIFT);
  return swappedPage(type, value & ((1n << SWAP_TYPE_SHIFT) - 1n));
}

/**
 * Finds pages that a process mapped from a file and no page table leads to: in the page cache, or in swap. What a file
 * in memory (memfd, tmpfs, hugetlbfs) has nowhere was never written to: zeros. Of any other file it is on its disk.
 */
export function filePages(view: KernelView): (area: MemoryArea, page: number) => number {
  let cache: FileCache | undefined;
  const known = new Map<bigint, { readonly mapping: bigint; readonly magic: bigint } | undefined>();
  const fileOf = (area: MemoryArea): { readonly mapping: bigint; readonly magic: bigint } | undefined => {
    if (!known.has(area.address)) {
      const file = view.struct('vm_area_struct', area.address).follow('vm_file');
      known.set(
        area.address,
        file && { mapping: file.pointer('f_mapping'), magic: file.big('f_inode->i_sb->s_magic') },
      );
    }
    return known.get(area.address);
  };
  return (area, page) => {
    try {
      const file = fileOf(area);
      if (file === undefined) return PAGE.lost;
      cache ??= new FileCache(view);
      const index = page - Number(area.start >> 12n) + Number(area.offset >> 12n);
      const { mapping, magic } = file;
      if (magic !== HUGETLBFS) return cache.at(mapping, index) ?? (magic === TMPFS ? PAGE.untouched : PAGE.lost);
      // Its index counts huge pages before 6.7, pages since then: only where both have nothing it is clear.
      const found = [index - (index % BLOCK), Math.floor(index / BLOCK), Math.floor(index / BLOCK ** 2)].some(
        (at) => cache?.at(mapping, at) !== undefined,
      );
      return found ? PAGE.lost : PAGE.untouched;
    } catch (error) {
      if (!isExhumeError(error)) throw error;
      return PAGE.lost;
    }
  };
}
