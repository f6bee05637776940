/** In a PageChunk's flags: the page is all zeros, and has no bytes in the chunk. No page descriptor's flag. */
export const ZERO_PAGE = 0x4000_0000;

/**
 * Pages in ascending pfn order, as they go to a DumpWriter: one column for each property, and all bytes in one array.
 * Page `i` has `sizes[i]` bytes of `data`, behind those of the pages before it.
 */
export interface PageChunk {
  /** The page's frame number; doubles, as physical addresses have up to 52 bits. */
  readonly pfns: Float64Array;
  /** Bytes in `data`: the page size when it is not compressed, 0 for a page of zeros. */
  readonly sizes: Uint32Array;
  /** A page descriptor's flags (`PAGE_COMPRESSION`): 0 as it is, else how it is compressed; or ZERO_PAGE. */
  readonly flags: Uint32Array;
  readonly data: Uint8Array;
}

/** The pages of a chunk from index `from` to before `to`, sharing its bytes. */
export function partOfChunk(chunk: PageChunk, from: number, to: number): PageChunk {
  const bytes = (upTo: number): number => {
    let sum = 0;
    for (let i = 0; i < upTo; i++) sum += chunk.sizes[i] as number;
    return sum;
  };
  return {
    pfns: chunk.pfns.subarray(from, to),
    sizes: chunk.sizes.subarray(from, to),
    flags: chunk.flags.subarray(from, to),
    data: chunk.data.subarray(bytes(from), bytes(to)),
  };
}

/** Pages with consecutive numbers that are alike in this: they all are zeros, or all have bytes. */
export interface PlainRun {
  /** Of the first page. */
  readonly pfn: number;
  readonly pages: number;
  /** The bytes of them all; undefined for zeros. */
  readonly data: Uint8Array | undefined;
}

/** A chunk of pages that are not compressed, as runs. Throws Error for a compressed page, which has no place there. */
export function* plainRuns({ pfns, sizes, flags, data }: PageChunk, pageSize: number): Generator<PlainRun> {
  let at = 0;
  for (let i = 0; i < pfns.length; ) {
    const pfn = pfns[i] as number;
    const zero = flags[i] === ZERO_PAGE;
    const size = zero ? 0 : pageSize;
    const first = i;
    do {
      if (sizes[i] !== size || (!zero && flags[i] !== 0)) throw new Error(`page ${pfns[i]} is compressed`);
      i++;
    } while (i < pfns.length && (flags[i] === ZERO_PAGE) === zero && pfns[i] === pfn + i - first);
    const pages = i - first;
    yield { pfn, pages, data: zero ? undefined : data.subarray(at, at + pages * pageSize) };
    at += pages * size;
  }
}
