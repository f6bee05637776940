import type { ByteSink } from '../bytes/byte-sink.js';
import type { DumpDescription } from './description.js';
import type { DumpWriter } from './dump-writer.js';
import { type PageChunk, plainRuns } from './page-chunk.js';
import { type PageSelection, SelectionCheck } from './page-selection.js';

/**
 * Writes a raw memory image: the byte at physical address N is at offset N. It has no header, so nothing of the
 * description is in it, and it cannot tell: where there is no RAM, where pages were excluded, and where they hold zeros,
 * there are holes, which read as zeros. Whoever asks for one must say how many pages were excluded.
 */
export class RawWriter implements DumpWriter {
  private readonly check: SelectionCheck;

  constructor(
    private readonly sink: ByteSink,
    private readonly description: Pick<DumpDescription, 'pageSize'>,
    private readonly selection: PageSelection,
  ) {
    this.check = new SelectionCheck(selection.written);
  }

  begin(): void {
    this.sink.extend(this.selection.described.length * this.description.pageSize);
  }

  /** Pages must not be compressed. */
  write(chunk: PageChunk): void {
    const { pageSize } = this.description;
    this.check.bytes(chunk);
    for (const pfn of chunk.pfns) this.check.page(pfn);
    for (const { pfn, data } of plainRuns(chunk, pageSize)) {
      if (data !== undefined) this.sink.write(pfn * pageSize, data);
    }
  }

  end(): void {
    this.check.done();
  }
}
