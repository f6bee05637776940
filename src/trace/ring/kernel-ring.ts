import { type Damage, ExhumeError } from '../../bytes/errors.js';
import { viewOf } from '../../bytes/struct-table.js';
import { attempt } from '../../kernel/collect.js';
import { containerOf, type Struct } from '../../kernel/types/struct.js';
import type { SubBuffer, TraceCpu, TraceStatistics } from '../model.js';
import { PAGE_HEADER, pageOf } from './page.js';

/** In the links of a ring's pages: the next page is the head (1), or is about to be (2). */
const PAGE_FLAGS = 3n;
/** A larger sub-buffer the kernel does not make. */
const MOST_ORDER = 11;

/**
 * One CPU's ring in a kernel's memory (`struct ring_buffer_per_cpu`): the reader's page, which is outside the ring, then the ring
 * from its head page to the page that was committed last.
 */
export class KernelRing implements TraceCpu {
  readonly statistics: TraceStatistics | undefined;
  /** Of a sub-buffer, in bytes. */
  readonly size: number;

  /** @param order of the pages of a sub-buffer; throws EXH_BAD_STRUCTURE for one that no kernel has */
  constructor(
    readonly cpu: number,
    /** `struct ring_buffer_per_cpu` */
    readonly ring: Struct,
    order: number,
    private readonly damage: Damage[],
  ) {
    if (order > MOST_ORDER) throw new ExhumeError('EXH_BAD_STRUCTURE', `sub-buffers of 2^${order} pages`);
    this.size = ring.memory.physical.pageSize << order;
    this.statistics = attempt(damage, this.part, () => statisticsOf(ring));
  }

  private get part(): string {
    return `trace of CPU ${this.cpu}`;
  }

  subBuffers(): Iterable<SubBuffer> {
    return this.read(this.pages());
  }

  /** The last of them, oldest first; what is before isn't looked at. */
  latest(count: number): Iterable<SubBuffer> {
    return this.read(attempt(this.damage, this.part, () => this.lastPages(count)) ?? []);
  }

  /** What is on the reader's page alone. */
  readerPage(): Iterable<SubBuffer> {
    const reader = attempt(this.damage, this.part, () => this.ring.follow('reader_page'));
    return reader === undefined ? [] : this.read([reader]);
  }

  private *read(pages: Iterable<Struct>): Generator<SubBuffer> {
    const into = new Uint8Array(this.size);
    let missed = false;
    for (const page of pages) {
      const sub = attempt(this.damage, this.part, () => this.readPage(page, into));
      if (sub === undefined) missed = true;
      else if (sub.data.length > 0) {
        yield missed && sub.lost === 0 ? { ...sub, lost: -1 } : sub;
        missed = false;
      }
    }
  }

  private readPage(page: Struct, into: Uint8Array): SubBuffer {
    page.memory.read(page.pointer('page'), into);
    const sub = pageOf(into, viewOf(into), page.memory.littleEndian);
    if (sub === undefined) {
      throw new ExhumeError('EXH_BAD_STRUCTURE', `a page of the ring says that it holds more than ${this.size} bytes`, {
        address: page.address,
      });
    }
    const consumed = Math.min(page.int('read'), this.size - PAGE_HEADER);
    return { ...sub, consumed };
  }

  /** `struct buffer_page`s, oldest first. */
  private *pages(): Generator<Struct> {
    const { ring, damage, part } = this;
    const ends = attempt(damage, part, () => ({
      reader: ring.follow('reader_page'),
      commit: ring.pointer('commit_page'),
    }));
    if (ends?.reader === undefined) return;
    yield ends.reader;
    if (ends.reader.address === ends.commit) return;
    // The ring has at least its head; the bound is that of a damaged count.
    let left = attempt(damage, part, () => ring.int('nr_pages')) ?? 0;
    let page = attempt(damage, part, () => this.headPage(left));
    while (page !== undefined) {
      const here: Struct = page;
      yield here;
      if (here.address === ends.commit) return;
      page = attempt(damage, part, () => {
        if (--left <= 0) throw this.endless();
        return this.after(here);
      });
    }
  }

  /** From the page that was committed last back to the head, and to the reader's page. */
  private lastPages(count: number): Struct[] {
    const { ring } = this;
    const reader = ring.follow('reader_page');
    const commit = ring.follow('commit_page');
    if (reader === undefined || commit === undefined) return [];
    if (reader.address === commit.address) return [reader];
    const pages: Struct[] = [];
    let page = commit;
    while (pages.length < count) {
      pages.unshift(page);
      const before = containerOf(ring.memory, page.type, 'list', page.pointer('list.prev') & ~PAGE_FLAGS);
      if ((before.pointer('list.next') & PAGE_FLAGS) !== 0n) {
        if (pages.length < count) pages.unshift(reader);
        break;
      }
      page = before;
    }
    return pages;
  }

  /** The page whose predecessor's link is marked. `head_page` may be older: a writer that pushes the head on leaves it. */
  private headPage(pages: number): Struct {
    const { ring } = this;
    const told = ring.follow('head_page');
    if (told === undefined) throw new ExhumeError('EXH_BAD_STRUCTURE', 'the ring has no head page');
    let page = told;
    for (let step = 0; step < pages; step++) {
      const previous = containerOf(ring.memory, page.type, 'list', page.pointer('list.prev') & ~PAGE_FLAGS);
      const link = previous.pointer('list.next');
      if ((link & PAGE_FLAGS) !== 0n && (link & ~PAGE_FLAGS) === page.addressOf('list')) return page;
      page = this.after(page);
      if (page.address === told.address) break;
    }
    return told;
  }

  private after(page: Struct): Struct {
    return containerOf(page.memory, page.type, 'list', page.pointer('list.next') & ~PAGE_FLAGS);
  }

  private endless(): ExhumeError {
    return new ExhumeError('EXH_BAD_STRUCTURE', 'the ring comes round without its commit page', {
      address: this.ring.address,
    });
  }
}

/** As `per_cpu/cpuN/stats` counts. */
function statisticsOf(ring: Struct): TraceStatistics {
  const count = (member: string): number => ring.int(`${member}.a.counter`);
  const overrun = count('overrun');
  const readEvents = ring.int('read');
  return {
    entries: count('entries') - overrun - readEvents,
    overrun,
    commitOverrun: count('commit_overrun'),
    droppedEvents: count('dropped_events'),
    readEvents,
    bytes: count('entries_bytes') - ring.int('read_bytes'),
  };
}
