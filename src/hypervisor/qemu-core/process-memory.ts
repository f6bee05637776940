import { viewOf } from '../../bytes/struct-table.js';
import type { CachedSource } from '../../dump/cached-source.js';
import type { Segments } from '../../dump/elf-segments.js';
import { IntervalIndex } from '../../dump/intervals.js';

/** Addresses of a process are below 2^47 (2^56 where it asked for more), and all that lie above are the kernel's pages. */
const PROCESS_END = 2 ** 53;

/** A span of a process's address space, in bytes. */
export interface Mapped {
  readonly start: number;
  /** The first byte after. */
  readonly end: number;
  /** Where its bytes lie in the core. */
  readonly fileOffset: number;
  /** How many of them the core has, from the first on; the rest was left out when it was written. */
  readonly fileSize: number;
  /** Data, and not code: it can be written to and not run. */
  readonly data: boolean;
  /** It can be run. */
  readonly code: boolean;
}

const PF_X = 1;
const PF_W = 2;

/**
 * A process's memory as its core holds it. Addresses are numbers: they have fewer than 53 bits, and whole heaps are
 * searched for them. What the core does not have is never given as zeros.
 */
export class ProcessMemory {
  /** Ascending, not overlapping. */
  readonly mapped: readonly Mapped[];
  private readonly index: IntervalIndex;

  constructor(
    private readonly source: CachedSource,
    loads: Segments,
  ) {
    const all: Mapped[] = [];
    for (let i = 0; i < loads.count; i++) {
      const start = Number(loads.virtual[i]);
      const size = loads.memorySize[i] as number;
      if (size === 0 || !Number.isFinite(size) || start + size > PROCESS_END) continue;
      const fileSize = Math.min(loads.fileSize[i] as number, size);
      const rights = loads.flags[i] as number;
      const code = (rights & PF_X) !== 0;
      const data = (rights & PF_W) !== 0 && !code;
      all.push({ start, end: start + size, fileOffset: loads.fileOffset[i] as number, fileSize, data, code });
    }
    all.sort((a, b) => a.start - b.start);
    this.mapped = all.filter((one, i) => i === 0 || one.start >= (all[i - 1] as Mapped).end);
    this.index = IntervalIndex.of(this.mapped);
  }

  /** The span that an address lies in. */
  at(address: number): Mapped | undefined {
    return this.mapped[this.index.ownerAt(address)];
  }

  /** Where the first span behind an address begins; Infinity: there is none. */
  after(address: number): number {
    return this.index.nextStart(address);
  }

  /** Up to `length` bytes from an address on: fewer where the core has no more of that span. */
  upTo(address: number, length: number): Uint8Array {
    const span = this.at(address);
    if (span === undefined) return new Uint8Array();
    const within = address - span.start;
    return this.source.view(span.fileOffset + within, Math.max(0, Math.min(length, span.fileSize - within)));
  }

  /** Up to `length` bytes that end at an address: fewer where its span begins. */
  before(address: number, length: number): Uint8Array {
    const start = Math.max(address - length, this.at(address)?.start ?? address);
    return this.upTo(start, address - start);
  }

  /** Bytes at an address; undefined where the core does not have all of them. */
  bytes(address: number, length: number): Uint8Array | undefined {
    const bytes = this.upTo(address, length);
    return bytes.length === length ? bytes : undefined;
  }

  /** A pointer or another 64-bit word, as a number; undefined where the core does not have it, or it is no address. */
  word(address: number): number | undefined {
    const bytes = this.bytes(address, 8);
    if (bytes === undefined) return undefined;
    const value = Number(viewOf(bytes).getBigUint64(0, true));
    return value < PROCESS_END ? value : undefined;
  }

  /** A NUL-terminated string of at most `limit` bytes; undefined where there is none. */
  string(address: number, limit: number): string | undefined {
    const bytes = this.upTo(address, limit);
    const end = bytes.indexOf(0);
    return end < 0 ? undefined : decoder.decode(bytes.subarray(0, end));
  }

  /**
   * Goes through all that the core has of some spans, in pieces. The array is used again for the next piece.
   * @param visit gets the bytes as 32-bit words and the address of the first; true: no more is wanted
   */
  sweep(spans: readonly Mapped[], visit: (words: Uint32Array, address: number) => boolean | undefined): void {
    const piece = new Uint8Array(PIECE);
    for (const { start, fileOffset, fileSize } of spans) {
      for (let at = 0; at < fileSize; at += PIECE) {
        const got = this.source.readUncached(fileOffset + at, piece.subarray(0, Math.min(PIECE, fileSize - at)));
        // Structures lie at multiples of 8.
        if (visit(new Uint32Array(piece.buffer, 0, 2 * Math.floor(got / 8)), start + at)) return;
        if (got < PIECE) break;
      }
    }
  }
}

const PIECE = 1024 * 1024;
const decoder = new TextDecoder();
