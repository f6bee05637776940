import { hex, type Pfn, type PhysicalAddress, physicalAddress } from '../bytes/address.js';
import { ExhumeError } from '../bytes/errors.js';
import type { CompressionMethod } from '../codecs/codec.js';

/** Why a page's content cannot be had. Never answered with zeros. */
export type MissingState =
  /** It existed, and the writer filtered it out. */
  | 'excluded'
  /** It existed, and the writer ran out of space, or the file is cut off before it, or its data is broken. */
  | 'lost'
  /** No RAM there, or none that this dump describes. */
  | 'absent';

export type PageState = 'present' | MissingState;

/** The states of pages as bytes of an array: each stands for its index here. */
export const PAGE_STATES: readonly PageState[] = ['absent', 'present', 'excluded', 'lost'];
export const PRESENT = PAGE_STATES.indexOf('present');

/** A page as a file holds it. */
export interface StoredPage {
  /** How it is compressed; undefined: not at all. */
  readonly method: CompressionMethod | undefined;
  /** May be a part of a cache: it must not be written to, and is good until the next page is asked for. */
  readonly bytes: Uint8Array;
}

/** Physical addresses, in bytes; `end` is the first byte after. */
export interface PhysicalRange {
  readonly start: PhysicalAddress;
  readonly end: PhysicalAddress;
}

/** The code of the error for each. */
export const MISSING_ERRORS = {
  excluded: 'EXH_PAGE_EXCLUDED',
  lost: 'EXH_PAGE_LOST',
  absent: 'EXH_PAGE_ABSENT',
} as const;

const MISSING_WORDS = {
  excluded: 'was filtered out when the dump was written',
  lost: 'was lost: the dump ended or broke before it was written',
  absent: 'is not RAM that this dump describes',
} as const;

/** A machine's physical memory, page by page. One subclass for each way of holding it. */
export abstract class PhysicalMemory {
  /** Bytes per page: 4096 on x86-64; a power of two. */
  abstract readonly pageSize: number;

  /** RAM that the dump describes, ascending, not overlapping, whatever became of its pages. May be costly; kept. */
  abstract ranges(): readonly PhysicalRange[];

  /**
   * The parts of `ranges()` in which pages can be present: where a search through all memory is worth its time.
   * Within them single pages may still be missing.
   */
  presentRanges(): readonly PhysicalRange[] {
    return this.ranges();
  }

  /** Bytes of RAM that the dump describes. */
  describedBytes(): number {
    return bytesIn(this.ranges());
  }

  /** Bytes of RAM that are in the file, by the file's own account; single pages may prove lost when they are read. */
  presentBytes(): number {
    return bytesIn(this.presentRanges());
  }

  /** What became of a page. */
  abstract state(pfn: Pfn): PageState;

  /**
   * The bytes of a page (`pageSize` of them), or why not.
   * The array may be shared with a cache: it must not be written to.
   */
  abstract page(pfn: Pfn): Uint8Array | MissingState;

  /** As `page`, but only good until something else is read; for all who look once, since a cache can then use it again. */
  peek(pfn: Pfn): Uint8Array | MissingState {
    return this.page(pfn);
  }

  /**
   * Puts down the state of each page from `first` on, one byte a page: the index in PAGE_STATES.
   * By the file's own account: a page that is said to be present may prove lost when it is read.
   */
  states(first: number, into: Uint8Array): void {
    for (let i = 0; i < into.length; i++) into[i] = PAGE_STATES.indexOf(this.state((first + i) as Pfn));
  }

  /**
   * Copies whole pages from `first` on into `into`, as many as it has room for, in large reads and past any cache: for
   * one pass over much. Gives how many were copied: fewer where a page is not present, 0 where the first is not.
   */
  readPages(first: number, into: Uint8Array): number {
    const { pageSize } = this;
    const count = Math.floor(into.length / pageSize);
    for (let i = 0; i < count; i++) {
      const page = this.page((first + i) as Pfn);
      if (typeof page === 'string') return i;
      into.set(page, i * pageSize);
    }
    return count;
  }

  /** A page as it stands in the file, for a file that holds each page by itself; undefined for any other. */
  storedPage(_pfn: Pfn): StoredPage | MissingState | undefined {
    return undefined;
  }

  /**
   * Copies physical memory from `address` on into `into`.
   * Throws EXH_PAGE_EXCLUDED, EXH_PAGE_LOST or EXH_PAGE_ABSENT for the first page that is not there.
   */
  read(address: PhysicalAddress, into: Uint8Array): void {
    const stopped = this.tryRead(address, into);
    if (stopped !== undefined) throw missingPage(stopped.address, stopped.state);
  }

  /** As `read`, but gives back where and why it stopped instead of throwing; bytes before that are filled in. */
  tryRead(
    address: PhysicalAddress,
    into: Uint8Array,
  ): { readonly address: PhysicalAddress; readonly state: MissingState } | undefined {
    let done = 0;
    while (done < into.length) {
      const at = address + done;
      const within = at % this.pageSize;
      const page = this.peek(((at - within) / this.pageSize) as Pfn);
      if (typeof page === 'string') return { address: at as PhysicalAddress, state: page };
      const length = Math.min(this.pageSize - within, into.length - done);
      into.set(page.subarray(within, within + length), done);
      done += length;
    }
    return undefined;
  }

  /** As `read`, into a new array. */
  bytes(address: number, length: number): Uint8Array {
    const into = new Uint8Array(length);
    this.read(physicalAddress(address), into);
    return into;
  }
}

/** The error for a page that is not there. */
export function missingPage(address: PhysicalAddress, state: MissingState): ExhumeError {
  return new ExhumeError(MISSING_ERRORS[state], `physical address ${hex(address)} ${MISSING_WORDS[state]}`, {
    address,
    found: state,
  });
}

function bytesIn(ranges: readonly PhysicalRange[]): number {
  return ranges.reduce((sum, { start, end }) => sum + (end - start), 0);
}

/** Sorts ranges and joins those that touch or overlap; empty ones go. */
export function joinRanges(ranges: readonly PhysicalRange[]): PhysicalRange[] {
  const joined: PhysicalRange[] = [];
  for (const range of [...ranges].sort((a, b) => a.start - b.start)) {
    if (range.end <= range.start) continue;
    const last = joined.at(-1);
    if (last !== undefined && range.start <= last.end) {
      if (range.end > last.end) joined[joined.length - 1] = { start: last.start, end: range.end };
    } else {
      joined.push(range);
    }
  }
  return joined;
}
