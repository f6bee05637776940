import { hex, virtualAddress } from '../../bytes/address.js';
import { type Damage, ExhumeError } from '../../bytes/errors.js';
import { PageBitmap } from '../../dump/page-bitmap.js';
import { attempt } from '../../kernel/collect.js';
import type { KernelView } from '../../kernel/kernel-view.js';
import { PageArray } from '../../kernel/memory/pages.js';
import type { SlabObjects } from './slab-objects.js';
import { Spans } from './spans.js';

/** What is scrubbed. */
export type ScrubKind =
  | 'file pages on no list'
  | 'compressed pages'
  | 'pages on CPU free lists'
  | 'free slab objects'
  | 'socket buffers'
  | 'network page fragments'
  | 'pipes'
  | 'terminals'
  | 'keys'
  | 'messages';

/** How much of a kind was found. */
export interface Scrubbed {
  readonly kind: ScrubKind;
  readonly objects: number;
  readonly bytes: number;
}

/** Caches for buffers of any content: of kmalloc, and with their own sizes. In others are structures, where only damage leads. */
const BUFFERS = /^(dma-)?kmalloc|^(msg_msg|memdup_user)-|^skbuff_small_head$/;
/** Enough to know that something is wrong. */
const MOST_DAMAGE = 256;
/** No buffer of a kernel is larger, in bytes. */
const LARGEST = 1 << 26;

/** Gathers what is to be blank and what is to be left out, and counts it by kind. */
export class Blanking {
  private readonly spans = new Spans();
  private readonly kept = new Spans();
  private readonly dropped: PageBitmap;
  private readonly counts = new Map<ScrubKind, { objects: number; bytes: number }>();
  private readonly pageSize: number;
  private readonly pages: PageArray;

  /** Throws EXH_NO_LAYOUT for a kernel without one array of struct page. */
  constructor(
    readonly view: KernelView,
    readonly slabs: SlabObjects,
    readonly damage: Damage[],
  ) {
    const memory = view.kernel.machine.memory;
    this.pageSize = memory.pageSize;
    this.pages = new PageArray(view);
    this.dropped = PageBitmap.empty(Math.ceil((memory.ranges().at(-1)?.end ?? 0) / this.pageSize));
  }

  /** Does a step; what keeps it from being done is damage. */
  attempt<T>(part: string, step: () => T): T | undefined {
    return attempt(this.damage.length < MOST_DAMAGE ? this.damage : [], `scrubbing ${part}`, step);
  }

  /**
   * A buffer at a virtual address. Throws memory's errors, and EXH_BAD_STRUCTURE for one that no buffer can be: then
   * nothing of it is blanked.
   */
  buffer(kind: ScrubKind, address: bigint, length: number): void {
    if (length > LARGEST) throw notABuffer(address, `it would have ${length} bytes`);
    const parts: [start: number, end: number][] = [];
    for (let done = 0; done < length; ) {
      const at = virtualAddress(address + BigInt(done));
      const physical = this.view.memory.translate(at);
      if (physical === undefined) throw notABuffer(at, 'nothing is mapped there');
      const size = Math.min(this.pageSize - (physical % this.pageSize), length - done);
      this.checkBuffer(at, physical, physical + size);
      parts.push([physical, physical + size]);
      done += size;
    }
    for (const [start, end] of parts) this.add(kind, start, end);
    this.count(kind, 1, 0);
  }

  /** The rest of the slab object that an address lies in, from there on; of what is in no slab, `otherwise` bytes. */
  restOfObject(kind: ScrubKind, address: bigint, otherwise: number): void {
    const physical = this.view.memory.translate(virtualAddress(address));
    const object = physical === undefined ? undefined : this.slabs.at(physical);
    const known = object !== undefined && object !== 'broken' && physical !== undefined;
    this.buffer(kind, address, known ? object.end - physical : otherwise);
  }

  /** Part of a page, by its `struct page`. Throws EXH_BAD_STRUCTURE. */
  partOfPage(kind: ScrubKind, page: bigint, offset: number, length: number): void {
    const physical = this.pages.physicalOf(page);
    if (physical === undefined) throw notABuffer(page, 'it is no struct page');
    if (length > LARGEST) throw notABuffer(page, `it would have ${length} bytes`);
    const start = physical + offset;
    if (this.slabs.at(start) !== undefined) throw notABuffer(page, 'it is in a slab');
    this.add(kind, start, start + length);
    this.count(kind, 1, 0);
  }

  /** Physical memory that is known to hold nothing else. */
  add(kind: ScrubKind, start: number, end: number): void {
    this.spans.add(start, end);
    this.count(kind, 0, end - start);
  }

  /** Whole pages: they are left out of the dump. */
  drop(kind: ScrubKind, pfn: number, count: number): void {
    this.dropped.addRange(pfn, pfn + count);
    this.count(kind, 1, count * this.pageSize);
  }

  /** A whole page, by its `struct page`. Throws EXH_BAD_STRUCTURE. */
  dropPage(kind: ScrubKind, page: bigint, count = 1): void {
    const physical = this.pages.physicalOf(page);
    if (physical === undefined) throw notABuffer(page, 'it is no struct page');
    this.drop(kind, physical / this.pageSize, count);
  }

  /** A structure among what is blanked that stays. Throws EXH_NOT_MAPPED. */
  keep(address: bigint, length: number): void {
    for (let done = 0; done < length; ) {
      const physical = this.view.memory.translate(virtualAddress(address + BigInt(done)));
      if (physical === undefined) throw notABuffer(address, 'nothing is mapped there');
      const size = Math.min(this.pageSize - (physical % this.pageSize), length - done);
      this.kept.add(physical, physical + size);
      done += size;
    }
  }

  /** Physical addresses, start and end (first one after) of each span in turn, ascending, disjoint. */
  blank(): Float64Array {
    return this.spans.without(this.kept);
  }

  /** Pages to be left out. */
  get leftOut(): PageBitmap {
    return this.dropped;
  }

  /** By kind, in the order in which they were looked for. */
  get list(): Scrubbed[] {
    return [...this.counts].map(([kind, { objects, bytes }]) => ({ kind, objects, bytes }));
  }

  /** Counts a kind, which is on the list from then on. */
  count(kind: ScrubKind, objects: number, bytes: number): void {
    const counts = this.counts.get(kind) ?? { objects: 0, bytes: 0 };
    counts.objects += objects;
    counts.bytes += bytes;
    this.counts.set(kind, counts);
  }

  private checkBuffer(address: bigint, start: number, end: number): void {
    const object = this.slabs.at(start);
    if (object === undefined) return;
    if (object === 'broken') throw notABuffer(address, 'its slab cannot be read');
    if (!BUFFERS.test(object.cache)) throw notABuffer(address, `it is in the slab cache ${object.cache}`);
    if (object.free) throw notABuffer(address, 'it is free');
    if (start < object.start || end > object.end) throw notABuffer(address, 'it is larger than its slab object');
  }
}

function notABuffer(address: bigint, why: string): ExhumeError {
  return new ExhumeError('EXH_BAD_STRUCTURE', `no buffer is at ${hex(address)}: ${why}`, { address });
}
