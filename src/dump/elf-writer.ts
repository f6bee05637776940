import type { ByteSink } from '../bytes/byte-sink.js';
import type { DumpDescription } from './description.js';
import type { DumpWriter } from './dump-writer.js';
import { type LoadHeader, sizeOfElfHeaders, writeElfHeaders } from './elf-headers.js';
import { serializeNotes } from './notes.js';
import type { PageBitmap } from './page-bitmap.js';
import { type PageChunk, plainRuns } from './page-chunk.js';
import { type PageSelection, SelectionCheck } from './page-selection.js';

/**
 * Writes an ELF64 core as the kernel's /proc/vmcore is: headers, notes, the kernel's image in its own map, then all RAM
 * with the direct map's addresses.
 * Pages lie in the order of their numbers, each at an offset that is a multiple of the page size; excluded ones are
 * where p_memsz is larger than p_filesz. The image's segment shares the bytes of the RAM that it is.
 */
export class ElfWriter implements DumpWriter {
  private readonly check: SelectionCheck;
  /** Where the next page goes: a file offset, in bytes. */
  private at = 0;

  constructor(
    private readonly sink: ByteSink,
    private readonly description: DumpDescription,
    private readonly selection: PageSelection,
  ) {
    this.check = new SelectionCheck(selection.written);
  }

  begin(): void {
    const { sink, description, selection } = this;
    const { pageSize } = description;
    const notes = serializeNotes(description.notes).bytes;
    let count = 0;
    for (const _ of loadsOf(description, selection, 0)) count++;
    const notesAt = sizeOfElfHeaders(count);
    const dataAt = Math.ceil((notesAt + notes.length) / pageSize) * pageSize;
    const note = { fileOffset: notesAt, size: notes.length };
    writeElfHeaders(sink, note, count, loadsOf(description, selection, dataAt));
    sink.write(notesAt, notes);
    sink.zeros(notesAt + notes.length, dataAt - notesAt - notes.length);
    this.at = dataAt;
  }

  /** Pages must not be compressed. */
  write(chunk: PageChunk): void {
    const { sink } = this;
    const { pageSize } = this.description;
    this.check.bytes(chunk);
    for (const pfn of chunk.pfns) this.check.page(pfn);
    for (const { pages, data } of plainRuns(chunk, pageSize)) {
      const size = pages * pageSize;
      if (data === undefined) sink.zeros(this.at, size);
      else sink.write(this.at, data);
      this.at += size;
    }
  }

  end(): void {
    this.check.done();
    this.sink.extend(this.at);
  }
}

/** What the program headers describe, in their order. */
function* loadsOf(
  description: DumpDescription,
  { described, written }: PageSelection,
  dataAt: number,
): Generator<LoadHeader> {
  const { pageSize, kernelText, directMap } = description;
  if (kernelText !== undefined) {
    const { virtual, physical, size } = kernelText;
    const first = Math.floor(physical / pageSize);
    for (const [start, end] of written.runs(first, Math.ceil((physical + size) / pageSize))) {
      yield {
        virtual: virtual + BigInt(start * pageSize - physical),
        physical: start * pageSize,
        fileOffset: dataAt + written.count(0, start) * pageSize,
        fileSize: (end - start) * pageSize,
        memorySize: (end - start) * pageSize,
      };
    }
  }
  let at = dataAt;
  for (const [start, end] of described.runs()) {
    for (let pfn = start; pfn < end; ) {
      const { inFile, after } = nextPart(written, pfn, end);
      yield {
        virtual: directMap === undefined ? 0n : directMap + BigInt(pfn * pageSize),
        physical: pfn * pageSize,
        fileOffset: at,
        fileSize: inFile * pageSize,
        memorySize: (after - pfn) * pageSize,
      };
      at += inFile * pageSize;
      pfn = after;
    }
  }
}

/** From `pfn` on: how many pages are in the file, and where the pages end that are not. */
function nextPart(written: PageBitmap, pfn: number, end: number): { inFile: number; after: number } {
  const inFileEnd = Math.min(written.next(pfn, false), end);
  return { inFile: inFileEnd - pfn, after: Math.min(written.next(inFileEnd), end) };
}
