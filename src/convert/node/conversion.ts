import { setImmediate } from 'node:timers/promises';
import type { DumpDescription } from '../../dump/description.js';
import { PAGE_DESC } from '../../dump/diskdump-memory.js';
import type { PhysicalMemory } from '../../dump/memory.js';
import type { PageBitmap } from '../../dump/page-bitmap.js';
import { ZERO_PAGE } from '../../dump/page-chunk.js';
import { type ClassDecider, EXCLUDED_CLASSES, UNKNOWN_CLASS } from '../exclusion.js';
import { inOrder } from '../in-order.js';
import type { Outcome, OutputFormat, PageTally, WrittenFile } from '../outcome.js';
import type { Phase, ProgressListener } from '../progress.js';
import { type InputPages, inputPages } from '../selection.js';
import {
  FOUND,
  PAGES_PER_TASK,
  type PackSettings,
  type PageRuns,
  packBufferBytes,
  packedChunk,
  pagesIn,
  runsOf,
} from '../tasks.js';
import type { Crew } from './crew.js';
import { Output, type OutputOptions } from './output.js';

/** Which pages are left out besides those that the input has not. */
export interface Exclusion {
  /**
   * What becomes of pages of zeros: they are left out, or looked for and counted before anything is written, or only met.
   * In a kdump file they are never left out: they share one, and readers count on it (crash, for the kernel's own data).
   */
  readonly zero: 'drop' | 'count' | 'keep';
  /** Leave out pages by their class: asked span by span, before zeros are looked for. */
  readonly classes: ClassDecider | undefined;
  /** Leave out all pages but these; undefined: none. */
  readonly keep: PageBitmap | undefined;
  /** Leave out these pages, and those whose class cannot be told. */
  readonly scrubbed: PageBitmap | undefined;
}

export interface ConversionOptions {
  readonly memory: PhysicalMemory;
  /** Look for pages that cannot be read before anything is written: the input is damaged, or nothing can be taken back. */
  readonly verify: boolean;
  readonly crew: Crew;
  readonly jobs: number;
  readonly exclusion: Exclusion;
  /** Pages from this frame number on are left out; undefined: none. */
  readonly memoryEnd: number | undefined;
  readonly settings: PackSettings;
  readonly output: OutputOptions;
  readonly description: DumpDescription;
  readonly dryRun: boolean;
  readonly listener: ProgressListener;
  readonly signal: AbortSignal;
}

const ZERO = EXCLUDED_CLASSES.indexOf('zero');
const UNNEEDED = EXCLUDED_CLASSES.indexOf('unneeded');
const SCRUBBED = EXCLUDED_CLASSES.indexOf('scrubbed');
const BEYOND = EXCLUDED_CLASSES.indexOf('beyond');
/** Pages that are decided on together: 64 MiB of memory. */
const DECIDED_PAGES = 16_384;
/** Pages of one task that only looks: 4 MiB. */
const SCANNED_PAGES = 1024;

/** Converts: decides which pages are written, packs them in the crew, and writes them in their order. */
export async function convert(options: ConversionOptions): Promise<Outcome> {
  const start = performance.now();
  const conversion = new Conversion(options);
  const outcome = await conversion.run();
  return { ...outcome, seconds: (performance.now() - start) / 1000 };
}

class Conversion {
  private readonly input: InputPages;
  /** How many pages were left out, by EXCLUDED_CLASSES. */
  private readonly excluded: number[] = EXCLUDED_CLASSES.map(() => 0);
  private unknown = 0;
  private lost: number;
  private zero = 0;

  constructor(private readonly options: ConversionOptions) {
    this.input = inputPages(options.memory, options.memoryEnd);
    this.lost = this.input.lost;
    this.excluded[BEYOND] = this.input.beyond;
  }

  async run(): Promise<Omit<Outcome, 'seconds'>> {
    const { crew, dryRun, settings, output, memory, jobs } = this.options;
    await this.decide();
    crew.configure(settings);
    const files = dryRun ? await this.estimate() : await this.write();
    return {
      dryRun,
      format: output.format,
      compression: settings.method,
      files,
      pageSize: memory.pageSize,
      pages: this.tally(),
      jobs,
    };
  }

  private tally(): PageTally {
    const { described, written, excluded, beyond } = this.input;
    return {
      described: described.count() + beyond,
      written: written.count(),
      zero: this.zero,
      excludedBefore: excluded,
      excluded: new Map(EXCLUDED_CLASSES.map((name, i) => [name, this.excluded[i] ?? 0])),
      unknown: this.unknown,
      lost: this.lost,
    };
  }

  /** Takes out what is not to be written. */
  private async decide(): Promise<void> {
    const { exclusion, crew, verify } = this.options;
    const { written } = this.input;
    const total = written.count();
    let done = 0;
    const spans = this.spans();
    if (exclusion.zero === 'keep' && !verify) {
      for (const { pages } of spans) {
        done += pages;
        this.step('deciding', done, total);
        await setImmediate();
      }
      return;
    }
    await inOrder(
      this.scanTasks(spans),
      crew.depth,
      ({ runs }) => crew.run({ kind: 'scan', runs, thorough: verify }),
      ({ findings }, { runs, before }) => {
        this.takeOutFound(runs, findings);
        this.step('deciding', before, total);
      },
    );
  }

  /** Goes through the pages span by span, and takes out of each what its class excludes before it is given. */
  private *spans(): Generator<{ readonly from: number; readonly to: number; readonly pages: number }> {
    const { written } = this.input;
    const { classes, keep, scrubbed } = this.options.exclusion;
    const bytes = new Uint8Array(DECIDED_PAGES);
    for (let from = written.next(0); from < written.length; ) {
      const to = Math.min(from + DECIDED_PAGES, written.length);
      const pages = written.count(from, to);
      if (keep !== undefined) this.takeOut(from, to, UNNEEDED, (pfn) => !keep.has(pfn));
      if (scrubbed !== undefined) this.takeOut(from, to, SCRUBBED, (pfn) => scrubbed.has(pfn));
      if (classes !== undefined) {
        const span = bytes.subarray(0, to - from);
        classes(from, span);
        this.takeOutClasses(from, to, span);
      }
      yield { from, to, pages };
      from = written.next(to);
    }
  }

  /** Takes pages out of those from `from` to before `to`, and counts them in a class. */
  private takeOut(from: number, to: number, index: number, wanted: (pfn: number) => boolean): void {
    const { written } = this.input;
    for (const [start, end] of written.runs(from, to)) {
      for (let pfn = start; pfn < end; pfn++) {
        if (!wanted(pfn)) continue;
        written.delete(pfn);
        this.excluded[index] = (this.excluded[index] ?? 0) + 1;
      }
    }
  }

  /** @param classes of the pages from `from` to before `to`: as a ClassDecider tells them */
  private takeOutClasses(from: number, to: number, classes: Uint8Array): void {
    const { written } = this.input;
    const { scrubbed } = this.options.exclusion;
    for (const [start, end] of written.runs(from, to)) {
      for (let pfn = start; pfn < end; pfn++) {
        const found = classes[pfn - from] as number;
        if (found === 0) continue;
        let index = found - 1;
        if (found === UNKNOWN_CLASS) {
          if (scrubbed === undefined) {
            this.unknown++;
            continue;
          }
          // It might be a user's.
          index = SCRUBBED;
        }
        written.delete(pfn);
        this.excluded[index] = (this.excluded[index] ?? 0) + 1;
      }
    }
  }

  private *scanTasks(
    spans: Iterable<{ readonly from: number; readonly to: number; readonly pages: number }>,
  ): Generator<{ readonly runs: Float64Array; readonly before: number }> {
    let before = 0;
    for (const { from, to, pages } of spans) {
      before += pages;
      for (const runs of runsOf(this.input.written, SCANNED_PAGES, from, to)) yield { runs, before };
    }
  }

  private takeOutFound(runs: Float64Array, findings: Uint8Array): void {
    const { written } = this.input;
    let at = 0;
    for (let i = 0; i < runs.length; i += 2) {
      const first = runs[i] as number;
      const count = runs[i + 1] as number;
      for (let pfn = first; pfn < first + count; pfn++) {
        const found = findings[at++];
        if (found === FOUND.lost) this.lose(pfn);
        else if (found === FOUND.zero && this.options.exclusion.zero === 'count') this.zero++;
        else if (found === FOUND.zero && this.options.exclusion.zero === 'drop') {
          written.delete(pfn);
          this.excluded[ZERO] = (this.excluded[ZERO] ?? 0) + 1;
        }
      }
    }
  }

  private lose(pfn: number): void {
    this.input.written.delete(pfn);
    this.lost++;
  }

  /** Writes the dump; once more without the pages that only then proved to be lost. */
  private async write(): Promise<WrittenFile[]> {
    const { output, description } = this.options;
    for (;;) {
      const { described, written } = this.input;
      const target = Output.begin(output, description, { described, written, count: written.count() });
      try {
        const lost = await this.writePages(target);
        if (lost.length === 0) return target.finish();
        for (const pfn of lost) this.lose(pfn);
        if (!target.repeatable) throw new Error(`${lost.length} pages were read, and then could not be`);
        target.abort();
      } catch (error) {
        target.abort();
        throw error;
      }
    }
  }

  private async writePages(target: Output): Promise<number[]> {
    const { crew, memory } = this.options;
    const { written } = this.input;
    const { pageSize } = memory;
    const total = written.count();
    const lost: number[] = [];
    const buffers: ArrayBuffer[] = [];
    let done = 0;
    this.zero = 0;
    await inOrder(
      runsOf(written, PAGES_PER_TASK),
      crew.depth,
      (runs) => {
        const buffer = buffers.pop() ?? new ArrayBuffer(packBufferBytes(PAGES_PER_TASK, pageSize));
        return crew.run({ kind: 'pack', runs, buffer });
      },
      (packed, runs) => {
        const chunk = packedChunk(packed, pageSize);
        for (const flags of chunk.flags) if (flags === ZERO_PAGE) this.zero++;
        lost.push(...packed.lost);
        // With a page missing it is no dump any more: what remains is to find the others.
        if (lost.length === 0) target.write(chunk);
        buffers.push(packed.buffer);
        done += pagesIn(runs);
        this.step('writing', done, total);
      },
    );
    return lost;
  }

  /** Packs samples from all over the memory, and tells how large the dump would be. */
  private async estimate(): Promise<WrittenFile[]> {
    const { crew, memory, output } = this.options;
    const { pageSize } = memory;
    const { written, described } = this.input;
    const count = written.count();
    let pages = 0;
    let bytes = 0;
    let zero = 0;
    await inOrder(
      samplesOf(written, count),
      crew.depth,
      (runs) => crew.run({ kind: 'pack', runs, buffer: new ArrayBuffer(packBufferBytes(SAMPLE_PAGES, pageSize)) }),
      (packed) => {
        const chunk = packedChunk(packed, pageSize);
        pages += packed.pages;
        bytes += chunk.data.length;
        for (const flags of chunk.flags) if (flags === ZERO_PAGE) zero++;
        this.step('deciding', count, count);
      },
    );
    const share = pages === 0 ? 0 : count / pages;
    if (this.options.exclusion.zero === 'keep') this.zero = Math.round(zero * share);
    return [{ name: output.name, bytes: sizeOf(output.format, described, count, bytes * share, this.zero, pageSize) }];
  }

  private step(phase: Phase, done: number, total: number): void {
    this.options.signal.throwIfAborted();
    this.options.listener({ phase, done, total });
  }
}

const SAMPLES = 128;
const SAMPLE_PAGES = 32;

/** Pages from places at equal distances; all of them, when there are few. */
function* samplesOf(written: PageBitmap, count: number): Generator<PageRuns> {
  const every = Math.max(1, Math.floor(count / SAMPLES / SAMPLE_PAGES));
  let at = 0;
  for (const runs of runsOf(written, SAMPLE_PAGES)) if (at++ % every === 0) yield runs;
}

/** @param bytes of all pages together, as they are packed */
function sizeOf(
  format: OutputFormat,
  described: PageBitmap,
  count: number,
  bytes: number,
  zero: number,
  pageSize: number,
): number {
  if (format === 'raw') return described.length * pageSize;
  if (format === 'elf') return Math.round(bytes + zero * pageSize);
  const bitmaps = 2 * Math.ceil(described.bits.length / pageSize) * pageSize;
  return Math.round(2 * pageSize + bitmaps + count * PAGE_DESC.size + bytes + (zero > 0 ? pageSize : 0));
}
