import type { ByteSink } from '../bytes/byte-sink.js';
import { viewOf } from '../bytes/struct-table.js';
import type { DumpDescription } from './description.js';
import { PAGE_DESC } from './diskdump-memory.js';
import type { DumpWriter } from './dump-writer.js';
import { type KdumpOptions, kdumpHeaders, kdumpPlace } from './kdump-headers.js';
import { serializeNotes } from './notes.js';
import type { PageBitmap } from './page-bitmap.js';
import { type PageChunk, ZERO_PAGE } from './page-chunk.js';
import { type PageSelection, SelectionCheck } from './page-selection.js';

/** Descriptors are written in batches of this many. */
const BATCH = 32_768;

/**
 * Writes a kdump-compressed file: both headers, the notes, the bitmaps, then the descriptors and the pages in the order
 * of their numbers. All pages of zeros share one, which stands where the first of them is met.
 * Descriptors and pages grow side by side, so the sink is written to in two places.
 */
export class KdumpWriter implements DumpWriter {
  private readonly batch = new Uint8Array(BATCH * PAGE_DESC.size);
  private readonly batchView = viewOf(this.batch);
  /** Descriptors in the batch. */
  private batched = 0;
  /** Where the batch goes, and where the next page's data goes: file offsets, in bytes. */
  private batchAt = 0;
  private dataAt = 0;
  private zeroPageAt: number | undefined;
  private readonly check: SelectionCheck;
  private readonly pages: number;

  constructor(
    private readonly sink: ByteSink,
    private readonly description: DumpDescription,
    private readonly selection: PageSelection,
    private readonly options: KdumpOptions,
  ) {
    const { written, count } = selection;
    const { start = 0, end = written.length } = options.split ?? {};
    this.pages = options.split === undefined ? count : written.count(start, end);
    this.check = new SelectionCheck(written, start, end);
  }

  begin(): void {
    const { sink, selection, description } = this;
    const { pageSize } = description;
    const notes = serializeNotes(description.notes).bytes;
    const place = kdumpPlace(pageSize, selection.described.length, notes);
    const bitmapsAt = (1 + place.subHeaderBlocks) * pageSize;
    const head = new Uint8Array(bitmapsAt);
    head.set(kdumpHeaders(description, place, this.options));
    head.set(notes, place.notesAt);
    sink.write(0, head);
    const bitmapBytes = (place.bitmapBlocks / 2) * pageSize;
    this.writeBitmap(bitmapsAt, bitmapBytes, selection.described);
    this.writeBitmap(bitmapsAt + bitmapBytes, bitmapBytes, selection.written);
    this.batchAt = bitmapsAt + 2 * bitmapBytes;
    this.dataAt = this.batchAt + this.pages * PAGE_DESC.size;
  }

  write(chunk: PageChunk): void {
    const { batchView, check } = this;
    const { pageSize } = this.description;
    const { pfns, sizes, flags, data } = chunk;
    // So that the first descriptor's data lies right behind the descriptors: that tells where they end.
    if (flags[0] === ZERO_PAGE) this.zeroPage();
    let at = this.dataAt;
    if (data.length > 0) this.sink.write(at, data);
    this.dataAt += data.length;
    check.bytes(chunk);
    for (let i = 0; i < pfns.length; i++) {
      check.page(pfns[i] as number);
      const zero = flags[i] === ZERO_PAGE;
      const offset = zero ? this.zeroPage() : at;
      const entry = this.batched * PAGE_DESC.size;
      batchView.setUint32(entry, offset % 2 ** 32, true);
      batchView.setUint32(entry + 4, offset / 2 ** 32, true);
      batchView.setUint32(entry + 8, zero ? pageSize : (sizes[i] as number), true);
      batchView.setUint32(entry + 12, zero ? 0 : (flags[i] as number), true);
      at += sizes[i] as number;
      if (++this.batched === BATCH) this.flush();
    }
  }

  end(): void {
    this.flush();
    this.check.done();
    this.sink.extend(this.dataAt);
  }

  /** Where the page of zeros stands; it is written when this is first asked for. */
  private zeroPage(): number {
    if (this.zeroPageAt === undefined) {
      const { pageSize } = this.description;
      this.zeroPageAt = this.dataAt;
      this.sink.write(this.dataAt, new Uint8Array(pageSize));
      this.dataAt += pageSize;
    }
    return this.zeroPageAt;
  }

  private flush(): void {
    const bytes = this.batch.subarray(0, this.batched * PAGE_DESC.size);
    if (bytes.length > 0) this.sink.write(this.batchAt, bytes);
    this.batchAt += bytes.length;
    this.batched = 0;
  }

  private writeBitmap(at: number, size: number, { bits }: PageBitmap): void {
    this.sink.write(at, bits);
    this.sink.zeros(at + bits.length, size - bits.length);
  }
}
