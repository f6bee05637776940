import type { Pfn } from '../bytes/address.js';
import type { UserScrub } from '../convert/scrub.js';
import type { MissingState, PhysicalMemory } from '../dump/memory.js';
import type { Kernel } from '../kernel/kernel.js';
import { ALWAYS_DROPPED, PAGE_CLASS, PageClassifier, readPageFacts } from '../kernel/memory/page-classes.js';
import { ThinnedMemory } from './thinned-memory.js';

/** A kernel's memory as a dump has it from which the data of users was scrubbed. */
export class ScrubbedMemory extends ThinnedMemory {
  private readonly classes: Uint8Array;

  constructor(
    kernel: Kernel,
    private readonly scrub: UserScrub,
  ) {
    const { memory } = kernel.machine;
    super(memory);
    this.classes = new Uint8Array(Math.ceil((memory.ranges().at(-1)?.end ?? 0) / this.pageSize));
    const classifier = new PageClassifier(kernel.memory, readPageFacts(kernel));
    for (const { start, end } of memory.ranges()) {
      const first = Math.floor(start / this.pageSize);
      classifier.classify(first, this.classes.subarray(first, Math.ceil(end / this.pageSize)));
    }
  }

  protected keeps(pfn: Pfn): boolean {
    const drops = this.scrub.classes | ALWAYS_DROPPED | PAGE_CLASS.unknown;
    return ((this.classes[pfn] ?? PAGE_CLASS.unknown) & drops) === 0 && !this.scrub.pages.has(pfn);
  }

  override page(pfn: Pfn): Uint8Array | MissingState {
    const page = super.page(pfn);
    return typeof page === 'string' ? page : this.blanked(page, pfn * this.pageSize);
  }

  private blanked(page: Uint8Array, start: number): Uint8Array {
    const { blank } = this.scrub;
    let low = 0;
    let high = blank.length / 2;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((blank[middle * 2 + 1] as number) > start) high = middle;
      else low = middle + 1;
    }
    if (!((blank[low * 2] ?? Number.POSITIVE_INFINITY) < start + page.length)) return page;
    const copy = page.slice();
    for (let at = low * 2; at < blank.length && (blank[at] as number) < start + page.length; at += 2) {
      copy.fill(0, Math.max(0, (blank[at] as number) - start), (blank[at + 1] as number) - start);
    }
    return copy;
  }
}

/** How often each text stands in memory, within single pages. */
export function occurrences(memory: PhysicalMemory, texts: readonly string[]): Map<string, number> {
  const counts = new Map(texts.map((text) => [text, 0]));
  for (const { start, end } of memory.presentRanges()) {
    for (let pfn = Math.floor(start / memory.pageSize); pfn * memory.pageSize < end; pfn++) {
      const page = memory.page(pfn as Pfn);
      if (typeof page === 'string') continue;
      const bytes = Buffer.from(page.buffer, page.byteOffset, page.length);
      for (const text of texts) {
        for (let at = bytes.indexOf(text); at >= 0; at = bytes.indexOf(text, at + 1)) {
          counts.set(text, (counts.get(text) ?? 0) + 1);
        }
      }
    }
  }
  return counts;
}
