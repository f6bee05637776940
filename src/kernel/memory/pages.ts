import { type VirtualAddress, virtualAddress } from '../../bytes/address.js';
import { isExhumeError } from '../../bytes/errors.js';
import { viewOf } from '../../bytes/struct-table.js';
import type { KernelView } from '../kernel-view.js';
import { noLayout } from '../types/kernel-types.js';
import type { Struct } from '../types/struct.js';
import { type PageLayout, readPageLayout } from './page-layout.js';
import { pageArrayBase } from './page-map.js';

/** An object of the slab allocator, or the space for one. */
export interface SlabObject {
  /** The cache's name. */
  readonly cache: string;
  /** Where the object begins; with debugging there may be room for a red zone before what its user sees. */
  readonly start: bigint;
  /** In bytes, with all that the allocator adds. */
  readonly size: number;
}

/** A page of memory, by its `struct page`. */
export interface PageDescription {
  readonly address: VirtualAddress;
  readonly physical: number;
  /** `flags`: node and zone in the upper bits. */
  readonly flags: bigint;
  /** Those of them that are set, without `PG_`. */
  readonly names: readonly string[];
  readonly mapping: bigint;
  readonly index: bigint | undefined;
  /** How many hold it; 0: it is free. */
  readonly references: number;
}

/** Structures read at once: a page of them where they are of 64 bytes. */
const PAGES_AT_ONCE = 64;

/** `page.index`, by the names that it has had. */
const INDEXES = ['index', '__folio_index'];

/** The `struct page` of every page, where the kernel has one array of them (vmemmap, as x86-64 and arm64 have). */
export class PageArray {
  private readonly base: bigint;
  private readonly directMap: bigint | undefined;
  private readonly pageSize: bigint;
  private readonly entrySize: bigint;
  private readonly slabType: string;
  private readonly flagNames: readonly (readonly [bit: bigint, name: string])[];
  private readonly layout: PageLayout;

  /** Throws EXH_NO_LAYOUT without types, or where there is no such array. */
  constructor(private readonly view: KernelView) {
    const { types, memory, kernel } = view;
    this.layout = readPageLayout(kernel);
    const base = pageArrayBase(kernel, this.layout.size);
    if (base === undefined) throw noLayout('one array of struct page for all of memory');
    this.base = base;
    this.directMap = kernel.directMap;
    this.pageSize = BigInt(memory.physical.pageSize);
    this.entrySize = BigInt(types.requireStruct('page').size);
    this.slabType = types.struct('slab')?.field('slab_cache') === undefined ? 'page' : 'slab';
    // Several names may stand for one bit; the first is what it is called first.
    const named = new Map<bigint, string>();
    for (const [name, bit] of types.enumeration('pageflags') ?? []) {
      if (name.startsWith('PG_') && !named.has(bit)) named.set(bit, name.slice(3));
    }
    this.flagNames = [...named];
  }

  /** The description of a page, by its number. */
  page(pfn: bigint): Struct {
    return this.view.struct('page', this.base + pfn * this.entrySize);
  }

  /**
   * What the kernel noted of the page that a physical address lies in; undefined outside memory.
   * Throws memory's errors where the array is not in the dump.
   */
  facts(physical: number): PageDescription | undefined {
    const pfn = BigInt(physical) / this.pageSize;
    if (!this.isMemory(pfn)) return undefined;
    const page = this.page(pfn);
    const flags = page.big('flags');
    return {
      address: page.address,
      physical: Number(pfn * this.pageSize),
      flags,
      names: this.flagNames.flatMap(([bit, name]) => (((flags >> bit) & 1n) === 1n ? [name] : [])),
      mapping: page.big('mapping'),
      index: INDEXES.filter((name) => page.has(name)).map((name) => page.big(name))[0],
      references: page.int(page.has('_refcount.counter') ? '_refcount.counter' : '_refcount'),
    };
  }

  /** The page that the address of a `struct page` in the array stands for, by its physical address. */
  physicalOf(page: bigint): number | undefined {
    const pfn = (page - this.base) / this.entrySize;
    return page >= this.base && this.isMemory(pfn) ? Number(pfn * this.pageSize) : undefined;
  }

  /** The physical address that one of the direct map is for; undefined for any other address. */
  ofDirectMap(address: bigint): number | undefined {
    const { directMap } = this;
    if (directMap === undefined || address < directMap) return undefined;
    return this.isMemory((address - directMap) / this.pageSize) ? Number(address - directMap) : undefined;
  }

  /** The object of a slab cache that an address of the direct map lies in; undefined for any other address. */
  slabObject(address: bigint): SlabObject | undefined {
    const { directMap, pageSize } = this;
    const physical = this.ofDirectMap(address);
    if (directMap === undefined || physical === undefined) return undefined;
    const pfn = BigInt(physical) / pageSize;
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

  /**
   * The addresses of all places for objects in a cache's slabs, in use or free, those included whose own pages are not in
   * the dump. Looks at the `struct page` of every page: slabs that are full are on no list. What of those is not in the
   * dump is passed over.
   */
  *objectsOf(cache: Struct): Generator<VirtualAddress> {
    const { directMap, view } = this;
    const size = BigInt(cache.int('size'));
    const pad = cache.has('red_left_pad') ? BigInt(cache.int('red_left_pad')) : 0n;
    if (directMap === undefined || size === 0n) return;
    for (const { start, end } of view.memory.physical.ranges()) {
      const last = Number(BigInt(end) / this.pageSize);
      for (let pfn = Number(BigInt(start) / this.pageSize); pfn < last; pfn += PAGES_AT_ONCE) {
        for (const slab of this.slabsAmong(pfn, Math.min(PAGES_AT_ONCE, last - pfn), cache)) {
          const first = directMap + BigInt(slab) * this.pageSize + pad;
          const count = this.view.struct(this.slabType, this.page(BigInt(slab)).address).int('objects');
          for (let index = 0n; index < count; index++) yield virtualAddress(first + index * size);
        }
      }
    }
  }

  /** Those of some pages that are the first ones of slabs of a cache. */
  private slabsAmong(first: number, count: number, cache: Struct): number[] {
    const { layout } = this;
    const owner = this.view.types.requireStruct(this.slabType).require('slab_cache').offset;
    const size = Number(this.entrySize);
    const found: number[] = [];
    try {
      const view = viewOf(this.view.memory.bytes(this.page(BigInt(first)).address, count * size));
      const { littleEndian, slab, tail } = layout;
      for (let at = 0; at < view.byteLength; at += size) {
        if ((view.getInt32(at + slab.offset, littleEndian) & slab.mask) !== slab.value) continue;
        if ((view.getInt32(at + tail.offset, littleEndian) & tail.mask) === tail.value) continue;
        if (view.getBigUint64(at + owner, littleEndian) === cache.address) found.push(first + at / size);
      }
    } catch (error) {
      if (!isExhumeError(error)) throw error;
    }
    return found;
  }

  private isSlab(page: Struct): boolean {
    const { offset, mask, value } = this.layout.slab;
    return (this.view.memory.u32(page.address + BigInt(offset)) & mask) === value;
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
    const word = this.view.memory.u64(page.address + BigInt(this.layout.compound));
    if ((word & 1n) === 0n) return page;
    const told = word - 1n;
    return this.view.struct('page', told <= page.address ? told : page.address & told);
  }
}
