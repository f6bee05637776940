import type { DumpWriter } from './dump-writer.js';
import { type PageChunk, partOfChunk } from './page-chunk.js';
import type { PageSelection } from './page-selection.js';

/** The pfns that one member of a set holds: from `start` to before `end`. */
export interface SplitPart {
  readonly start: number;
  readonly end: number;
}

/**
 * Divides a selection into parts with equally many pages each, which together hold every pfn. Throws Error for less than
 * one part.
 */
export function splitEvenly({ written, count }: PageSelection, parts: number): SplitPart[] {
  if (!(parts >= 1)) throw new Error(`a set has at least one file, not ${parts}`);
  const bounds = [0];
  let pages = 0;
  for (const [start, end] of written.runs()) {
    for (let wanted = share(count, bounds.length, parts); bounds.length < parts; ) {
      if (pages + (end - start) < wanted) break;
      bounds.push(start + wanted - pages);
      wanted = share(count, bounds.length, parts);
    }
    pages += end - start;
  }
  while (bounds.length < parts) bounds.push(written.length);
  return bounds.map((start, i) => ({ start, end: bounds[i + 1] ?? written.length }));
}

function share(count: number, part: number, parts: number): number {
  return Math.floor((count * part) / parts);
}

/** Writes the members of a `--split` set: each page goes to the writer of its part. */
export class SplitWriter implements DumpWriter {
  constructor(
    private readonly parts: readonly SplitPart[],
    /** One for each part, in the same order. */
    private readonly writers: readonly DumpWriter[],
  ) {}

  begin(): void {
    for (const writer of this.writers) writer.begin();
  }

  write(chunk: PageChunk): void {
    const { pfns } = chunk;
    let from = 0;
    this.parts.forEach(({ end }, part) => {
      let to = from;
      while (to < pfns.length && (pfns[to] as number) < end) to++;
      if (to > from) this.writers[part]?.write(to - from === pfns.length ? chunk : partOfChunk(chunk, from, to));
      from = to;
    });
  }

  end(): void {
    for (const writer of this.writers) writer.end();
  }
}
