import type { Pfn, PhysicalAddress } from '../../../bytes/address.js';
import { type MissingState, type PageState, PhysicalMemory, type PhysicalRange } from '../../../dump/memory.js';
import { PAGE } from '../../source-reader.js';

/** RAM of one NUMA node, in page frames; the end is behind the last. */
export interface RamRange {
  readonly node: number;
  readonly start: number;
  readonly end: number;
}

/** Something that no kernel may do happened: memory used twice, given away by who does not have it, or lost. */
export class Violation extends Error {}

/** What stands in memory that nobody cares for: never zeros, which would read as something empty. */
const STALE = new Uint8Array(PAGE).fill(0xa5);

/** The machine's memory: the one thing that outlives a kernel. */
export class FrameMemory extends PhysicalMemory {
  readonly pageSize = PAGE;
  private readonly pages = new Map<number, Uint8Array>();
  /** Of pages that stand here. */
  private readonly views = new WeakMap<Uint8Array, DataView>();

  constructor(readonly ram: readonly RamRange[]) {
    super();
  }

  ranges(): readonly PhysicalRange[] {
    return this.ram.map(({ start, end }) => ({
      start: (start * PAGE) as PhysicalAddress,
      end: (end * PAGE) as PhysicalAddress,
    }));
  }

  /** The node whose RAM a frame is; undefined: there is none. */
  node(pfn: number): number | undefined {
    return this.ram.find(({ start, end }) => pfn >= start && pfn < end)?.node;
  }

  state(pfn: Pfn): PageState {
    return this.node(pfn) === undefined ? 'absent' : 'present';
  }

  page(pfn: Pfn): Uint8Array | MissingState {
    return this.pages.get(pfn) ?? (this.node(pfn) === undefined ? 'absent' : STALE);
  }

  /** The bytes of a frame, for writing. */
  at(pfn: number): Uint8Array {
    const known = this.pages.get(pfn);
    if (known !== undefined) return known;
    if (this.node(pfn) === undefined) throw new Violation(`write to frame ${pfn}, which is no RAM`);
    const page = STALE.slice();
    this.pages.set(pfn, page);
    return page;
  }

  view(pfn: number): DataView {
    const page = this.at(pfn);
    let view = this.views.get(page);
    if (view === undefined) {
      view = new DataView(page.buffer);
      this.views.set(page, view);
    }
    return view;
  }

  /** A frame of zeros that begins with these bytes. */
  fill(pfn: number, bytes: Uint8Array = new Uint8Array()): void {
    if (this.node(pfn) === undefined) throw new Violation(`write to frame ${pfn}, which is no RAM`);
    const page = new Uint8Array(PAGE);
    page.set(bytes);
    this.pages.set(pfn, page);
  }

  /** Whoever has the frame now, or nobody, writes over it. */
  overwrite(pfn: number): void {
    if (!Number.isInteger(pfn)) throw new Violation(`${pfn} is no frame`);
    this.pages.delete(pfn);
  }

  /** Everything is written over but what is kept. */
  overwriteAllBut(kept: (pfn: number) => boolean): void {
    for (const pfn of this.pages.keys()) if (!kept(pfn)) this.pages.delete(pfn);
  }
}

/** Frames behind each other. */
export interface Run {
  readonly pfn: number;
  readonly count: number;
}

export function* framesOf({ pfn, count }: Run): Generator<number> {
  for (let frame = pfn; frame < pfn + count; frame++) yield frame;
}

/** What is asked of the allocator. */
export interface Wanted {
  readonly count: number;
  readonly owner: string;
  /** Frames that the first one's number is a multiple of: 1 unless told. */
  readonly align?: number;
  /** Movable memory may lie in scratch areas, which are CMA. */
  readonly movable?: boolean;
  /** Where the search begins, as a part of all memory: from 0 to 1. */
  readonly place?: number;
}

/** One kernel's idea of who has which frame: its `struct page`s and its allocator. */
export class Frames {
  /** Of each frame that is not free. */
  readonly owners = new Map<number, string>();
  /** How many requests are granted before one fails; undefined: none fails. */
  granted: number | undefined;

  constructor(
    readonly memory: FrameMemory,
    readonly scratch: readonly Run[],
  ) {}

  inScratch(frame: number): boolean {
    return this.scratch.some(({ pfn, count }) => frame >= pfn && frame < pfn + count);
  }

  overlapsScratch({ pfn, count }: Run): boolean {
    return this.scratch.some((area) => pfn < area.pfn + area.count && pfn + count > area.pfn);
  }

  /** Frames behind each other, of one node; undefined when there are none, or the request is to fail. */
  allocate({ count, owner, align = 1, movable = false, place = 0 }: Wanted): number | undefined {
    if (this.granted !== undefined && this.granted-- <= 0) {
      this.granted = undefined;
      return undefined;
    }
    const { ram } = this.memory;
    const first = Math.floor(place * ram.length);
    for (let turn = 0; turn <= ram.length; turn++) {
      const range = ram[(first + turn) % ram.length];
      if (range === undefined) break;
      const skipped = turn === 0 ? (place * ram.length - first) * (range.end - range.start) : 0;
      let pfn = Math.ceil((range.start + Math.floor(skipped)) / align) * align;
      while (pfn + count <= range.end) {
        const taken = this.lastTaken({ pfn, count }, movable);
        if (taken === undefined) {
          this.own({ pfn, count }, owner);
          return pfn;
        }
        pfn = Math.ceil((taken + 1) / align) * align;
      }
    }
    return undefined;
  }

  private lastTaken({ pfn, count }: Run, movable: boolean): number | undefined {
    for (let frame = pfn + count - 1; frame >= pfn; frame--) {
      if (this.owners.has(frame) || (!movable && this.inScratch(frame))) return frame;
    }
    return undefined;
  }

  /** Frames that were free get an owner. */
  own(run: Run, owner: string): void {
    for (const frame of framesOf(run)) {
      const before = this.owners.get(frame);
      if (before !== undefined) throw new Violation(`frame ${frame} of ${before} is handed out to ${owner}`);
      if (this.memory.node(frame) === undefined) throw new Violation(`frame ${frame} for ${owner} is no RAM`);
      this.owners.set(frame, owner);
    }
  }

  /** Frames change hands. */
  move(run: Run, from: string, to: string): void {
    for (const frame of framesOf(run)) {
      const before = this.owners.get(frame);
      if (before !== from) throw new Violation(`frame ${frame} of ${before} is taken from ${from} by ${to}`);
      this.owners.set(frame, to);
    }
  }

  /** Frames become free, and are soon something else. */
  free(run: Run, owner: string): void {
    for (const frame of framesOf(run)) {
      const before = this.owners.get(frame);
      if (before !== owner) throw new Violation(`frame ${frame} of ${before} is freed by ${owner}`);
      this.owners.delete(frame);
      this.memory.overwrite(frame);
    }
  }
}
