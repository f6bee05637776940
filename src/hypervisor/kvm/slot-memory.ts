import type { Pfn, PhysicalAddress } from '../../bytes/address.js';
import { IntervalIndex } from '../../dump/intervals.js';
import {
  joinRanges,
  type MissingState,
  PAGE_STATES,
  type PageState,
  PhysicalMemory,
  type PhysicalRange,
  PRESENT,
} from '../../dump/memory.js';
import type { Occupancy } from '../guest.js';
import { CHUNK_PAGES, isSwapped, PAGE, type ProcessPages, swapPlace } from './process-pages.js';

const PAGE_BYTES = 4096;
/** Whoever gets it must not write to it. */
const ZEROS = new Uint8Array(PAGE_BYTES);

/** Where a range of a guest's page frames lies in the process that runs it. */
export interface SlotRange {
  /** The guest's first page frame. */
  readonly first: number;
  readonly pages: number;
  /** Its virtual address in the process, divided by 4096. */
  readonly processPage: number;
  readonly pagesOf: Pick<ProcessPages, 'at' | 'isUntouched'>;
}

/** Pages that are in the host's swap. */
export interface SwapReader {
  read(type: number, offset: number): Uint8Array | MissingState;
}

const EXCLUDED = PAGE_STATES.indexOf('excluded');
const LOST = PAGE_STATES.indexOf('lost');

/**
 * A guest's physical memory, by KVM's memory slots and the page table of the process that they are in.
 *
 * Pages that were never touched, and those that a balloon gave back, are zeros: that is what the guest would read, and
 * what a hypervisor's own dump has. They are present, and no page of the host's dump stands behind them.
 * What the host's dump lacks is excluded or lost here as it is there.
 */
export class SlotMemory extends PhysicalMemory {
  readonly pageSize = PAGE_BYTES;
  private readonly index: IntervalIndex;
  private present: readonly PhysicalRange[] | undefined;

  /** @param slots ascending by `first`, not overlapping */
  constructor(
    readonly host: PhysicalMemory,
    private readonly slots: readonly SlotRange[],
    private readonly swap: SwapReader,
  ) {
    super();
    this.index = IntervalIndex.of(slots.map(({ first, pages }) => ({ start: first, end: first + pages })));
  }

  ranges(): readonly PhysicalRange[] {
    return joinRanges(this.slots.map(({ first, pages }) => rangeOf(first, first + pages)));
  }

  /** Chunks of which nothing was ever touched are left out: they are zeros, and there is nothing to find in them. */
  override presentRanges(): readonly PhysicalRange[] {
    this.present ??= joinRanges([...this.touched()]);
    return this.present;
  }

  private *touched(): Generator<PhysicalRange> {
    for (const { first, pages, processPage, pagesOf } of this.slots) {
      for (let done = 0; done < pages; ) {
        const at = processPage + done;
        const length = Math.min(CHUNK_PAGES - (at % CHUNK_PAGES), pages - done);
        if (!pagesOf.isUntouched(Math.floor(at / CHUNK_PAGES))) yield rangeOf(first + done, first + done + length);
        done += length;
      }
    }
  }

  state(pfn: Pfn): PageState {
    return PAGE_STATES[this.stateOf(this.locate(pfn))] as PageState;
  }

  override states(first: number, into: Uint8Array): void {
    this.runs(first, into.length, (at, from, count) => {
      const part = into.subarray(from, from + count);
      if (at >= 0) this.host.states(at, part);
      else part.fill(this.stateOf(at));
      return true;
    });
  }

  page(pfn: Pfn): Uint8Array | MissingState {
    const at = this.locate(pfn);
    return at >= 0 ? this.host.page(at as Pfn) : this.elsewhere(at);
  }

  override peek(pfn: Pfn): Uint8Array | MissingState {
    const at = this.locate(pfn);
    return at >= 0 ? this.host.peek(at as Pfn) : this.elsewhere(at);
  }

  override readPages(first: number, into: Uint8Array): number {
    let done = 0;
    this.runs(first, Math.floor(into.length / PAGE_BYTES), (at, from, count) => {
      const part = into.subarray(from * PAGE_BYTES, (from + count) * PAGE_BYTES);
      let read = count;
      if (at >= 0) {
        read = this.host.readPages(at, part);
      } else {
        const page = this.elsewhere(at);
        if (typeof page === 'string') read = 0;
        else for (let i = 0; i < count; i++) part.set(page, i * PAGE_BYTES);
      }
      done += read;
      return read === count;
    });
    return done;
  }

  /** Where the pages of a guest are: for its own report. Reads all of the page table. */
  occupancy(): Occupancy {
    const counts = { described: 0, present: 0, untouched: 0, swapped: 0, excluded: 0, lost: 0 };
    const states = new Uint8Array(2 ** 16);
    for (const { first, pages } of this.slots) {
      counts.described += pages;
      this.runs(first, pages, (at, _, count) => {
        if (at === PAGE.untouched) counts.untouched += count;
        for (let done = 0; done < count; done += states.length) {
          const part = states.subarray(0, Math.min(count - done, states.length));
          if (at >= 0) this.host.states(at + done, part);
          else part.fill(this.stateOf(at));
          for (const state of part) {
            if (state === PRESENT) {
              counts.present++;
              if (isSwapped(at)) counts.swapped++;
            } else if (state === EXCLUDED) counts.excluded++;
            else if (state === LOST) counts.lost++;
          }
        }
        return true;
      });
    }
    return counts;
  }

  /** The host's page frame behind a page, or one of PAGE, or a page in swap. */
  locate(pfn: number): number {
    const slot = this.slotOf(pfn);
    return slot === undefined ? PAGE.absent : slot.pagesOf.at(slot.processPage + pfn - slot.first);
  }

  /**
   * Tells of pages that are alike and follow each other in the host's memory: where the first is (as `locate` has it),
   * which of the pages asked for it is, and how many they are. Ends when it gives back false.
   */
  private runs(first: number, count: number, each: (at: number, from: number, count: number) => boolean): void {
    let from = 0;
    let start = PAGE.absent as number;
    for (let i = 0; i < count; i++) {
      const at = this.locate(first + i);
      const follows = i > 0 && (start >= 0 ? at === start + i - from : at === start && !isSwapped(at));
      if (follows) continue;
      if (i > 0 && !each(start, from, i - from)) return;
      from = i;
      start = at;
    }
    if (count > 0) each(start, from, count - from);
  }

  private slotOf(pfn: number): SlotRange | undefined {
    return this.slots[this.index.ownerAt(pfn)];
  }

  private stateOf(at: number): number {
    if (at >= 0) return PAGE_STATES.indexOf(this.host.state(at as Pfn));
    const page = this.elsewhere(at);
    return typeof page === 'string' ? PAGE_STATES.indexOf(page) : PRESENT;
  }

  /** A page that is no page frame of the host. */
  private elsewhere(at: number): Uint8Array | MissingState {
    if (isSwapped(at)) {
      const { type, offset } = swapPlace(at);
      return this.swap.read(type, offset);
    }
    switch (at) {
      case PAGE.untouched:
        return ZEROS;
      case PAGE.excluded:
        return 'excluded';
      case PAGE.lost:
        return 'lost';
      default:
        return 'absent';
    }
  }
}

function rangeOf(first: number, end: number): PhysicalRange {
  return { start: (first * PAGE_BYTES) as PhysicalAddress, end: (end * PAGE_BYTES) as PhysicalAddress };
}
