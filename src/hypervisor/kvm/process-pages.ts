import { LruCache } from '../../bytes/lru.js';
import type { PAGE_STATES, PhysicalMemory } from '../../dump/memory.js';
import { FRAME_MASK, LARGE, PRESENT, TABLE_ENTRIES, tablePage } from '../../machine/x86-64/paging.js';
import type { AreaKind, ProcessAreas } from './process-areas.js';

/** What a page of a process is, where it is no page frame of the host: a page frame number is 0 or more. */
export const PAGE = {
  /** Never written to, or given back (a balloon): whoever reads it sees zeros. */
  untouched: -1,
  /** Nothing is mapped there. */
  absent: -2,
  /** It cannot be told where it is: the host's dump lacks the page table. */
  excluded: -3,
  /** It is neither in the host's memory nor anywhere in the dump. */
  lost: -4,
} as const;

/** Lower numbers are pages in swap: `SWAPPED - (type * 2^40 + offset)`. */
const SWAPPED = -16;
const SWAP_OFFSETS = 2 ** 40;

/** A page in swap: `type` is the number of the swap area. */
export function swappedPage(type: number, offset: bigint): number {
  return offset < BigInt(SWAP_OFFSETS) ? SWAPPED - (type * SWAP_OFFSETS + Number(offset)) : PAGE.lost;
}

/** Is it in swap? */
export function isSwapped(page: number): boolean {
  return page <= SWAPPED;
}

/** A page in swap: the swap area's number, and the page in it. */
export function swapPlace(page: number): { readonly type: number; readonly offset: number } {
  const place = SWAPPED - page;
  return { type: Math.floor(place / SWAP_OFFSETS), offset: place % SWAP_OFFSETS };
}

/** Pages of one chunk: what a page of the last level of page tables maps, 2 MiB. */
export const CHUNK_PAGES = TABLE_ENTRIES;

/** The pages of 2 MiB of a process's memory: one by one, or what the first is, where the others follow it. */
export type Chunk = Float64Array | number;

/** Chunks kept, in bytes: enough for 32 GiB of single pages. */
const CACHE_BYTES = 64 << 20;
const CHUNK_BYTES = CHUNK_PAGES * 8;
/** Table pages of the upper levels that are kept: each spans a GiB or more. */
const MOST_TABLES = 4096;

/** `_PAGE_PROTNONE` is the global bit in an entry that is not present (arch/x86/include/asm/pgtable_types.h). */
const PROTECTED = 0x100n;

/**
 * Where the pages of a process are in its host's memory, by its page table, and by what it mapped where the table says
 * nothing. Looked up by chunks of 2 MiB, each of which costs one read of a table.
 *
 * Linux's own uses of entries that are not present (arch/x86/include/asm/pgtable_64.h, pgtable-invert.h): pages without
 * access rights (NUMA balancing) and swap entries, both with their bits inverted.
 */
export class ProcessPages {
  private readonly chunks = new LruCache<Chunk>(CACHE_BYTES);
  private readonly upper = new Map<number, DataView | number>();
  private readonly frameMask: bigint;
  private lastIndex = -1;
  private last: Chunk = PAGE.absent;

  /**
   * @param root frame number of the top-level table
   * @param levels 4 or 5
   * @param encryptionMask `sme_me_mask`: not a part of addresses
   */
  constructor(
    private readonly host: PhysicalMemory,
    private readonly root: number,
    private readonly levels: 4 | 5,
    private readonly areas: ProcessAreas,
    encryptionMask = 0n,
  ) {
    this.frameMask = FRAME_MASK & ~encryptionMask;
  }

  /** What a page is; `page` is a virtual address divided by 4096. */
  at(page: number): number {
    const within = page % CHUNK_PAGES;
    const chunk = this.chunk((page - within) / CHUNK_PAGES);
    if (typeof chunk !== 'number') return chunk[within] as number;
    return chunk < 0 ? chunk : chunk + within;
  }

  /** A chunk; `index` is a virtual address divided by 2 MiB. */
  chunk(index: number): Chunk {
    if (index === this.lastIndex) return this.last;
    let chunk = this.chunks.get(index);
    if (chunk === undefined) {
      chunk = this.readChunk(index);
      this.chunks.set(index, chunk, typeof chunk === 'number' ? 64 : CHUNK_BYTES);
    }
    this.lastIndex = index;
    this.last = chunk;
    return chunk;
  }

  /** Nothing of a chunk was ever touched. Costs less than reading it. */
  isUntouched(index: number): boolean {
    const kept = this.chunks.get(index);
    if (kept !== undefined) return kept === PAGE.untouched;
    return this.entry(index) === 0n && this.areas.kindOfAll(index * CHUNK_PAGES, CHUNK_PAGES) === 'zeros';
  }

  private readChunk(index: number): Chunk {
    const entry = this.entry(index);
    const first = index * CHUNK_PAGES;
    if (typeof entry === 'number') return entry;
    if (entry === 0n) {
      const whole = this.areas.kindOfAll(first, CHUNK_PAGES);
      const known = whole === undefined ? undefined : pageOfKind(whole);
      return known ?? this.filled(first);
    }
    const large = (entry & BigInt(LARGE)) !== 0n;
    if (large) {
      const frame = this.frameOf((entry & BigInt(PRESENT)) === 0n ? ~entry : entry);
      return frame - (frame % CHUNK_PAGES);
    }
    // A huge page on its way to another place, or to swap.
    if ((entry & BigInt(PRESENT)) === 0n) return PAGE.lost;
    return this.readTable(this.frameOf(entry), first);
  }

  private readTable(frame: number, first: number): Chunk {
    const table = tablePage(this.host, frame);
    if (typeof table === 'string') return missing(table);
    const pages = new Float64Array(CHUNK_PAGES);
    for (let i = 0; i < CHUNK_PAGES; i++) {
      const low = table.getUint32(i * 8, true);
      const high = table.getUint32(i * 8 + 4, true);
      if ((low & PRESENT) !== 0 || low !== 0 || high !== 0) {
        pages[i] = this.pageOf((BigInt(high) << 32n) | BigInt(low));
      } else {
        pages[i] = Number.NaN;
      }
    }
    this.fill(pages, first);
    return pages;
  }

  /** What an entry of the last level says. */
  private pageOf(entry: bigint): number {
    if ((entry & BigInt(PRESENT)) !== 0n) return this.frameOf(entry);
    if ((entry & PROTECTED) !== 0n) return this.frameOf(~entry);
    return swappedPage(Number(entry >> 59n), (~entry >> 9n) & ((1n << 50n) - 1n));
  }

  private filled(first: number): Chunk {
    const pages = new Float64Array(CHUNK_PAGES).fill(Number.NaN);
    this.fill(pages, first);
    return pages;
  }

  /** Where no entry says anything (NaN) it depends on what is mapped there. */
  private fill(pages: Float64Array, first: number): void {
    for (let i = 0; i < CHUNK_PAGES; i++) {
      if (!Number.isNaN(pages[i])) continue;
      const { area, kind } = this.areas.at(first + i);
      pages[i] = pageOfKind(kind) ?? (area === undefined ? PAGE.lost : this.areas.cachedPage(area, first + i));
    }
  }

  /** The entry of the last level but one that leads to a chunk (a large page of a higher level as such an entry). */
  private entry(index: number): bigint | number {
    let frame = this.root;
    // What one entry of the level covers, in chunks.
    let span = 512 ** (this.levels - 2);
    if (index >= span * 256) return PAGE.absent;
    for (let level: number = this.levels; ; level--, span /= 512) {
      const table = this.table(frame);
      if (typeof table === 'number') return table;
      const at = (Math.floor(index / span) % TABLE_ENTRIES) * 8;
      const entry = table.getBigUint64(at, true);
      if (level === 2 || entry === 0n) return entry;
      if (level === 3 && (entry & BigInt(LARGE)) !== 0n) {
        const inverted = (entry & BigInt(PRESENT)) === 0n;
        const page = this.frameOf(inverted ? ~entry : entry);
        const own = page - (page % 2 ** 18) + (index % 512) * CHUNK_PAGES;
        return (BigInt(own) << 12n) | BigInt(LARGE) | BigInt(PRESENT);
      }
      if ((entry & BigInt(PRESENT)) === 0n) return PAGE.lost;
      frame = this.frameOf(entry);
    }
  }

  private table(frame: number): DataView | number {
    const kept = this.upper.get(frame);
    if (kept !== undefined) return kept;
    const page = tablePage(this.host, frame);
    // Copied: what was read last may be used again by the next read.
    const table =
      typeof page === 'string'
        ? missing(page)
        : new DataView(page.buffer.slice(page.byteOffset, page.byteOffset + page.byteLength));
    if (this.upper.size >= MOST_TABLES) this.upper.clear();
    this.upper.set(frame, table);
    return table;
  }

  private frameOf(entry: bigint): number {
    return Number((entry & this.frameMask) >> 12n);
  }
}

/** A page table that was filtered out tells of pages that cannot be found any more; one that is not RAM, of nothing. */
function missing(state: (typeof PAGE_STATES)[number]): number {
  return state === 'excluded' ? PAGE.excluded : PAGE.lost;
}

/** What a page is that no entry of the table speaks of; undefined: it depends on the file. */
function pageOfKind(kind: AreaKind): number | undefined {
  switch (kind) {
    case 'zeros':
      return PAGE.untouched;
    case 'none':
      return PAGE.absent;
    case 'awaited':
      return PAGE.lost;
    default:
      return undefined;
  }
}
