import type { Pfn, PhysicalAddress } from '../bytes/address.js';
import { isExhumeError } from '../bytes/errors.js';
import type { CachedSource } from './cached-source.js';
import { IntervalIndex } from './intervals.js';
import {
  joinRanges,
  type MissingState,
  PAGE_STATES,
  type PageState,
  PhysicalMemory,
  type PhysicalRange,
  PRESENT,
} from './memory.js';

const ABSENT = PAGE_STATES.indexOf('absent');
const EXCLUDED = PAGE_STATES.indexOf('excluded');

/** Pieces of physical memory that lie as they are in a file: columns of equal length, in bytes. */
export interface MemoryPieces {
  readonly physical: Float64Array;
  readonly fileOffset: Float64Array;
  /** Bytes in the file. */
  readonly fileSize: Float64Array;
  /** Bytes in memory; those past `fileSize` were left out by the writer. */
  readonly memorySize: Float64Array;
}

/**
 * Physical memory that lies uncompressed in a file, in segments.
 * Where segments overlap, bytes in the file win over bytes that are not, and then the earlier segment.
 *
 * A page of which only a part is RAM (`0x9fc00` in a PC) has zeros in the rest of it.
 * A page of which a part was excluded or lost is excluded or lost.
 */
export class SegmentMemory extends PhysicalMemory {
  private readonly index: IntervalIndex;
  /** Entries of the index below this are bytes in the file; those from it on are tails that are not. */
  private readonly pieceCount: number;
  private cachedRanges: readonly PhysicalRange[] | undefined;

  constructor(
    private readonly source: CachedSource,
    private readonly pieces: MemoryPieces,
    readonly pageSize: number,
  ) {
    super();
    const { physical, fileSize, memorySize } = pieces;
    const count = physical.length;
    this.pieceCount = count;
    // Entry i is the part of piece i that is in the file, entry count + i its tail that is not.
    const starts = new Float64Array(2 * count);
    const ends = new Float64Array(2 * count);
    for (let i = 0; i < count; i++) {
      const start = physical[i] as number;
      if (!Number.isFinite(start)) continue;
      const inFile = start + Math.min(fileSize[i] as number, memorySize[i] as number);
      starts[i] = start;
      ends[i] = Math.min(inFile, 2 ** 52);
      starts[count + i] = ends[i] as number;
      ends[count + i] = Math.min(start + (memorySize[i] as number), 2 ** 52);
    }
    this.index = IntervalIndex.build(starts, ends, (entry) => 2 * count - entry);
  }

  /** Do any of the segments overlap? */
  get overlapping(): boolean {
    return this.index.overlapping;
  }

  ranges(): readonly PhysicalRange[] {
    if (this.cachedRanges === undefined) {
      const ranges: PhysicalRange[] = [];
      for (let i = 0; i < this.index.length; i++) {
        const start = this.index.starts[i] as PhysicalAddress;
        const end = this.index.ends[i] as PhysicalAddress;
        const last = ranges.at(-1);
        if (last !== undefined && start === last.end) ranges[ranges.length - 1] = { start: last.start, end };
        else ranges.push({ start, end });
      }
      this.cachedRanges = ranges;
    }
    return this.cachedRanges;
  }

  override presentRanges(): readonly PhysicalRange[] {
    const { index, source } = this;
    const present: PhysicalRange[] = [];
    for (let i = 0; i < index.length; i++) {
      const owner = index.owners[i] as number;
      if (owner >= this.pieceCount) continue;
      const start = index.starts[i] as PhysicalAddress;
      const room = Math.max(0, source.size - this.fileOffset(owner, start));
      present.push({ start, end: Math.min(index.ends[i] as number, start + room) as PhysicalAddress });
    }
    return joinRanges(present);
  }

  state(pfn: Pfn): PageState {
    const start = pfn * this.pageSize;
    const end = start + this.pageSize;
    let found: PageState = 'absent';
    for (let i = this.index.at(start); i < this.index.length; i++) {
      const from = Math.max(start, this.index.starts[i] as number);
      if (from >= end) break;
      const length = Math.min(end, this.index.ends[i] as number) - from;
      const owner = this.index.owners[i] as number;
      if (owner >= this.pieceCount) return 'excluded';
      if (!this.source.has(this.fileOffset(owner, from), length)) return 'lost';
      found = 'present';
    }
    return found;
  }

  override states(first: number, into: Uint8Array): void {
    const { index, pageSize } = this;
    const end = first + into.length;
    into.fill(ABSENT);
    for (let i = index.at(first * pageSize); i < index.length; i++) {
      const start = index.starts[i] as number;
      if (start >= end * pageSize) break;
      const stop = index.ends[i] as number;
      const owner = index.owners[i] as number;
      const from = Math.max(first, Math.floor(start / pageSize));
      const to = Math.min(end, Math.ceil(stop / pageSize));
      const whole = Math.max(from, Math.ceil(start / pageSize));
      const wholeEnd = Math.max(whole, Math.min(to, Math.floor(stop / pageSize)));
      if (owner >= this.pieceCount) {
        into.fill(EXCLUDED, whole - first, wholeEnd - first);
      } else if (this.source.has(this.fileOffset(owner, whole * pageSize), (wholeEnd - whole) * pageSize)) {
        into.fill(PRESENT, whole - first, wholeEnd - first);
      } else {
        for (let pfn = whole; pfn < wholeEnd; pfn++) into[pfn - first] = this.stateByte(pfn);
      }
      for (let pfn = from; pfn < whole; pfn++) into[pfn - first] = this.stateByte(pfn);
      for (let pfn = wholeEnd; pfn < to; pfn++) into[pfn - first] = this.stateByte(pfn);
    }
  }

  private stateByte(pfn: number): number {
    return PAGE_STATES.indexOf(this.state(pfn as Pfn));
  }

  override readPages(first: number, into: Uint8Array): number {
    const { index, pageSize, source } = this;
    const count = Math.floor(into.length / pageSize);
    let done = 0;
    while (done < count) {
      const start = (first + done) * pageSize;
      const at = index.at(start);
      const owner = at < index.length ? (index.owners[at] as number) : this.pieceCount;
      const inPiece =
        owner < this.pieceCount && (index.starts[at] as number) <= start
          ? Math.floor(((index.ends[at] as number) - start) / pageSize)
          : 0;
      const pages = Math.min(count - done, inPiece);
      const length = pages * pageSize;
      const offset = pages > 0 ? this.fileOffset(owner, start) : 0;
      if (pages > 0 && source.has(offset, length) && this.readAll(offset, into, done * pageSize, length)) {
        done += pages;
        continue;
      }
      // A page of several pieces, or the last ones of a file that was cut off.
      const page = this.page((first + done) as Pfn);
      if (typeof page === 'string') return done;
      into.set(page, done * pageSize);
      done++;
    }
    return done;
  }

  private readAll(offset: number, into: Uint8Array, at: number, length: number): boolean {
    try {
      return this.source.readUncached(offset, into.subarray(at, at + length)) === length;
    } catch (error) {
      // Single pages of it may be readable.
      if (isExhumeError(error, 'EXH_IO')) return false;
      throw error;
    }
  }

  page(pfn: Pfn): Uint8Array | MissingState {
    return this.find(pfn, true);
  }

  override peek(pfn: Pfn): Uint8Array | MissingState {
    return this.find(pfn, false);
  }

  private find(pfn: Pfn, keep: boolean): Uint8Array | MissingState {
    const { index, pageSize, source } = this;
    const start = pfn * pageSize;
    const at = index.at(start);
    if (at === index.length) return 'absent';
    const owner = index.owners[at] as number;
    const whole = (index.starts[at] as number) <= start && (index.ends[at] as number) >= start + pageSize;
    try {
      if (whole && owner < this.pieceCount) {
        const offset = this.fileOffset(owner, start);
        if (!source.has(offset, pageSize)) return 'lost';
        const page = keep ? source.view(offset, pageSize) : source.peek(offset, pageSize);
        return page.length === pageSize ? page : 'lost';
      }
      return this.assemble(start, at);
    } catch (error) {
      if (isExhumeError(error, 'EXH_IO')) return 'lost';
      throw error;
    }
  }

  /** A page out of several pieces, or of which a part is not RAM. */
  private assemble(start: number, at: number): Uint8Array | MissingState {
    const { index, pageSize, source } = this;
    const state = this.state((start / pageSize) as Pfn);
    if (state !== 'present') return state;
    const page = new Uint8Array(pageSize);
    for (let i = at; i < index.length; i++) {
      const from = Math.max(start, index.starts[i] as number);
      const to = Math.min(start + pageSize, index.ends[i] as number);
      if (from >= to) break;
      const into = page.subarray(from - start, to - start);
      if (source.read(this.fileOffset(index.owners[i] as number, from), into) < into.length) return 'lost';
    }
    return page;
  }

  private fileOffset(piece: number, address: number): number {
    return (this.pieces.fileOffset[piece] as number) + (address - (this.pieces.physical[piece] as number));
  }
}
