import { isExhumeError } from '../../bytes/errors.js';
import type { KernelView } from '../kernel-view.js';
import type { Struct } from '../types/struct.js';

/** An object of the slab allocator, or the space for one. */
export interface SlabObject {
  /** The cache's name. */
  readonly cache: string;
  /** Where the object begins; with debugging there may be room for a red zone before what its user sees. */
  readonly start: bigint;
  /** In bytes, with all that the allocator adds. */
  readonly size: number;
}

/** `PGTY_slab`'s place in `page_type`; include/linux/page-flags.h since 6.12. */
const TYPE_SHIFT = 24;

/** The `struct page` of every page, in the array that x86-64 keeps at `vmemmap_base`. */
export class PageArray {
  private readonly base: bigint;
  private readonly directMap: bigint | undefined;
  private readonly pageSize: bigint;
  private readonly entrySize: bigint;
  private readonly slabType: string;
  private readonly isSlab: (page: Struct) => boolean;

  /** Throws EXH_NO_SYMBOL without `vmemmap_base`, EXH_NO_LAYOUT without types. */
  constructor(private readonly view: KernelView) {
    const { types, memory, kernel } = view;
    this.base = memory.pointer(view.address('vmemmap_base'));
    this.directMap = kernel.directMap;
    this.pageSize = BigInt(memory.physical.pageSize);
    this.entrySize = BigInt(types.requireStruct('page').size);
    this.slabType = types.struct('slab')?.field('slab_cache') === undefined ? 'page' : 'slab';
    const bit = types.enumeration('pageflags')?.get('PG_slab');
    const type = types.enumeration('pagetype')?.get('PGTY_slab');
    this.isSlab = (page) =>
      bit !== undefined
        ? ((page.big('flags') >> bit) & 1n) === 1n
        : type !== undefined && page.int('page_type') >>> TYPE_SHIFT === Number(type);
  }

  /** The description of a page, by its number. */
  page(pfn: bigint): Struct {
    return this.view.struct('page', this.base + pfn * this.entrySize);
  }

  /** The object of a slab cache that an address of the direct map lies in; undefined for any other address. */
  slabObject(address: bigint): SlabObject | undefined {
    const { directMap, pageSize } = this;
    if (directMap === undefined || address < directMap) return undefined;
    const pfn = (address - directMap) / pageSize;
    if (!this.isMemory(pfn)) return undefined;
    try {
      const head = this.head(this.page(pfn));
      if (!this.isSlab(head)) return undefined;
      const cache = this.view.struct(this.slabType, head.address).follow('slab_cache');
      if (cache === undefined) return undefined;
      const size = cache.int('size');
      const first = directMap + ((head.address - this.base) / this.entrySize) * pageSize;
      const index = size === 0 ? 0n : (address - first) / BigInt(size);
      return { cache: cache.string('name', 128), start: first + index * BigInt(size), size };
    } catch (error) {
      if (isExhumeError(error)) return undefined;
      throw error;
    }
  }

  private isMemory(pfn: bigint): boolean {
    const at = Number(pfn * this.pageSize);
    return this.view.memory.physical.ranges().some(({ start, end }) => at >= start && at < end);
  }

  /**
   * The first page of a block. A tail page has bit 0 set in the word beside its flags, which else is the head's address;
   * since 7.1 it may be a mask that makes the head's address of the tail's (include/linux/page-flags.h, `_compound_head()`).
   */
  private head(page: Struct): Struct {
    const member = page.has('compound_head') ? 'compound_head' : 'compound_info';
    const word = page.has(member) ? page.big(member) : 0n;
    if ((word & 1n) === 0n) return page;
    const told = word - 1n;
    return this.view.struct('page', told <= page.address ? told : page.address & told);
  }
}
