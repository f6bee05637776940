import { checkHandover } from '../../check/check.js';
import type { NewNode } from '../../fdt/fdt-write.js';
import type { MemoryArea } from '../../model.js';
import { PAGE } from '../../source-reader.js';
import { u64 } from '../../testing/build.js';
import { FrameMemory, framesOf, type Run, Violation } from './frames.js';
import { isPattern, pattern } from './pattern.js';
import { framesIn, OWNER_2023, Series2023Kernel } from './series-2023-kernel.js';
import { type Claim, RAM } from './world.js';

/** Room for the next kernel, its tree and its mem cache. */
const SCRATCH: Run = { pfn: 0x1c0, count: 0x60 };
/** `struct buffer_page`: what tells of a page lies in a page that others use too. */
const RECORD = 56;
const RECORDS = Math.floor(PAGE / RECORD);
const RECORDS_OWNER = 'records';

interface KeptPage {
  readonly pfn: number;
  /** Of its record, in bytes. */
  readonly record: number;
}

/** Someone who hands over a ring of pages, as the ring buffer of a CPU is. */
interface Ring {
  readonly id: number;
  pages: KeptPage[];
  /** It will not be asked for its node in vain. */
  refuses: boolean;
  aborted: number;
}

/** A machine whose kernels have the series of 2023/24, and the truth beside it. */
export class World2023 {
  readonly memory = new FrameMemory(RAM);
  kernel = new Series2023Kernel(this.memory, SCRATCH);
  rings = new Map<string, Ring>();
  /** Of pages that nobody took: how many still name them. */
  unclaimed = new Map<number, number>();
  generation = 0;
  /** How many records each page of records holds. */
  private readonly records = new Map<number, Set<number>>();
  private nextId = 1;

  /** A ring of so many pages. False: there is no memory for it, or there is such a ring. */
  make(name: string, count: number, place: number): boolean {
    if (this.rings.has(name) || this.kernel.active) return false;
    const ring: Ring = { id: this.nextId++, pages: [], refuses: false, aborted: 0 };
    this.rings.set(name, ring);
    this.register(name, ring);
    for (let index = 0; index < count; index++) {
      const pfn = this.kernel.frames.allocate({ count: 1, owner: name, place: (place + index * 0.173) % 1 });
      const record = this.newRecord();
      if (pfn === undefined || record === undefined) throw new Violation('no memory for a ring');
      this.memory.fill(pfn, pattern(ring.id, index));
      ring.pages.push({ pfn, record });
    }
    return true;
  }

  private register(name: string, ring: Ring): void {
    this.kernel.users.set(name, {
      dump: () => (ring.refuses ? undefined : nodeOf(name, ring)),
      abort: () => ring.aborted++,
    });
  }

  private newRecord(): number | undefined {
    for (const [frame, used] of this.records) {
      for (let slot = 0; slot < RECORDS; slot++) {
        if (used.has(slot)) continue;
        used.add(slot);
        return frame * PAGE + slot * RECORD;
      }
    }
    const frame = this.kernel.frames.allocate({ count: 1, owner: RECORDS_OWNER });
    if (frame === undefined) return undefined;
    this.records.set(frame, new Set([0]));
    return frame * PAGE;
  }

  private freeRecord(record: number): void {
    const frame = Math.floor(record / PAGE);
    const used = this.records.get(frame);
    used?.delete((record % PAGE) / RECORD);
    if (used?.size !== 0) return;
    this.records.delete(frame);
    this.kernel.frames.free({ pfn: frame, count: 1 }, RECORDS_OWNER);
  }

  /** False: while it is active its memory stays. */
  drop(name: string): boolean {
    const ring = this.rings.get(name);
    if (ring === undefined || this.kernel.active) return false;
    for (const { pfn, record } of ring.pages) {
      this.kernel.frames.free({ pfn, count: 1 }, name);
      this.freeRecord(record);
    }
    this.rings.delete(name);
    this.kernel.users.delete(name);
    return true;
  }

  /** The next kernel. False: it cannot be loaded. */
  kexec(early: readonly number[], claims: readonly Claim[], image = this.kernel.load()): boolean {
    if (image === undefined) return false;
    const before = this.rings;
    this.kernel = Series2023Kernel.afterKexec(this.memory, SCRATCH, image, early);
    this.generation++;
    this.rings = new Map();
    this.records.clear();
    this.unclaimed.clear();
    if (image.active) this.take(before, claims);
    return true;
  }

  /** Users find their nodes: `trace_kho_fill` and the like. */
  private take(before: ReadonlyMap<string, Ring>, claims: readonly Claim[]): void {
    const { incoming } = this.kernel;
    for (const { areas } of incoming?.users ?? []) {
      for (const area of areas) for (const frame of framesIn(area)) count(this.unclaimed, frame, 1);
    }
    let turn = 0;
    for (const { name, areas } of incoming?.users ?? []) {
      const old = before.get(name);
      const claim = claims[turn++ % claims.length] ?? 'leave';
      if (old === undefined) throw new Violation(`${name} had nothing`);
      if (claim === 'leave') continue;
      const ring: Ring = { ...old, pages: [], aborted: 0 };
      for (const [index, area] of areas.entries()) {
        for (const frame of framesIn(area)) count(this.unclaimed, frame, -1);
        // The records are copied, the pages taken as they are.
        if (area.size < PAGE || claim === 'discard') this.kernel.returnMemory(area);
        else {
          this.kernel.claim(area, name);
          const record = this.newRecord();
          if (record === undefined) throw new Violation('no memory for a record');
          ring.pages.push({ pfn: area.address / PAGE, record });
          if (area.address !== (old.pages[(index - 1) / 2]?.pfn ?? 0) * PAGE) throw new Violation(`${name} is another`);
        }
      }
      if (claim === 'discard') continue;
      this.rings.set(name, ring);
      this.register(name, ring);
    }
  }

  /** The machine against the truth; throws Violation. */
  audit(): void {
    const { kernel, memory } = this;
    if (kernel.warnings !== 0) throw new Violation('something was claimed that others had too');
    const known = new Map<number, string>();
    const add = (frame: number, owner: string): void => {
      if (known.has(frame)) throw new Violation(`frame ${frame} is of ${known.get(frame)} and of ${owner}`);
      known.set(frame, owner);
    };
    for (const [name, { id, pages }] of this.rings) {
      for (const [index, { pfn }] of pages.entries()) {
        add(pfn, name);
        const page = memory.page(pfn as Parameters<FrameMemory['page']>[0]);
        if (typeof page === 'string' || !isPattern(page, id, index)) throw new Violation(`${name} was overwritten`);
      }
    }
    for (const frame of this.records.keys()) add(frame, RECORDS_OWNER);
    for (const [frame, left] of this.unclaimed) {
      add(frame, OWNER_2023.handed);
      if (kernel.references.get(frame) !== left) throw new Violation(`frame ${frame} has other users than those told`);
    }
    if (kernel.references.size !== this.unclaimed.size) throw new Violation('pages are counted that nobody left');
    const tree = kernel.incoming?.address;
    const length = kernel.incoming?.tree.totalSize ?? 0;
    if (tree !== undefined) for (const frame of framesIn({ address: tree, size: length })) add(frame, OWNER_2023.tree);
    for (const [frame, owner] of kernel.frames.owners) {
      if (owner === OWNER_2023.boot) continue;
      if (known.get(frame) !== owner) throw new Violation(`frame ${frame} of ${owner} leaked`);
      known.delete(frame);
    }
    const [lost] = known;
    if (lost !== undefined) throw new Violation(`frame ${lost[0]} of ${lost[1]} is free`);
    this.auditTree();
  }

  /** What the tree says is what its users have. */
  private auditTree(): void {
    const handover = this.kernel.outgoing();
    if (handover === undefined) return;
    const truth = new Set<number>();
    for (const ring of this.rings.values()) {
      for (const area of entriesOf(ring)) for (const frame of framesIn(area)) truth.add(frame);
    }
    let next = -1;
    for (const { address, size } of handover.preserved?.blocks ?? []) {
      if (address <= next) throw new Violation('blocks that overlap, or touch and are not one');
      next = address + size;
      for (const frame of framesOf({ pfn: address / PAGE, count: size / PAGE })) {
        if (!truth.delete(frame)) throw new Violation(`frame ${frame} is in the map`);
      }
    }
    if (truth.size > 0) throw new Violation(`${truth.size} frames are not in the map`);
    const wrong = checkHandover(handover, this.memory, undefined).find(({ severity }) => severity !== 'note');
    if (wrong !== undefined) throw new Violation(`check: ${wrong.about} ${wrong.message}`);
  }
}

/** Of each page its record, then itself. */
function entriesOf({ pages }: Ring): MemoryArea[] {
  return pages.flatMap(({ pfn, record }) => [
    { address: record, size: RECORD },
    { address: pfn * PAGE, size: PAGE },
  ]);
}

function nodeOf(name: string, ring: Ring): NewNode {
  const value = u64(...entriesOf(ring).flatMap(({ address, size }) => [address, size]));
  const compatible = new TextEncoder().encode('ftrace,cpu-v1\0');
  return {
    name,
    properties: [
      { name: 'compatible', value: compatible },
      { name: 'mem', value },
    ],
    children: [],
  };
}

function count(counts: Map<number, number>, frame: number, by: number): void {
  const sum = (counts.get(frame) ?? 0) + by;
  if (sum === 0) counts.delete(frame);
  else counts.set(frame, sum);
}
