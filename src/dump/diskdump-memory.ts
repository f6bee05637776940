import type { Pfn, PhysicalAddress } from '../bytes/address.js';
import { isExhumeError } from '../bytes/errors.js';
import { LruCache } from '../bytes/lru.js';
import { size64, structTable, u32, u64, viewOf } from '../bytes/struct-table.js';
import type { CompressionMethod, Decoders } from '../codecs/codec.js';
import type { FileBitmap } from './bitmap.js';
import type { CachedSource } from './cached-source.js';
import type { DamageLog } from './damage-log.js';
import {
  type MissingState,
  PAGE_STATES,
  type PageState,
  PhysicalMemory,
  type PhysicalRange,
  PRESENT,
  type StoredPage,
} from './memory.js';

/** makedumpfile's diskdump_mod.h: one for each set bit of the 2nd bitmap. */
export const PAGE_DESC = structTable('page_desc', 24, {
  offset: size64(0),
  size: u32(8),
  flags: u32(12),
  page_flags: u64(16),
});

/** In `flags` of a page_desc; in `status` of the header the method that was asked for. None of them: not compressed. */
export const PAGE_COMPRESSION: readonly (readonly [flag: number, method: CompressionMethod])[] = [
  [0x1, 'zlib'],
  [0x2, 'lzo1x'],
  [0x4, 'snappy'],
  [0x20, 'zstd'],
];

/** The method in the flags of a page descriptor, or in the status of a header; undefined: none. */
export function methodOf(flags: number): CompressionMethod | undefined {
  return PAGE_COMPRESSION.find(([flag]) => (flags & flag) !== 0)?.[1];
}

/** Bytes that a compressed page of zeros has at the most, in any of the methods. */
const SHARED_SIZE = 256;

const ABSENT = PAGE_STATES.indexOf('absent');
const EXCLUDED = PAGE_STATES.indexOf('excluded');
const LOST = PAGE_STATES.indexOf('lost');

/** So many ranges are given; a bitmap with more runs has those that are nearest to each other joined. */
const MAX_RANGES = 65_536;

/** One file of a dump: all of it, or a member of a `--split` set. */
export interface DiskdumpMember {
  readonly source: CachedSource;
  /** Which pages are in the dump. In a member of a set it counts only from `startPfn` to `endPfn`. */
  readonly dumped: FileBitmap;
  /** File offset of the first page descriptor, in bytes. */
  readonly descriptorsAt: number;
  readonly startPfn: number;
  /** First page frame after its own. */
  readonly endPfn: number;
  readonly littleEndian: boolean;
}

interface PageData {
  readonly offset: number;
  readonly size: number;
  readonly flags: number;
}

interface LocatedPage {
  /** Index of the file that holds it. */
  readonly member: number;
  readonly data: PageData;
}

interface DecodedPage extends PageData {
  readonly bytes: Uint8Array;
  /** It was given away to keep. */
  kept: boolean;
}

/**
 * Physical memory in a kdump-compressed file or set of files.
 * To find a page costs two short reads whatever the size of the dump: a chunk of the bitmap, from which the rank of
 * the page follows, and its descriptor. Decompressed pages are kept by where their data lies: all zero pages share one.
 */
export class DiskdumpMemory extends PhysicalMemory {
  private readonly pages: LruCache<DecodedPage>;
  /** The array of a page that had to go and that nobody keeps. */
  private spare: Uint8Array | undefined;
  private readonly rankBases: number[] = [];
  private readonly told = new Set<string>();
  private cachedRanges: readonly PhysicalRange[] | undefined;
  private cachedPresent: readonly PhysicalRange[] | undefined;

  /**
   * @param members ascending by `startPfn`, not overlapping
   * @param exists which pages are RAM; undefined where the file has only one bitmap
   * @param maxMapnr first page frame number that the dump does not describe
   */
  constructor(
    private readonly members: readonly DiskdumpMember[],
    private readonly exists: FileBitmap | undefined,
    private readonly maxMapnr: number,
    readonly pageSize: number,
    private readonly decoders: Decoders,
    cacheBytes: number,
    private readonly damage: DamageLog,
  ) {
    super();
    this.pages = new LruCache(cacheBytes, ({ bytes, kept }) => {
      if (!kept) this.spare = bytes;
    });
  }

  ranges(): readonly PhysicalRange[] {
    this.cachedRanges ??= this.runsOf(this.exists ?? this.members[0]?.dumped);
    return this.cachedRanges;
  }

  override presentRanges(): readonly PhysicalRange[] {
    this.cachedPresent ??= this.runsOf(this.members[0]?.dumped);
    return this.cachedPresent;
  }

  /** Counted, as `ranges()` of a fragmented memory joins over small gaps. */
  override describedBytes(): number {
    return this.bytesOf(this.exists ?? this.members[0]?.dumped);
  }

  override presentBytes(): number {
    return this.bytesOf(this.members[0]?.dumped);
  }

  private bytesOf(bitmap: FileBitmap | undefined): number {
    return (bitmap?.rank(this.maxMapnr) ?? 0) * this.pageSize;
  }

  state(pfn: Pfn): PageState {
    const found = this.locate(pfn);
    if (typeof found === 'string') return found;
    return 'present';
  }

  override states(first: number, into: Uint8Array): void {
    into.fill(ABSENT);
    const room = into.subarray(0, Math.max(0, this.maxMapnr - first));
    this.exists?.mark(first, room, EXCLUDED);
    // Every member has the bitmaps of the whole: pages of one that is missing are lost.
    this.members[0]?.dumped.mark(first, room, LOST);
    for (const { dumped, startPfn, endPfn } of this.members) {
      const from = Math.max(first, startPfn);
      const to = Math.min(first + room.length, endPfn);
      if (from < to) dumped.mark(from, room.subarray(from - first, to - first), PRESENT);
    }
  }

  override readPages(first: number, into: Uint8Array): number {
    const { pageSize } = this;
    const count = Math.floor(into.length / pageSize);
    for (let i = 0; i < count; i++) {
      const pfn = (first + i) as Pfn;
      const found = this.locate(pfn);
      if (typeof found === 'string') return i;
      const page = into.subarray(i * pageSize, (i + 1) * pageSize);
      // So small are pages of zeros, which share their data: those are worth keeping.
      const done = found.data.size < SHARED_SIZE ? this.copyPage(pfn, page) : this.decode(pfn, found, page);
      if (!done) return i;
    }
    return count;
  }

  override storedPage(pfn: Pfn): StoredPage | MissingState {
    const found = this.locate(pfn);
    if (typeof found === 'string') return found;
    const { offset, size, flags } = found.data;
    const bytes = (this.members[found.member] as DiskdumpMember).source.peek(offset, size);
    if (bytes.length < size) return 'lost';
    return { method: methodOf(flags), bytes };
  }

  private copyPage(pfn: Pfn, into: Uint8Array): boolean {
    const page = this.peek(pfn);
    if (typeof page === 'string') return false;
    into.set(page);
    return true;
  }

  page(pfn: Pfn): Uint8Array | MissingState {
    const page = this.find(pfn);
    if (typeof page === 'string') return page;
    page.kept = true;
    return page.bytes;
  }

  override peek(pfn: Pfn): Uint8Array | MissingState {
    const page = this.find(pfn);
    return typeof page === 'string' ? page : page.bytes;
  }

  private find(pfn: Pfn): DecodedPage | MissingState {
    const found = this.locate(pfn);
    if (typeof found === 'string') return found;
    const { member, data } = found;
    const key = data.offset * this.members.length + member;
    const known = this.pages.get(key);
    if (known !== undefined && known.size === data.size && known.flags === data.flags) return known;
    const bytes = this.spare ?? new Uint8Array(this.pageSize);
    this.spare = undefined;
    if (!this.decode(pfn, found, bytes)) return 'lost';
    const page = { ...data, bytes, kept: false };
    this.pages.set(key, page, this.pageSize);
    return page;
  }

  /** The descriptor of a page, when it can be right. */
  private locate(pfn: number): LocatedPage | MissingState {
    if (pfn >= this.maxMapnr) return 'absent';
    const index = this.memberOf(pfn);
    const member = this.members[index];
    if (member === undefined) return this.withoutMember(pfn);
    try {
      if (!member.dumped.has(pfn)) return this.exists?.has(pfn) === true ? 'excluded' : 'absent';
      const rank = member.dumped.rank(pfn) - this.rankBase(index, member);
      const at = member.descriptorsAt + rank * PAGE_DESC.size;
      if (!member.source.has(at, PAGE_DESC.size)) return 'lost';
      const view = viewOf(member.source.peek(at, PAGE_DESC.size));
      const { littleEndian } = member;
      const offset = PAGE_DESC.fields.offset.read(view, 0, littleEndian);
      // Offset 0 is how makedumpfile marks a page that it had no room for any more.
      if (offset === 0) return 'lost';
      const size = view.getUint32(8, littleEndian);
      const flags = view.getUint32(12, littleEndian);
      if (size === 0 || size > this.pageSize * 2) {
        this.tellOnce('EXH_BAD_PAGE', `${member.source.name}: page ${pfn} is said to have ${size} bytes in the file`);
        return 'lost';
      }
      if (!member.source.has(offset, size)) {
        this.tellOnce('EXH_TRUNCATED', `${member.source.name}: page ${pfn} is not in the file, nor others perhaps`);
        return 'lost';
      }
      return { member: index, data: { offset, size, flags } };
    } catch (error) {
      if (isExhumeError(error, 'EXH_IO')) return 'lost';
      throw error;
    }
  }

  /** Fills `into` with a page; false when its data is broken. */
  private decode(pfn: number, { member, data }: LocatedPage, into: Uint8Array): boolean {
    const { source } = this.members[member] as DiskdumpMember;
    try {
      const compressed = source.peek(data.offset, data.size);
      if (compressed.length < data.size) return false;
      const method = methodOf(data.flags);
      if (method !== undefined) {
        this.decoders[method](compressed, into);
      } else if (data.size === this.pageSize) {
        into.set(compressed);
      } else {
        this.damage.add(
          'EXH_BAD_PAGE',
          'pages',
          `${source.name}: page ${pfn} is not compressed and has ${data.size} bytes instead of ${this.pageSize}`,
        );
        return false;
      }
      return true;
    } catch (error) {
      this.damage.addError(`page ${pfn}`, error);
      return false;
    }
  }

  /** One page tells enough: where one descriptor is broken, thousands are. */
  private tellOnce(code: 'EXH_BAD_PAGE' | 'EXH_TRUNCATED', message: string): void {
    if (this.told.has(code)) return;
    this.told.add(code);
    this.damage.add(code, 'pages', message);
  }

  /** Index of the file that holds a page; past the last one when none does. */
  private memberOf(pfn: number): number {
    const { members } = this;
    if (members.length === 1) {
      const only = members[0] as DiskdumpMember;
      return pfn >= only.startPfn && pfn < only.endPfn ? 0 : 1;
    }
    let low = 0;
    let high = members.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((members[middle] as DiskdumpMember).endPfn > pfn) high = middle;
      else low = middle + 1;
    }
    return low < members.length && (members[low] as DiskdumpMember).startPfn <= pfn ? low : members.length;
  }

  /** A page of a file that is missing from the set: every member has the bitmaps of the whole. */
  private withoutMember(pfn: number): MissingState {
    if (this.members[0]?.dumped.has(pfn) === true) return 'lost';
    return this.exists?.has(pfn) === true ? 'excluded' : 'absent';
  }

  /** How many pages before its own a member's bitmap counts. */
  private rankBase(index: number, member: DiskdumpMember): number {
    let base = this.rankBases[index];
    if (base === undefined) {
      base = member.startPfn === 0 ? 0 : member.dumped.rank(member.startPfn);
      this.rankBases[index] = base;
    }
    return base;
  }

  /** The runs of set bits, as addresses. */
  private runsOf(bitmap: FileBitmap | undefined): PhysicalRange[] {
    const { pageSize } = this;
    let runs: PhysicalRange[] = [];
    /** Gaps of fewer pages than this are joined over. */
    let grain = 1;
    bitmap?.eachRun((first, after) => {
      const start = (first * pageSize) as PhysicalAddress;
      const end = (Math.min(after, this.maxMapnr) * pageSize) as PhysicalAddress;
      const last = runs.at(-1);
      if (last !== undefined && start - last.end < grain * pageSize) {
        runs[runs.length - 1] = { start: last.start, end };
        return true;
      }
      runs.push({ start, end });
      while (runs.length > MAX_RANGES) {
        grain *= 2;
        runs = joinOver(runs, grain * pageSize);
      }
      return true;
    });
    return runs;
  }
}

/** Joins ascending ranges that lie less than `gap` bytes apart. */
function joinOver(ranges: readonly PhysicalRange[], gap: number): PhysicalRange[] {
  const joined: PhysicalRange[] = [];
  for (const range of ranges) {
    const last = joined.at(-1);
    if (last !== undefined && range.start - last.end < gap) {
      joined[joined.length - 1] = { start: last.start, end: range.end };
    } else {
      joined.push(range);
    }
  }
  return joined;
}
