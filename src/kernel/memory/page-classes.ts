import { pfn, virtualAddress } from '../../bytes/address.js';
import { viewOf } from '../../bytes/struct-table.js';
import type { VirtualMemory } from '../../machine/virtual-memory.js';
import type { Kernel } from '../kernel.js';
import { type PageLayout, readPageLayout, type WordTest } from './page-layout.js';
import { type PageMap, PageStructs, readPageMap } from './page-map.js';

/**
 * What a page frame is, as bits of a byte. The first five are makedumpfile's, and so are their meanings (its
 * `__exclude_unnecessary_pages()`): dump level L drops a page when `bits & (L | ALWAYS_DROPPED)` is not 0.
 */
export const PAGE_CLASS = {
  /** All its bytes are 0. Never set here: it takes the page and not its `struct page`. */
  zero: 1,
  /** Page cache without anything of the filesystem's own. Such a page is also `private`: level 4 implies 2. */
  cache: 2,
  /** Page cache. */
  private: 4,
  /** Anonymous memory of processes, and pages of hugetlbfs. */
  user: 8,
  /** In a free block. */
  free: 16,
  /** Its hardware is broken: it must not be read. */
  poisoned: 32,
  /** Given up by a balloon or by memory hotplug: it may not even be there. */
  offline: 64,
  /** Its `struct page` is not in the dump, or the kernel has none. Drops nothing. */
  unknown: 128,
} as const;

/** Dropped at every level. */
export const ALWAYS_DROPPED = PAGE_CLASS.poisoned | PAGE_CLASS.offline;

/** What it takes to classify pages. Plain data: it can be handed to another thread, which has the same memory. */
export interface PageFacts {
  readonly layout: PageLayout;
  readonly map: PageMap;
}

/** Asks a kernel for its layout of `struct page` and where they lie. Throws EXH_NO_LAYOUT when it tells too little. */
export function readPageFacts(kernel: Kernel): PageFacts {
  return { layout: readPageLayout(kernel), map: readPageMap(kernel) };
}

/** Structures read at once; a power of 2, so that the head of a compound page and its first tail are never apart. */
const BLOCK = 512;
/** The largest page there is has 16 GiB: order 22 of 4 KiB. A higher order is damage. */
const HIGHEST_ORDER = 22;

/** Decides what page frames are. Memory is bounded: one block of `struct page` is kept, whatever is asked. */
export class PageClassifier {
  private readonly structs: PageStructs;
  private readonly block: Uint8Array;
  private readonly words: DataView;
  /** 1 for each structure of the block that is in the dump. */
  private readonly known = new Uint8Array(BLOCK);
  private blockPfn = 0;
  private blockLength = 0;
  /** Up to here (first page frame after) pages are what the head of their block is: `coverBits`. */
  private coverEnd = 0;
  private coverBits = 0;

  constructor(
    private readonly memory: VirtualMemory,
    private readonly facts: PageFacts,
  ) {
    const { size } = facts.layout;
    this.structs = new PageStructs(memory, facts.map, size);
    // Tests of a head look at its first tail, also where a broken one is the last of the block.
    this.block = new Uint8Array((BLOCK + 1) * size);
    this.words = viewOf(this.block);
  }

  /**
   * Writes the class bits of `into.length` page frames from `firstPfn` on into `into`. Any span will do: what its
   * first pages are may be told by a head before it.
   */
  classify(firstPfn: number, into: Uint8Array): void {
    this.enter(firstPfn);
    for (let done = 0; done < into.length; ) {
      const first = (firstPfn + done) % BLOCK;
      this.load(firstPfn + done - first, BLOCK);
      const count = Math.min(BLOCK - first, into.length - done);
      this.classifyBlock(first, into.subarray(done, done + count));
      done += count;
    }
  }

  /** Page frames from structure `first` of the block on. */
  private classifyBlock(first: number, into: Uint8Array): void {
    const { known, blockPfn } = this;
    const { size, tail, poisoned } = this.facts.layout;
    for (let i = 0; i < into.length; i++) {
      const index = first + i;
      const frame = blockPfn + index;
      if (known[index] === 0) {
        into[i] = frame < this.coverEnd ? this.coverBits : PAGE_CLASS.unknown;
        continue;
      }
      const at = index * size;
      // A poisoned page may be one in the middle of a larger one that could not be split.
      const own = this.passes(at, poisoned) ? PAGE_CLASS.poisoned : 0;
      if (frame < this.coverEnd) into[i] = this.coverBits | own;
      else if (this.passes(at, tail)) into[i] = own;
      else into[i] = this.classifyHead(frame, at);
    }
  }

  /** A page that is not a tail; where it stands for those that follow, they are covered. */
  private classifyHead(frame: number, at: number): number {
    const { layout } = this.facts;
    const slab = this.passes(at, layout.slab);
    if (!slab && this.passes(at, layout.buddy)) {
      const order = this.buddyOrder(at);
      if (order < layout.buddyOrders) return this.cover(frame, order, PAGE_CLASS.free);
      // As if it were no free block: it is kept.
      return 0;
    }
    if (!slab && this.passes(at, layout.unaccepted)) return this.cover(frame, layout.buddyOrders - 1, PAGE_CLASS.free);
    const head = this.passes(at, layout.head);
    const anonymous = !slab && this.passes(at, layout.anonymous);
    let bits = 0;
    if (!anonymous && (this.passes(at, layout.lru) || this.passes(at, layout.swapCache))) {
      bits = this.passes(at, layout.private) ? PAGE_CLASS.private : PAGE_CLASS.private | PAGE_CLASS.cache;
    }
    if (anonymous || (head && this.passes(at, layout.huge))) bits |= PAGE_CLASS.user;
    if (this.passes(at, layout.poisoned)) bits |= PAGE_CLASS.poisoned;
    if (!slab && this.passes(at, layout.offline)) bits |= PAGE_CLASS.offline;
    return bits !== 0 && head ? this.cover(frame, this.block[at + layout.compoundOrder] as number, bits) : bits;
  }

  /** A block of `2 ** order` pages is aligned to its size; where it is not, the head stands for itself alone. */
  private cover(frame: number, order: number, bits: number): number {
    if (order <= HIGHEST_ORDER && frame % 2 ** order === 0) {
      this.coverEnd = frame + 2 ** order;
      this.coverBits = bits;
    }
    return bits;
  }

  private buddyOrder(at: number): number {
    const { words, facts } = this;
    const { littleEndian, buddyOrder } = facts.layout;
    const low = words.getUint32(at + buddyOrder + (littleEndian ? 0 : 4), littleEndian);
    const high = words.getUint32(at + buddyOrder + (littleEndian ? 4 : 0), littleEndian);
    return high * 2 ** 32 + low;
  }

  private passes(at: number, { offset, mask, value }: WordTest): boolean {
    return (this.words.getInt32(at + offset, this.facts.layout.littleEndian) & mask) === value;
  }

  /** Finds the head that covers a page frame from before it, if there is one: it would be aligned to its order. */
  private enter(firstPfn: number): void {
    this.coverEnd = 0;
    for (let order = HIGHEST_ORDER; order > 0; order--) {
      const head = firstPfn - (firstPfn % 2 ** order);
      if (head === firstPfn) continue;
      this.load(head, 2);
      if (this.known[0] === 0 || this.passes(0, this.facts.layout.tail)) continue;
      this.classifyHead(head, 0);
      if (this.coverEnd > firstPfn) return;
      this.coverEnd = 0;
    }
  }

  /** Makes these structures the ones at hand. They are in one section. */
  private load(firstPfn: number, count: number): void {
    if (firstPfn === this.blockPfn && count === this.blockLength) return;
    this.blockPfn = firstPfn;
    this.blockLength = count;
    const { block, memory } = this;
    const { physical } = memory;
    const size = count * this.facts.layout.size;
    const address = this.structs.address(firstPfn);
    this.known.fill(1);
    if (address === undefined) {
      this.forget(0, size);
      return;
    }
    for (let done = 0; done < size; ) {
      const at = virtualAddress(address + BigInt(done));
      const within = Number(at & BigInt(physical.pageSize - 1));
      const length = Math.min(physical.pageSize - within, size - done);
      const found = memory.translate(at);
      const page = found === undefined ? 'absent' : physical.page(pfn((found - within) / physical.pageSize));
      if (typeof page === 'string') this.forget(done, length);
      else block.set(page.subarray(within, within + length), done);
      done += length;
    }
  }

  /** Structures of which a byte is missing are not known. */
  private forget(offset: number, length: number): void {
    const { size } = this.facts.layout;
    this.block.fill(0, offset, offset + length);
    this.known.fill(0, Math.floor(offset / size), Math.ceil((offset + length) / size));
  }
}

/** How many pages have each combination of class bits: `tally[bits]`. All that is counted about classes follows from it. */
export type PageTally = Float64Array;

export function newTally(): PageTally {
  return new Float64Array(256);
}

/** Adds classified pages to a tally. */
export function addToTally(tally: PageTally, classes: Uint8Array): void {
  for (let i = 0; i < classes.length; i++) {
    const bits = classes[i] as number;
    tally[bits] = (tally[bits] as number) + 1;
  }
}

/** How many pages have any of these bits: what a dump level drops for `level | ALWAYS_DROPPED`. */
export function pagesWith(tally: PageTally, bits: number): number {
  return tally.reduce((sum, count, classes) => ((classes & bits) === 0 ? sum : sum + count), 0);
}

export type PageClassName = keyof typeof PAGE_CLASS;

export interface PageAmount {
  readonly pages: number;
  readonly bytes: number;
}

/** What a dump level would leave out of a dump: for `--dry-run`. */
export interface ClassTotals {
  /**
   * Every class, in the order of its bits. `pages` is what leaving out this class alone would save; a page can be in
   * several.
   */
  readonly classes: readonly (PageAmount & { readonly name: PageClassName; readonly dropped: boolean })[];
  /** By the level, and what is always dropped; each page once. */
  readonly dropped: PageAmount;
  readonly kept: PageAmount;
}

/** @param level makedumpfile's dump level, 0 to 31 */
export function classTotals(tally: PageTally, level: number, pageSize: number): ClassTotals {
  const drops = level | ALWAYS_DROPPED;
  const amount = (pages: number): PageAmount => ({ pages, bytes: pages * pageSize });
  const dropped = pagesWith(tally, drops);
  const all = tally.reduce((sum, count) => sum + count, 0);
  const names = Object.keys(PAGE_CLASS) as PageClassName[];
  return {
    classes: names.map((name) => ({
      name,
      ...amount(pagesWith(tally, PAGE_CLASS[name])),
      dropped: (PAGE_CLASS[name] & drops) !== 0,
    })),
    dropped: amount(dropped),
    kept: amount(all - dropped),
  };
}
