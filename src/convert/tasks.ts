import type { CompressionMethod } from '../codecs/codec.js';
import type { PageBitmap } from '../dump/page-bitmap.js';
import type { PageChunk } from '../dump/page-chunk.js';

/** So many pages are packed at a time: 1 MiB, 10 ms of compression. */
export const PAGES_PER_TASK = 256;

/** Pages by their frame numbers, ascending: the first of a run and how many there are, by turns. */
export type PageRuns = Float64Array;

/** Cuts the pages of a bitmap into runs of `pages` pages together, ascending. */
export function* runsOf(bitmap: PageBitmap, pages: number, from = 0, to = bitmap.length): Generator<PageRuns> {
  let runs: number[] = [];
  let room = pages;
  for (const [start, end] of bitmap.runs(from, to)) {
    for (let first = start; first < end; ) {
      const count = Math.min(end - first, room);
      runs.push(first, count);
      first += count;
      room -= count;
      if (room === 0) {
        yield Float64Array.from(runs);
        runs = [];
        room = pages;
      }
    }
  }
  if (runs.length > 0) yield Float64Array.from(runs);
}

/** How many pages the runs have together. */
export function pagesIn(runs: PageRuns): number {
  let pages = 0;
  for (let i = 1; i < runs.length; i += 2) pages += runs[i] as number;
  return pages;
}

/** What to do with pages, for all tasks of a conversion: plain data, for a thread to be given. */
export interface PackSettings {
  /** How to compress; undefined: not at all. */
  readonly method: CompressionMethod | undefined;
  /** The method's own level; undefined: the one of its authors. */
  readonly level: number | undefined;
  /** Take a page that the input holds as it would be written without looking into it. */
  readonly passThrough: boolean;
  /** Physical memory to overwrite with zeros: first address and first one after by turns, ascending, disjoint. */
  readonly blank: Float64Array;
}

/** Fill the buffer with pages as they are to be written. */
export interface PackTask {
  readonly kind: 'pack';
  readonly runs: PageRuns;
  /** Goes back and forth with the tasks, so that memory is bounded. */
  readonly buffer: ArrayBuffer;
}

/** Find pages of zeros, and pages that cannot be read. */
export interface ScanTask {
  readonly kind: 'scan';
  readonly runs: PageRuns;
  /** Decompress every page; otherwise only those that may be zeros, and broken data is found when it is packed. */
  readonly thorough: boolean;
}

/** One piece of work. */
export type Task = PackTask | ScanTask;

/** What a scan says of a page. */
export const FOUND = { content: 0, zero: 1, lost: 2 } as const;

export interface Packed {
  /** Pages in the buffer: all that were asked for but for the lost ones. */
  readonly pages: number;
  readonly buffer: ArrayBuffer;
  /** Frame numbers of pages that proved to be broken. */
  readonly lost: readonly number[];
}

export interface Scanned {
  /** One of FOUND for each page of the runs. */
  readonly findings: Uint8Array;
}

/** Bytes of a buffer that so many pages are packed into. */
export function packBufferBytes(pages: number, pageSize: number): number {
  return pages * (16 + pageSize);
}

/** The columns of a buffer, as long as it has room. */
export function chunkIn(buffer: ArrayBuffer, pageSize: number): PageChunk {
  const pages = Math.floor(buffer.byteLength / (16 + pageSize));
  return {
    pfns: new Float64Array(buffer, 0, pages),
    sizes: new Uint32Array(buffer, pages * 8, pages),
    flags: new Uint32Array(buffer, pages * 12, pages),
    data: new Uint8Array(buffer, pages * 16, pages * pageSize),
  };
}

/** The pages that were packed into a buffer. */
export function packedChunk({ buffer, pages }: Packed, pageSize: number): PageChunk {
  const { pfns, sizes, flags, data } = chunkIn(buffer, pageSize);
  const used = sizes.subarray(0, pages);
  return {
    pfns: pfns.subarray(0, pages),
    sizes: used,
    flags: flags.subarray(0, pages),
    data: data.subarray(
      0,
      used.reduce((sum, size) => sum + size, 0),
    ),
  };
}
