import { isExhumeError } from '../../bytes/errors.js';
import { viewOf } from '../../bytes/struct-table.js';
import type { KernelView } from '../../kernel/kernel-view.js';
import { type PageFacts, readPageFacts } from '../../kernel/memory/page-classes.js';
import type { WordTest } from '../../kernel/memory/page-layout.js';
import { PageStructs } from '../../kernel/memory/page-map.js';

/** Structures read at once. */
const BLOCK = 512;
/** A page order above this is damage: 16 GiB. */
const HIGHEST_ORDER = 22;
/** The low bits of `mapping` that say that it is no `struct address_space`. */
const MAPPING_FLAGS = 3;
/** Page types are the top byte of `page_type` since 6.12. */
const TYPE_SHIFT = 24;

/** A page, or the head of a compound one, that no class of pages drops. */
export interface ScannedPage {
  readonly pfn: number;
  /** Pages that it stands for, itself included. */
  readonly count: number;
  /**
   * - `slab`: objects of the slab allocator.
   * - `cached`: `mapping` may lead to an address space: a page of a file that is on no LRU list.
   * - `compressed`: zsmalloc's, which zram and zswap keep pages in.
   */
  readonly kind: 'slab' | 'cached' | 'compressed';
  /** Address of its `struct page`. */
  readonly page: bigint;
}

/** Goes through `struct page` of all memory, for pages that makedumpfile's classes know nothing of. */
export class PageScan {
  private readonly facts: PageFacts;
  private readonly structs: PageStructs;
  private readonly mapping: number | undefined;
  private readonly compressed: number | undefined;
  private readonly typeOffset: number;

  /** Throws EXH_NO_LAYOUT when the kernel does not tell what a page is. */
  constructor(private readonly view: KernelView) {
    this.facts = readPageFacts(view.kernel);
    this.structs = new PageStructs(view.memory, this.facts.map, this.facts.layout.size);
    const type = view.types.requireStruct('page');
    this.mapping = type.field('mapping')?.offset;
    this.typeOffset = type.require('_mapcount').offset;
    const number = view.types.enumerator('PGTY_zsmalloc');
    this.compressed = number === undefined ? undefined : Number(number);
  }

  /** Can pages of zsmalloc be told? */
  get tellsCompressed(): boolean {
    return this.compressed !== undefined;
  }

  *pages(): Generator<ScannedPage> {
    const { memory } = this.view.kernel.machine;
    const { size } = this.facts.layout;
    // Tests of a head look at its first tail, too.
    const block = new Uint8Array((BLOCK + 1) * size);
    let skipTo = 0;
    for (const { start, end } of memory.ranges()) {
      const last = Math.ceil(end / memory.pageSize);
      for (let first = Math.floor(start / memory.pageSize); first < last; ) {
        const count = Math.min(BLOCK - (first % BLOCK), last - first);
        if (this.load(block, first, count)) {
          for (let i = 0; i < count; i++) {
            if (first + i < skipTo) continue;
            const page = this.judge(block, i, first + i);
            if (page === undefined) continue;
            skipTo = page.pfn + page.count;
            yield page;
          }
        }
        first += count;
      }
    }
  }

  private load(block: Uint8Array, first: number, count: number): boolean {
    const { size } = this.facts.layout;
    const address = this.structs.address(first);
    block.fill(0);
    if (address === undefined) return false;
    try {
      this.view.memory.read(address, block.subarray(0, count * size));
      return true;
    } catch (error) {
      if (isExhumeError(error)) return false;
      throw error;
    }
  }

  private judge(block: Uint8Array, index: number, pfn: number): ScannedPage | undefined {
    const { layout } = this.facts;
    const words = viewOf(block);
    const at = index * layout.size;
    const passes = ({ offset, mask, value }: WordTest): boolean =>
      (words.getInt32(at + offset, layout.littleEndian) & mask) === value;
    if (passes(layout.tail)) return undefined;
    const kind = passes(layout.slab) ? 'slab' : this.kindOf(words, at, passes);
    if (kind === undefined) return undefined;
    const order = passes(layout.head) ? (block[at + layout.compoundOrder] as number) : 0;
    const page = this.structs.address(pfn);
    if (page === undefined) return undefined;
    return { pfn, count: order <= HIGHEST_ORDER && pfn % 2 ** order === 0 ? 2 ** order : 1, kind, page };
  }

  private kindOf(words: DataView, at: number, passes: (test: WordTest) => boolean): ScannedPage['kind'] | undefined {
    const { layout } = this.facts;
    if (this.compressed === words.getUint32(at + this.typeOffset, layout.littleEndian) >>> TYPE_SHIFT) {
      return 'compressed';
    }
    if (this.mapping === undefined || passes(layout.buddy) || passes(layout.lru) || passes(layout.anonymous)) {
      return undefined;
    }
    const low = words.getUint32(at + this.mapping + (layout.littleEndian ? 0 : 4), layout.littleEndian);
    const high = words.getUint32(at + this.mapping + (layout.littleEndian ? 4 : 0), layout.littleEndian);
    // A pointer into the kernel's half.
    return high >= 0xff00_0000 && (low & MAPPING_FLAGS) === 0 ? 'cached' : undefined;
  }
}
