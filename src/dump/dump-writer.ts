import type { PageChunk } from './page-chunk.js';

/**
 * Writes one new dump: `begin`, then `write` until every page of the selection was given once in ascending order, then
 * `end`. It is constructed with where to (a ByteSink), a DumpDescription, a PageSelection, and what its format needs.
 * All three throw EXH_NO_SPACE and EXH_IO when the sink does; what is in the sink then is no dump.
 */
export interface DumpWriter {
  /** Writes what stands before the pages. */
  begin(): void;
  /** Writes pages. The chunk's arrays may be used again once this returns. */
  write(chunk: PageChunk): void;
  /**
   * Writes what is left. The sink is complete then, and stays open.
   * Throws Error when the pages given were not those of the selection: that is a bug of the caller.
   */
  end(): void;
}
