import type { Pfn, PhysicalAddress } from '../bytes/address.js';
import { isExhumeError } from '../bytes/errors.js';
import type { CachedSource } from './cached-source.js';
import { IntervalIndex } from './intervals.js';
import { joinRanges, type MissingState, type PageState, PhysicalMemory, type PhysicalRange } from './memory.js';

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
