import { concat } from '../../bytes/concat.js';
import { type ExhumeError, isExhumeError } from '../../bytes/errors.js';
import { LruCache } from '../../bytes/lru.js';
import type { VirtualMemory } from '../../machine/virtual-memory.js';

const CHUNK = 1 << 16;
const PAGE = 1 << 12;
/** Bytes kept of each region. */
const BUDGET = 1 << 24;
/** After so many unreadable pages all is taken as unreadable: a hostile table must not cost a failed walk for each entry. */
const MOST_FAILURES = 4096;
const NOTHING = new Uint8Array(0);

/**
 * A stretch of virtual memory that is read in bulk where it is touched, 64 KiB at a time,
 * and that loses only the pages which cannot be read.
 */
export class Region {
  private readonly chunks = new LruCache<Uint8Array>(BUDGET);
  private readonly missing = new Set<number>();
  private readonly base: bigint;
  /** How far into its page the region begins. */
  private readonly skew: number;
  /** The first error met. */
  firstError: ExhumeError | undefined;

  /** @param size in bytes; nothing is allocated for it */
  constructor(
    private readonly memory: VirtualMemory,
    address: bigint,
    readonly size: number,
  ) {
    this.skew = Number(address & BigInt(PAGE - 1));
    this.base = address - BigInt(this.skew);
  }

  /** How many 4 KiB pages could not be read, of those that were touched. */
  get unreadablePages(): number {
    return this.missing.size;
  }

  /** The bytes from `offset` on; undefined when they are outside, or on a page that cannot be read. Not to be written to. */
  bytes(offset: number, length: number): Uint8Array | undefined {
    if (offset < 0 || length < 0 || offset + length > this.size) return undefined;
    if (length === 0) return NOTHING;
    const from = this.skew + offset;
    const first = Math.floor(from / CHUNK);
    const last = Math.floor((from + length - 1) / CHUNK);
    const parts: Uint8Array[] = [];
    for (let index = first, done = 0; index <= last; index++) {
      if (this.missing.size >= MOST_FAILURES) return undefined;
      const start = index === first ? from - index * CHUNK : 0;
      const part = this.chunk(index).subarray(start, start + length - done);
      parts.push(part);
      done += part.length;
    }
    if (this.touchesMissing(from, length)) return undefined;
    return parts.length === 1 ? parts[0] : concat(parts);
  }

  private touchesMissing(from: number, length: number): boolean {
    if (this.missing.size === 0) return false;
    for (let page = Math.floor(from / PAGE); page * PAGE < from + length; page++) {
      if (this.missing.has(page)) return true;
    }
    return false;
  }

  private chunk(index: number): Uint8Array {
    const kept = this.chunks.get(index);
    if (kept !== undefined) return kept;
    const start = index * CHUNK;
    const bytes = new Uint8Array(Math.min(CHUNK, this.skew + this.size - start));
    if (!this.read(start, bytes)) {
      for (let at = 0; at < bytes.length && this.missing.size < MOST_FAILURES; at += PAGE) {
        if (!this.read(start + at, bytes.subarray(at, at + PAGE))) this.missing.add((start + at) / PAGE);
      }
    }
    this.chunks.set(index, bytes, bytes.length);
    return bytes;
  }

  private read(offset: number, into: Uint8Array): boolean {
    try {
      this.memory.read(this.base + BigInt(offset), into);
      return true;
    } catch (error) {
      if (!isExhumeError(error)) throw error;
      this.firstError ??= error;
      return false;
    }
  }
}
