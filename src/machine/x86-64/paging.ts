import {
  hex,
  type Pfn,
  type PhysicalAddress,
  physicalAddress,
  type VirtualAddress,
  virtualAddress,
} from '../../bytes/address.js';
import { ExhumeError } from '../../bytes/errors.js';
import { viewOf } from '../../bytes/struct-table.js';
import type { MissingState, PhysicalMemory } from '../../dump/memory.js';
import type { Mapping, PageTable, PageTableOptions, Walk, WalkStep } from '../machine.js';
import { VirtualMemory } from '../virtual-memory.js';

/** Bytes of a page-table page, and of the smallest page that it maps. */
export const TABLE_BYTES = 4096;
/** Entries of a page-table page, 8 bytes each, little-endian. */
export const TABLE_ENTRIES = 512;

/** Bits of an entry's low half (Intel SDM vol. 3, "4-Level Paging and 5-Level Paging"). */
export const PRESENT = 0x001;
export const WRITABLE = 0x002;
export const USER = 0x004;
/** "Page size": set in a directory entry that maps a 2 MiB or 1 GiB page itself. */
export const LARGE = 0x080;
export const GLOBAL = 0x100;

/** Names of an entry's flag bits, as Linux and crash call them; bit 7 is the page size in directories, PAT in the last level. */
const FLAGS: readonly (readonly [bit: bigint, name: string])[] = [
  [1n << 0n, 'PRESENT'],
  [1n << 1n, 'RW'],
  [1n << 2n, 'USER'],
  [1n << 3n, 'PWT'],
  [1n << 4n, 'PCD'],
  [1n << 5n, 'ACCESSED'],
  [1n << 6n, 'DIRTY'],
  [1n << 7n, 'PSE'],
  [1n << 8n, 'GLOBAL'],
  [1n << 63n, 'NX'],
];

const LEVEL_NAMES = ['', 'PTE', 'PMD', 'PUD', 'PGD'] as const;
const FIVE_LEVEL_NAMES = ['', 'PTE', 'PMD', 'PUD', 'P4D', 'PGD'] as const;

/** Bytes that one entry of a level covers, by level (1 is the last). */
const SPAN = [0, 2 ** 12, 2 ** 21, 2 ** 30, 2 ** 39, 2 ** 48] as const;

/** Physical-address bits of an entry, and of CR3: 51:12. */
export const FRAME_MASK = 0x000f_ffff_ffff_f000n;

/** Can a virtual address be one at all? As with five levels of tables, the most there are: bits 63:56 are alike. */
export function isCanonical(address: bigint): boolean {
  return BigInt.asUintN(64, BigInt.asIntN(57, address)) === address;
}

const TLB_SLOTS = 1024;
const LARGE_TLB_SLOTS = 256;
/** A tag that no address has. */
const NO_TAG = 0xffff_ffff;
/** Table pages kept at hand, 4 KiB each. */
const KEPT_TABLES = 1024;
/** How often `mappings` enters the same table page before it calls it a loop. */
const MOST_VISITS = 16;
/** How many table pages `mappings` enters at the most. */
const FEWEST_TABLES = 2048;
const TABLES_PER_SPAN = 16;
const DEFAULT_LIMIT = 65_536;

const split = new DataView(new ArrayBuffer(8));

/**
 * An x86-64 page table: 4 or 5 levels, 4 KiB, 2 MiB and 1 GiB pages (Intel SDM vol. 3, "Paging").
 *
 * Entries are read as two 32-bit halves, and answers are kept in two direct-mapped tables as a processor does,
 * so a translation that was asked before costs no bigint arithmetic and no allocation.
 */
export class X86PageTable extends VirtualMemory implements PageTable {
  readonly levels: 4 | 5;

  /** Bits 51:32 of a physical address in the high half of an entry, less the encryption bit. */
  private readonly frameHigh: number;
  private readonly frameMask: bigint;
  private readonly rootFrame: number;
  private readonly tables = new Map<number, DataView | MissingState>();

  // 4 KiB pages: tags are bits 31:12 and 63:32 of the virtual address.
  private readonly tagLow = new Uint32Array(TLB_SLOTS).fill(NO_TAG);
  private readonly tagHigh = new Uint32Array(TLB_SLOTS);
  private readonly pages = new Float64Array(TLB_SLOTS);
  // 2 MiB pieces of larger pages: tags are bits 31:21 and 63:32.
  private readonly largeTagLow = new Uint32Array(LARGE_TLB_SLOTS).fill(NO_TAG);
  private readonly largeTagHigh = new Uint32Array(LARGE_TLB_SLOTS);
  private readonly largePages = new Float64Array(LARGE_TLB_SLOTS);

  /**
   * @param root physical address of the top-level table; bits 11:0 (PCID in CR3) are ignored
   * @param levels 4, or 5 with CR4.LA57
   */
  constructor(
    physical: PhysicalMemory,
    readonly root: PhysicalAddress,
    levels: number,
    options: PageTableOptions = {},
  ) {
    super(physical, true);
    if (levels !== 4 && levels !== 5) {
      throw new ExhumeError('EXH_USAGE', `x86_64 page tables have 4 or 5 levels, not ${levels}`, { found: levels });
    }
    this.levels = levels;
    this.frameMask = FRAME_MASK & ~(options.encryptionMask ?? 0n);
    this.frameHigh = Number(this.frameMask >> 32n);
    this.rootFrame = Math.floor(root / TABLE_BYTES);
    this.root = (this.rootFrame * TABLE_BYTES) as PhysicalAddress;
  }

  translate(address: VirtualAddress): PhysicalAddress | undefined {
    split.setBigUint64(0, address, true);
    const low = split.getUint32(0, true);
    const high = split.getUint32(4, true);
    const slot = slotOf(low >>> 12, high) & (TLB_SLOTS - 1);
    if (this.tagLow[slot] === low >>> 12 && this.tagHigh[slot] === high) {
      return ((this.pages[slot] as number) + (low & 0xfff)) as PhysicalAddress;
    }
    const page = this.translatePage(low, high);
    if (page < 0) return undefined;
    this.tagLow[slot] = low >>> 12;
    this.tagHigh[slot] = high;
    this.pages[slot] = page;
    return (page + (low & 0xfff)) as PhysicalAddress;
  }

  walk(address: VirtualAddress): Walk {
    split.setBigUint64(0, address, true);
    const low = split.getUint32(0, true);
    const high = split.getUint32(4, true);
    const steps: WalkStep[] = [];
    const stop = (stopped: string): Walk => ({ steps, physical: undefined, pageSize: undefined, stopped });
    if (!this.isCanonical(high)) {
      return stop(`not a canonical address: bits 63 to ${this.levels === 5 ? 56 : 47} are not all equal`);
    }
    let frame = this.rootFrame;
    for (let level: number = this.levels; ; level--) {
      const name = this.levelName(level);
      const table = this.table(frame);
      if (typeof table === 'string') {
        return stop(`the ${name} table at ${hex(frame * TABLE_BYTES)} is ${table} in the dump`);
      }
      const at = indexOf(level, low, high) * 8;
      const entry = table.getBigUint64(at, true);
      const large = level > 1 && (entry & BigInt(LARGE)) !== 0n;
      steps.push({
        level: name,
        entryAddress: physicalAddress(frame * TABLE_BYTES + at),
        entry,
        flags: flagsOf(entry, level),
      });
      if ((entry & BigInt(PRESENT)) === 0n) return stop(`the ${name} entry is not present`);
      if (large && level > 3) return stop(`the ${name} entry has its page-size bit set, which no processor takes`);
      const physical = Number(entry & this.frameMask);
      if (level === 1 || large) {
        const pageSize = SPAN[level] as number;
        const offset = level === 3 ? low & 0x3fff_ffff : low & (pageSize - 1);
        return {
          steps,
          physical: physicalAddress(physical - (physical % pageSize) + offset),
          pageSize,
          stopped: undefined,
        };
      }
      frame = physical / TABLE_BYTES;
    }
  }

  /**
   * Mapped spans from `from` to `to` (the last address, inclusive), ascending.
   * Spans that follow each other virtually and physically with equal rights are joined; rights are the ones in effect
   * after all levels. Spans are cut to `from … to`. Stops after `limit` spans.
   *
   * Work is bounded by `limit` and the dump, not by what its tables say: it ends after 16 table pages for each span of
   * `limit` (but not before 2048), and a table page that was entered 16 times is not entered again: so tables that refer
   * to themselves end, and so do KASAN's shadow tables, which are shared by the thousand.
   */
  *mappings(from: VirtualAddress, to: VirtualAddress, limit = DEFAULT_LIMIT): Generator<Mapping, void> {
    const bits = this.levels === 5 ? 57n : 48n;
    const first = this.linear(from, true);
    const last = this.linear(to, false);
    if (first === undefined || last === undefined || first > last) return;
    const firstPage = Number(first >> 12n);
    const lastPage = Number(last >> 12n);
    let tablesLeft = Math.max(FEWEST_TABLES, TABLES_PER_SPAN * limit);
    const visits = new Map<number, number>();
    // One frame per level: the table, the next entry to look at, the page number that the table's entry 0 covers.
    const stack: { table: DataView; index: number; base: number; level: number; rights: number }[] = [];
    const enter = (frame: number, base: number, level: number, rights: number): void => {
      const key = frame * 8 + level;
      const visited = visits.get(key) ?? 0;
      if (visited >= MOST_VISITS || tablesLeft-- <= 0) return;
      visits.set(key, visited + 1);
      const table = this.table(frame);
      if (typeof table === 'string') return;
      const span = (SPAN[level] as number) / TABLE_BYTES;
      stack.push({ table, index: Math.max(0, Math.floor((firstPage - base) / span)), base, level, rights });
    };

    // The span being joined, in pages.
    let start = -1;
    let count = 0;
    let physical = 0;
    let rights = 0;
    let given = 0;
    const span = (): Mapping => {
      const begin = maxOf(BigInt(start) << 12n, first);
      const end = minOf(((BigInt(start + count) << 12n) as bigint) - 1n, last);
      return {
        virtual: virtualAddress(BigInt.asIntN(Number(bits), begin)),
        physical: (physical + Number(begin - (BigInt(start) << 12n))) as PhysicalAddress,
        size: Number(end - begin) + 1,
        writable: (rights & WRITABLE) !== 0,
        user: (rights & USER) !== 0,
        executable: (rights & EXECUTABLE) !== 0,
      };
    };

    enter(this.rootFrame, 0, this.levels, WRITABLE | USER | EXECUTABLE);
    for (let top = stack.at(-1); top !== undefined; top = stack.at(-1)) {
      const { table, level } = top;
      const pages = (SPAN[level] as number) / TABLE_BYTES;
      const at = top.base + top.index * pages;
      if (top.index >= TABLE_ENTRIES || at > lastPage) {
        stack.pop();
        continue;
      }
      const low = table.getUint32(top.index * 8, true);
      const high = table.getUint32(top.index * 8 + 4, true);
      top.index++;
      if ((low & PRESENT) === 0) continue;
      const inEffect = top.rights & ((low & (WRITABLE | USER)) | (high >>> 31 === 0 ? EXECUTABLE : 0));
      const frame = (high & this.frameHigh) * 2 ** 20 + (low >>> 12);
      if (level > 1 && (low & LARGE) === 0) {
        enter(frame, at, level - 1, inEffect);
        continue;
      }
      if (level > 3) continue;
      const target = (frame - (frame % pages)) * TABLE_BYTES;
      // The halves of the address space do not touch, though their page numbers do.
      const upper = at === 2 ** (Number(bits) - 13);
      if (start + count === at && physical + count * TABLE_BYTES === target && rights === inEffect && !upper) {
        count += pages;
        continue;
      }
      if (start >= 0) {
        yield span();
        if (++given >= limit) return;
      }
      start = at;
      count = pages;
      physical = target;
      rights = inEffect;
    }
    if (start >= 0) yield span();
  }

  protected override notMapped(address: VirtualAddress): ExhumeError {
    const { stopped, steps } = this.walk(address);
    return new ExhumeError('EXH_NOT_MAPPED', `virtual address ${hex(address)} is not mapped: ${stopped}`, {
      address,
      root: this.root,
      levels: this.levels,
      step: steps.at(-1)?.level,
    });
  }

  /** The physical address of the 4 KiB page around an address given in halves; -1: not mapped. */
  private translatePage(low: number, high: number): number {
    const slot = slotOf(low >>> 21, high) & (LARGE_TLB_SLOTS - 1);
    if (this.largeTagLow[slot] === low >>> 21 && this.largeTagHigh[slot] === high) {
      return (this.largePages[slot] as number) + (low & 0x1f_f000);
    }
    if (!this.isCanonical(high)) return -1;
    let frame = this.rootFrame;
    for (let level: number = this.levels; ; level--) {
      const table = this.table(frame);
      if (typeof table === 'string') return -1;
      const at = indexOf(level, low, high) * 8;
      const entry = table.getUint32(at, true);
      if ((entry & PRESENT) === 0) return -1;
      frame = (table.getUint32(at + 4, true) & this.frameHigh) * 2 ** 20 + (entry >>> 12);
      if (level === 1) return frame * TABLE_BYTES;
      if ((entry & LARGE) === 0) continue;
      if (level > 3) return -1;
      // Bit 12 of a large page's entry is PAT, not address.
      const page = level === 3 ? frame - (frame % 0x4_0000) + ((low >>> 12) & 0x3_fe00) : frame - (frame % 0x200);
      this.largeTagLow[slot] = low >>> 21;
      this.largeTagHigh[slot] = high;
      this.largePages[slot] = page * TABLE_BYTES;
      return page * TABLE_BYTES + (low & 0x1f_f000);
    }
  }

  /** A table page, or why the dump does not have it. */
  private table(frame: number): DataView | MissingState {
    const kept = this.tables.get(frame);
    if (kept !== undefined) return kept;
    const table = copyTable(this.physical, frame);
    if (this.tables.size >= KEPT_TABLES) this.tables.clear();
    this.tables.set(frame, table);
    return table;
  }

  private isCanonical(high: number): boolean {
    const sign = this.levels === 5 ? high >>> 24 : high >>> 15;
    return sign === 0 || sign === (this.levels === 5 ? 0xff : 0x1_ffff);
  }

  private levelName(level: number): string {
    return (this.levels === 5 ? FIVE_LEVEL_NAMES : LEVEL_NAMES)[level] as string;
  }

  /**
   * An address without its sign extension, so that the table's entries lie in one row.
   * Inside the hole: the first address after it (`up`), or the last one before it.
   */
  private linear(address: bigint, up: boolean): bigint {
    const bits = this.levels === 5 ? 57n : 48n;
    const half = 1n << (bits - 1n);
    const unsigned = BigInt.asUintN(64, address);
    if (unsigned < half || unsigned >= (1n << 64n) - half) return BigInt.asUintN(Number(bits), unsigned);
    return up ? half : half - 1n;
  }
}

/** Beside WRITABLE and USER in a set of rights; not a bit of the entry. */
const EXECUTABLE = 0x8;

function slotOf(low: number, high: number): number {
  const mixed = Math.imul(low ^ Math.imul(high, 0x9e37_79b1), 0x85eb_ca6b);
  return mixed >>> 16;
}

function indexOf(level: number, low: number, high: number): number {
  switch (level) {
    case 1:
      return (low >>> 12) & 511;
    case 2:
      return (low >>> 21) & 511;
    case 3:
      return ((high & 0x7f) << 2) | (low >>> 30);
    case 4:
      return (high >>> 7) & 511;
    default:
      return (high >>> 16) & 511;
  }
}

function flagsOf(entry: bigint, level: number): string[] {
  const names = FLAGS.filter(([bit]) => (entry & bit) !== 0n).map(([, name]) => name);
  return level === 1 ? names.map((name) => (name === 'PSE' ? 'PAT' : name)) : names;
}

/**
 * Where the kernel's page table may begin by a CPU's CR3, best first.
 * Bits 11:0 are the PCID and caching flags. With page-table isolation the top-level table is a pair of pages,
 * the kernel's at the even page and the one for user mode after it, so an odd page may stand for the even one before.
 */
export function kernelRoots(cr3: bigint): PhysicalAddress[] {
  const page = Number(cr3 & FRAME_MASK);
  const odd = page % 8192 !== 0;
  return (odd ? [page - 4096, page] : [page]) as PhysicalAddress[];
}

/** The 4 KiB table page at a frame number (physical address divided by 4096), or why it cannot be had. As `peek` gives it. */
export function tablePage(memory: PhysicalMemory, frame: number): DataView | MissingState {
  if (memory.pageSize !== TABLE_BYTES) return copyTable(memory, frame);
  const page = memory.peek(frame as Pfn);
  return typeof page === 'string' ? page : viewOf(page);
}

/** The same to keep. */
function copyTable(memory: PhysicalMemory, frame: number): DataView | MissingState {
  const bytes = new Uint8Array(TABLE_BYTES);
  const missing = memory.tryRead(physicalAddress(frame * TABLE_BYTES), bytes);
  return missing === undefined ? viewOf(bytes) : missing.state;
}

function maxOf(a: bigint, b: bigint): bigint {
  return a > b ? a : b;
}

function minOf(a: bigint, b: bigint): bigint {
  return a < b ? a : b;
}
