import type { ByteSink } from '../bytes/byte-sink.js';
import { viewOf } from '../bytes/struct-table.js';
import type { DumpDescription } from './description.js';
import type { DumpWriter } from './dump-writer.js';
import {
  ELF64_HEADER,
  ELF64_PROGRAM_HEADER,
  ELF64_SECTION_HEADER,
  ET_CORE,
  PN_XNUM,
  PT_LOAD,
  PT_NOTE,
} from './elf-header.js';
import { serializeNotes } from './notes.js';
import type { PageBitmap } from './page-bitmap.js';
import { type PageChunk, plainRuns } from './page-chunk.js';
import { type PageSelection, SelectionCheck } from './page-selection.js';

const EM_X86_64 = 62;
const PF_RWX = 7;
/** Program headers are made in batches of this many. */
const BATCH = 4096;

/** Memory that one program header describes: pages in the file, and behind them pages that were excluded. */
interface Load {
  readonly virtual: bigint;
  readonly pfn: number;
  readonly pagesInFile: number;
  readonly pagesInMemory: number;
  /** How many pages of the dump stand before its own. */
  readonly rank: number;
}

/**
 * Writes an ELF64 core as the kernel's /proc/vmcore is: the program headers behind the ELF header (makedumpfile looks for
 * them nowhere else), one PT_NOTE, the kernel's image in its own map, then all RAM with the direct map's addresses.
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
    let loads = 0;
    for (const _ of loadsOf(description, selection)) loads++;
    const headers = loads + 1;
    const extended = headers >= PN_XNUM;
    const sectionAt = ELF64_HEADER.size + headers * ELF64_PROGRAM_HEADER.size;
    const notesAt = sectionAt + (extended ? ELF64_SECTION_HEADER.size : 0);
    const dataAt = Math.ceil((notesAt + notes.length) / pageSize) * pageSize;

    sink.write(0, elfHeader(headers, sectionAt));
    const batch = new ProgramHeaders(sink, ELF64_HEADER.size);
    batch.add({ p_type: PT_NOTE, p_offset: notesAt, p_filesz: notes.length, p_memsz: notes.length, p_align: 4n });
    for (const load of loadsOf(description, selection)) {
      batch.add({
        p_type: PT_LOAD,
        p_flags: PF_RWX,
        p_offset: dataAt + load.rank * pageSize,
        p_vaddr: BigInt.asUintN(64, load.virtual),
        p_paddr: load.pfn * pageSize,
        p_filesz: load.pagesInFile * pageSize,
        p_memsz: load.pagesInMemory * pageSize,
        // As in /proc/vmcore: crash takes an aligned segment with another value for one of netdump's files.
        p_align: 0n,
      });
    }
    batch.flush();
    if (extended) sink.write(sectionAt, sectionZero(headers));
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

/** Program headers, written in batches. */
class ProgramHeaders {
  private readonly bytes = new Uint8Array(BATCH * ELF64_PROGRAM_HEADER.size);
  private readonly view = viewOf(this.bytes);
  private used = 0;

  constructor(
    private readonly sink: ByteSink,
    private at: number,
  ) {}

  add(header: Parameters<typeof ELF64_PROGRAM_HEADER.write>[2]): void {
    if (this.used === this.bytes.length) this.flush();
    this.bytes.fill(0, this.used, this.used + ELF64_PROGRAM_HEADER.size);
    ELF64_PROGRAM_HEADER.write(this.view, this.used, header);
    this.used += ELF64_PROGRAM_HEADER.size;
  }

  flush(): void {
    this.sink.write(this.at, this.bytes.subarray(0, this.used));
    this.at += this.used;
    this.used = 0;
  }
}

/** What the program headers describe, in their order. */
function* loadsOf(description: DumpDescription, { described, written }: PageSelection): Generator<Load> {
  const { pageSize, kernelText, directMap } = description;
  if (kernelText !== undefined) {
    const { virtual, physical, size } = kernelText;
    const first = Math.floor(physical / pageSize);
    for (const [start, end] of written.runs(first, Math.ceil((physical + size) / pageSize))) {
      yield {
        virtual: virtual + BigInt(start * pageSize - physical),
        pfn: start,
        pagesInFile: end - start,
        pagesInMemory: end - start,
        rank: written.count(0, start),
      };
    }
  }
  let rank = 0;
  for (const [start, end] of described.runs()) {
    for (let pfn = start; pfn < end; ) {
      const { inFile, after } = nextPart(written, pfn, end);
      yield {
        virtual: directMap === undefined ? 0n : directMap + BigInt(pfn * pageSize),
        pfn,
        pagesInFile: inFile,
        pagesInMemory: after - pfn,
        rank,
      };
      rank += inFile;
      pfn = after;
    }
  }
}

/** From `pfn` on: how many pages are in the file, and where the pages end that are not. */
function nextPart(written: PageBitmap, pfn: number, end: number): { inFile: number; after: number } {
  const inFileEnd = Math.min(written.next(pfn, false), end);
  return { inFile: inFileEnd - pfn, after: Math.min(written.next(inFileEnd), end) };
}

function elfHeader(headers: number, sectionAt: number): Uint8Array {
  const bytes = new Uint8Array(ELF64_HEADER.size);
  const extended = headers >= PN_XNUM;
  ELF64_HEADER.write(viewOf(bytes), 0, {
    ei_mag: Uint8Array.of(0x7f, 0x45, 0x4c, 0x46),
    ei_class: 2,
    ei_data: 1,
    ei_version: 1,
    e_type: ET_CORE,
    e_machine: EM_X86_64,
    e_version: 1,
    e_phoff: ELF64_HEADER.size,
    e_shoff: extended ? sectionAt : 0,
    e_ehsize: ELF64_HEADER.size,
    e_phentsize: ELF64_PROGRAM_HEADER.size,
    e_phnum: extended ? PN_XNUM : headers,
    e_shentsize: extended ? ELF64_SECTION_HEADER.size : 0,
    e_shnum: extended ? 1 : 0,
  });
  return bytes;
}

/** The section header that counts the program headers when e_phnum cannot. */
function sectionZero(headers: number): Uint8Array {
  const bytes = new Uint8Array(ELF64_SECTION_HEADER.size);
  ELF64_SECTION_HEADER.write(viewOf(bytes), 0, { sh_size: 1n, sh_info: headers });
  return bytes;
}
