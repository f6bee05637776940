import type { Pfn } from '../bytes/address.js';
import { isZero } from '../bytes/zero.js';
import type { Encoder } from '../codecs/codec.js';
import { PAGE_COMPRESSION } from '../dump/diskdump-memory.js';
import type { PhysicalMemory, StoredPage } from '../dump/memory.js';
import { type PageChunk, ZERO_PAGE } from '../dump/page-chunk.js';
import {
  chunkIn,
  FOUND,
  PAGES_PER_TASK,
  type Packed,
  type PackSettings,
  type PageRuns,
  pagesIn,
  type Scanned,
  type ScanTask,
  type Task,
} from './tasks.js';

/** A stored page of more bytes than this is not looked at for zeros: no method needs so many for them. */
const ZERO_STORED = 256;

/** Does the tasks of a conversion, in whatever thread it lives. */
export class PageWorker {
  private readonly pageSize: number;
  private readonly words: number;
  /** Pages as they are read. */
  private readonly raw: Uint8Array;
  private readonly rawWords: Int32Array;
  private settings: PackSettings = {
    method: undefined,
    level: undefined,
    passThrough: false,
    blank: new Float64Array(),
  };
  private encoder: Encoder | undefined;
  /** The flag of the method that pages are compressed with. */
  private flag = 0;

  constructor(private readonly memory: PhysicalMemory) {
    this.pageSize = memory.pageSize;
    this.words = this.pageSize / 4;
    this.raw = new Uint8Array(PAGES_PER_TASK * this.pageSize);
    this.rawWords = new Int32Array(this.raw.buffer);
  }

  /**
   * Says how pages are to be packed; before that they are not compressed.
   * @param encoder of the method in the settings; undefined where there is none
   */
  configure(settings: PackSettings, encoder: Encoder | undefined): void {
    this.settings = settings;
    this.encoder = encoder;
    this.flag = PAGE_COMPRESSION.find(([, method]) => method === settings.method)?.[0] ?? 0;
  }

  run(task: Task): Packed | Scanned {
    return task.kind === 'pack' ? this.pack(task.runs, task.buffer) : this.scan(task);
  }

  private pack(runs: PageRuns, buffer: ArrayBuffer): Packed {
    const into = new ChunkFiller(chunkIn(buffer, this.pageSize));
    const lost: number[] = [];
    for (let i = 0; i < runs.length; i += 2) {
      const first = runs[i] as number;
      const count = runs[i + 1] as number;
      if (this.settings.passThrough) this.passRun(first, count, into, lost);
      else this.packRun(first, count, into, lost);
    }
    return { buffer, pages: into.pages, lost };
  }

  private packRun(first: number, count: number, into: ChunkFiller, lost: number[]): void {
    this.eachRead(
      first,
      count,
      (start, pages) => {
        this.blank(start, pages);
        for (let i = 0; i < pages; i++) this.packPage(start + i, i, into);
      },
      (pfn) => lost.push(pfn),
    );
  }

  /** Packs page `index` of what was read. */
  private packPage(pfn: number, index: number, into: ChunkFiller): void {
    const { encoder, pageSize, raw } = this;
    if (isZero(this.rawWords, index * this.words, this.words)) {
      into.add(pfn, 0, ZERO_PAGE);
      return;
    }
    const page = raw.subarray(index * pageSize, (index + 1) * pageSize);
    const size = encoder === undefined ? 0 : encoder(page, into.room(pageSize - 1));
    if (size > 0) {
      into.add(pfn, size, this.flag);
    } else {
      into.room(pageSize).set(page);
      into.add(pfn, pageSize, 0);
    }
  }

  private passRun(first: number, count: number, into: ChunkFiller, lost: number[]): void {
    for (let pfn = first; pfn < first + count; pfn++) {
      const stored = this.memory.storedPage(pfn as Pfn);
      if (typeof stored === 'string') lost.push(pfn);
      else if (stored === undefined || !this.passes(pfn, stored)) this.packRun(pfn, 1, into, lost);
      else {
        into.room(stored.bytes.length).set(stored.bytes);
        into.add(pfn, stored.bytes.length, stored.method === undefined ? 0 : this.flag);
      }
    }
  }

  /** Is it to be written as it is stored? */
  private passes(pfn: number, stored: StoredPage): boolean {
    const { bytes, method } = stored;
    if (method === undefined ? bytes.length !== this.pageSize : method !== this.settings.method) return false;
    if (bytes.length > this.pageSize || mayBeZero(stored)) return false;
    const at = blankAt(this.settings.blank, pfn * this.pageSize);
    return (this.settings.blank[at] ?? Number.POSITIVE_INFINITY) >= (pfn + 1) * this.pageSize;
  }

  private scan({ runs, thorough }: ScanTask): Scanned {
    const findings = new Uint8Array(pagesIn(runs));
    let at = 0;
    for (let i = 0; i < runs.length; i += 2) {
      const first = runs[i] as number;
      const count = runs[i + 1] as number;
      const of = findings.subarray(at, at + count);
      at += count;
      if (thorough || this.memory.storedPage(first as Pfn) === undefined) this.scanRun(first, count, of);
      else this.scanStored(first, of);
    }
    return { findings };
  }

  private scanRun(first: number, count: number, findings: Uint8Array): void {
    this.eachRead(
      first,
      count,
      (start, pages) => {
        for (let page = 0; page < pages; page++) {
          if (isZero(this.rawWords, page * this.words, this.words)) findings[start - first + page] = FOUND.zero;
        }
      },
      (pfn) => {
        findings[pfn - first] = FOUND.lost;
      },
    );
  }

  /** Decompresses only what is small enough to be zeros. */
  private scanStored(first: number, findings: Uint8Array): void {
    for (let i = 0; i < findings.length; i++) {
      const stored = this.memory.storedPage((first + i) as Pfn);
      if (typeof stored === 'string') findings[i] = FOUND.lost;
      else if (stored === undefined || mayBeZero(stored)) this.scanRun(first + i, 1, findings.subarray(i, i + 1));
    }
  }

  /** Reads a run of pages piece by piece into `raw`; a page that cannot be read is told instead. */
  private eachRead(
    first: number,
    count: number,
    found: (start: number, pages: number) => void,
    missing: (pfn: number) => void,
  ): void {
    for (let done = 0; done < count; ) {
      const wanted = Math.min(count - done, PAGES_PER_TASK);
      const got = this.memory.readPages(first + done, this.raw.subarray(0, wanted * this.pageSize));
      if (got > 0) found(first + done, got);
      done += got;
      if (got === wanted) continue;
      missing(first + done);
      done++;
    }
  }

  /** Overwrites what is to be blank in the pages that were read. */
  private blank(start: number, pages: number): void {
    const { blank } = this.settings;
    const from = start * this.pageSize;
    const to = from + pages * this.pageSize;
    for (let i = blankAt(blank, from); i < blank.length && (blank[i] as number) < to; i += 2) {
      this.raw.fill(0, Math.max(0, (blank[i] as number) - from), (blank[i + 1] as number) - from);
    }
  }
}

/** Fills the columns of a chunk. */
class ChunkFiller {
  pages = 0;
  private bytes = 0;

  constructor(private readonly chunk: PageChunk) {}

  /** Where the next page's bytes go. */
  room(length: number): Uint8Array {
    return this.chunk.data.subarray(this.bytes, this.bytes + length);
  }

  add(pfn: number, size: number, flags: number): void {
    const { pfns, sizes, flags: column } = this.chunk;
    pfns[this.pages] = pfn;
    sizes[this.pages] = size;
    column[this.pages] = flags;
    this.pages++;
    this.bytes += size;
  }
}

/** Index of the first blank span that ends behind an address. */
function blankAt(blank: Float64Array, address: number): number {
  let low = 0;
  let high = blank.length / 2;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((blank[middle * 2 + 1] as number) > address) high = middle;
    else low = middle + 1;
  }
  return low * 2;
}

function mayBeZero({ bytes, method }: StoredPage): boolean {
  return method === undefined ? bytes[0] === 0 && bytes[1] === 0 : bytes.length <= ZERO_STORED;
}
