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
