import { hex, type Pfn, type PhysicalAddress } from '../../bytes/address.js';
import { type Damage, ExhumeError } from '../../bytes/errors.js';
import { LruCache } from '../../bytes/lru.js';
import { viewOf } from '../../bytes/struct-table.js';
import {
  joinRanges,
  MISSING_ERRORS,
  type MissingState,
  PAGE_STATES,
  type PageState,
  PhysicalMemory,
  type PhysicalRange,
} from '../../dump/memory.js';
import { FRAME_MASK } from '../../machine/x86-64/paging.js';

/** AMD's nested page tables, which are ordinary ones, or Intel's extended ones. */
export type NestedKind = 'NPT' | 'EPT';

export interface NestedOptions {
  /** 4, or 5 (EPT pointer bits 5:3; for NPT as the host's own page tables have). */
  readonly levels: number;
  /** Bits of an entry that are not address though they stand among the address bits: AMD's encryption bit. */
  readonly encryptionMask?: bigint;
}

const PAGE = 4096;
const ENTRIES = 512;
const LARGE = 0x80;
const NPT_PRESENT = 0x1;
/** Any of read, write, execute; user execute (bit 10) matters only beside them. */
const EPT_PRESENT = 0x7;
/** What KVM writes for memory that a device answers for: write and execute without read, which no processor takes. */
const EPT_MMIO = 0x6;
/** KVM's own mark of an entry that maps something; bit 11 is ignored by processors (arch/x86/kvm/mmu/spte.h). */
const KVM_PRESENT = 0x800;
/** Bits 54 and 56: what KVM keeps of the rights of a page that it watches for being used, without hardware's help. */
const EPT_SAVED_RIGHTS = (1 << 22) | (1 << 24);
/** Bits 51:32 of an address in the high half of an entry. */
const FRAME_HIGH = 0xf_ffff;
/** Bit 51, in the high half: with "present" it marks memory of a device in NPT. */
const NPT_MMIO_HIGH = 1 << 19;
/** Guest-physical pages that one entry covers, by level (1 is the last). */
const SPAN = [0, 1, ENTRIES, ENTRIES ** 2, ENTRIES ** 3, ENTRIES ** 4] as const;
/** Bytes of last-level tables kept at hand, decoded. */
const KEPT_BYTES = 64 * 2 ** 20;

/** In a decoded table of the last level: nothing mapped. */
const NOTHING = -1;

/** 2 MiB of guest memory: the frame of its last-level table, or of its first page where one entry maps them all. */
interface Block {
  readonly frame: number;
  /** The table lies in memory that the dump does not have. */
  readonly missing?: MissingState | undefined;
  readonly contiguous: boolean;
}

/**
 * A guest's physical memory, through the nested page table that the processor walked: a view of the host's memory.
 *
 * Pages that the guest never touched, and those that the host took away (swapped, ballooned), have no entry: they are
 * *absent* here. A table that the host's dump lacks makes all of its pages as missing as
 * it is. All upper tables are walked once, when memory is first asked for; the last level is decoded as it is needed.
 *
 * Work and space are bounded by the host's memory, not by what the tables say: each table page is entered once, and large
 * pages count no more than the host has memory.
 */
export class NestedMemory extends PhysicalMemory {
  readonly pageSize = PAGE;
  private readonly rootFrame: number;
  private readonly highMask: number;
  private readonly found: Damage[] = [];
  private blocks: Map<number, Block> | undefined;
  private readonly entered = new Set<number>();
  private largeLeft = 0;
  private kept: readonly PhysicalRange[] | undefined;
  private readonly tables = new LruCache<Float64Array>(KEPT_BYTES);
  private lastBlock = -1;
  private last: Float64Array | number | MissingState = 'absent';

  /**
   * @param host the memory that the tables and the guest's pages lie in
   * @param root physical address of the top-level table; bits 11:0 are ignored
   */
  constructor(
    readonly host: PhysicalMemory,
    readonly root: number,
    readonly kind: NestedKind,
    private readonly options: NestedOptions,
  ) {
    super();
    const { levels, encryptionMask = 0n } = options;
    if (levels !== 4 && levels !== 5) {
      throw new ExhumeError('EXH_USAGE', `nested page tables have 4 or 5 levels, not ${levels}`, { found: levels });
    }
    if (host.pageSize !== PAGE) {
      throw new ExhumeError('EXH_UNSUPPORTED_FORMAT', `nested page tables need host pages of ${PAGE} bytes`, {
        found: host.pageSize,
      });
    }
    this.rootFrame = Math.floor(root / PAGE);
    this.highMask = FRAME_HIGH & ~Number(encryptionMask >> 32n);
  }

  /** Tables that could not be read or that no processor would have taken. Complete once memory was looked at. */
  get damage(): readonly Damage[] {
    this.index();
    return this.found;
  }

  ranges(): readonly PhysicalRange[] {
    this.kept ??= this.collectRanges();
    return this.kept;
  }

  state(pfn: Pfn): PageState {
    const frame = this.hostFrame(pfn);
    return typeof frame === 'string' ? frame : this.host.state(frame as Pfn);
  }

  page(pfn: Pfn): Uint8Array | MissingState {
    const frame = this.hostFrame(pfn);
    return typeof frame === 'string' ? frame : this.host.page(frame as Pfn);
  }

  override peek(pfn: Pfn): Uint8Array | MissingState {
    const frame = this.hostFrame(pfn);
    return typeof frame === 'string' ? frame : this.host.peek(frame as Pfn);
  }

  override states(first: number, into: Uint8Array): void {
    for (let i = 0; i < into.length; ) {
      const frame = this.hostFrame(first + i);
      if (typeof frame === 'string') {
        into[i++] = PAGE_STATES.indexOf(frame);
        continue;
      }
      const count = this.run(first + i, frame, into.length - i);
      this.host.states(frame, into.subarray(i, i + count));
      i += count;
    }
  }

  override readPages(first: number, into: Uint8Array): number {
    const count = Math.floor(into.length / PAGE);
    let done = 0;
    while (done < count) {
      const frame = this.hostFrame(first + done);
      if (typeof frame === 'string') break;
      const length = this.run(first + done, frame, count - done);
      const got = this.host.readPages(frame, into.subarray(done * PAGE, (done + length) * PAGE));
      done += got;
      if (got < length) break;
    }
    return done;
  }

  /** The physical page of the host that a guest page is, or why it is none. */
  hostFrame(gfn: number): number | MissingState {
    const number = Math.floor(gfn / ENTRIES);
    if (number !== this.lastBlock) {
      this.last = this.open(number);
      this.lastBlock = number;
    }
    const { last } = this;
    if (typeof last === 'string') return last;
    if (typeof last === 'number') return last + (gfn % ENTRIES);
    const frame = last[gfn % ENTRIES] as number;
    return frame === NOTHING ? 'absent' : frame;
  }

  /** What 2 MiB of guest memory are: a table's frames, the first of 512 frames, or why there are none. */
  private open(number: number): Float64Array | number | MissingState {
    const block = this.index().get(number);
    if (block === undefined) return 'absent';
    if (block.missing !== undefined) return block.missing;
    return block.contiguous ? block.frame : this.lastLevel(block.frame);
  }

  /** How many pages from `gfn` on, `most` at the most, lie one after another in the host from `frame` on. */
  private run(gfn: number, frame: number, most: number): number {
    let count = 1;
    while (count < most && this.hostFrame(gfn + count) === frame + count) count++;
    return count;
  }

  /** A last-level table as host frames, or why it cannot be read. */
  private lastLevel(frame: number): Float64Array | MissingState {
    const known = this.tables.get(frame);
    if (known !== undefined) return known;
    const table = this.table(frame);
    if (typeof table === 'string') return table;
    const frames = new Float64Array(ENTRIES);
    for (let i = 0; i < ENTRIES; i++) frames[i] = this.target(table, i);
    this.tables.set(frame, frames, frames.byteLength);
    return frames;
  }

  /** The host frame that an entry leads to; NOTHING where it leads nowhere. */
  private target(table: DataView, index: number): number {
    const low = table.getUint32(index * 8, true);
    const high = table.getUint32(index * 8 + 4, true);
    if (this.kind === 'EPT') {
      const rights = low & EPT_PRESENT;
      if (rights === EPT_MMIO) return NOTHING;
      const watched = rights === 0 && (low & KVM_PRESENT) !== 0 && (high & EPT_SAVED_RIGHTS) !== 0;
      if (rights === 0 && !watched) return NOTHING;
    } else if ((low & NPT_PRESENT) === 0 || (high & NPT_MMIO_HIGH & this.highMask) !== 0) {
      return NOTHING;
    }
    return (high & this.highMask) * 2 ** 20 + (low >>> 12);
  }

  /** All blocks that are mapped, found by one walk through the upper tables. */
  private index(): ReadonlyMap<number, Block> {
    if (this.blocks === undefined) {
      this.blocks = new Map();
      this.largeLeft = Math.ceil(this.host.describedBytes() / PAGE / ENTRIES);
      this.enter(this.blocks, this.rootFrame, 0, this.options.levels);
      this.entered.clear();
    }
    return this.blocks;
  }

  /** Enters a table above the last level, and all under it. `base`: the guest page that its entry 0 maps. */
  private enter(blocks: Map<number, Block>, frame: number, base: number, level: number): void {
    if (!this.claim(frame, level)) return;
    const table = this.table(frame);
    if (typeof table === 'string') {
      this.note(MISSING_ERRORS[table], frame, level, `is ${table} in the dump`);
      return;
    }
    const span = SPAN[level] as number;
    for (let i = 0; i < ENTRIES; i++) {
      const next = this.target(table, i);
      if (next === NOTHING) continue;
      const start = base + i * span;
      if ((table.getUint32(i * 8, true) & LARGE) !== 0) this.addLarge(blocks, frame, start, level, next);
      else if (level > 2) this.enter(blocks, next, start, level - 1);
      else this.addTable(blocks, start / ENTRIES, next);
    }
  }

  /** Enters one mapping of 2 MiB or 1 GiB. */
  private addLarge(blocks: Map<number, Block>, table: number, start: number, level: number, frame: number): void {
    const span = SPAN[level] as number;
    if (level > 3) {
      this.note('EXH_BAD_STRUCTURE', table, level, 'has an entry with the page-size bit, which no processor takes');
      return;
    }
    this.largeLeft -= span / ENTRIES;
    if (this.largeLeft < 0) {
      this.note('EXH_BAD_STRUCTURE', table, level, 'maps more large pages than the host has memory');
      return;
    }
    for (let at = 0; at < span; at += ENTRIES) {
      blocks.set((start + at) / ENTRIES, { frame: frame - (frame % span) + at, contiguous: true });
    }
  }

  /** Enters a last-level table. One that the dump lacks makes its whole block as missing. */
  private addTable(blocks: Map<number, Block>, block: number, frame: number): void {
    if (!this.claim(frame, 1)) return;
    const state = this.host.state(frame as Pfn);
    if (state !== 'present') this.note(MISSING_ERRORS[state], frame, 1, `is ${state} in the dump`);
    blocks.set(block, { frame, contiguous: false, missing: state === 'present' ? undefined : state });
  }

  /** May this table be entered? Only once: what leads into one again is broken, and would not end. */
  private claim(frame: number, level: number): boolean {
    if (!this.entered.has(frame)) {
      this.entered.add(frame);
      return true;
    }
    this.note('EXH_BAD_STRUCTURE', frame, level, 'is linked in more than one place');
    return false;
  }

  private note(code: Damage['code'], frame: number, level: number, what: string): void {
    if (this.found.length >= MOST_DAMAGE) return;
    const message = `the ${this.kind} table at ${hex(frame * PAGE)} (level ${level}) ${what}`;
    this.found.push({ code, part: 'nested page tables', message });
  }

  /** A table page of the host, or why the dump does not have it. */
  private table(frame: number): DataView | MissingState {
    const page = this.host.page(frame as Pfn);
    return typeof page === 'string' ? page : viewOf(page);
  }

  private collectRanges(): PhysicalRange[] {
    const ranges: PhysicalRange[] = [];
    const add = (start: number, count: number): void => {
      const from = start * PAGE;
      ranges.push({ start: from as PhysicalAddress, end: (from + count * PAGE) as PhysicalAddress });
    };
    for (const number of [...this.index().keys()].sort((a, b) => a - b)) {
      const start = number * ENTRIES;
      const table = this.open(number);
      if (!(table instanceof Float64Array)) {
        add(start, ENTRIES);
        continue;
      }
      let from = 0;
      for (let i = 0; i <= ENTRIES; i++) {
        if (i < ENTRIES && table[i] !== NOTHING) continue;
        if (i > from) add(start + from, i - from);
        from = i + 1;
      }
    }
    return joinRanges(ranges);
  }
}

/** As many sentences of damage are told; a broken dump would have thousands. */
const MOST_DAMAGE = 20;

/** An EPT pointer's parts (Intel SDM vol. 3, "Extended-Page-Table Pointer"): root, levels. */
export function eptRoot(pointer: bigint): { readonly root: number; readonly levels: number } {
  return { root: Number(pointer & FRAME_MASK), levels: Number((pointer >> 3n) & 7n) + 1 };
}
