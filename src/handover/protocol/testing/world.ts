import { checkHandover } from '../../check/check.js';
import { fdtStrings, fdtValue, readFdt } from '../../fdt/fdt.js';
import { type NewNode, writeFdt } from '../../fdt/fdt-write.js';
import type { Handover, MemoryArea, PreservedBlock } from '../../model.js';
import { HandoverReader, PAGE, u64Of } from '../../source-reader.js';
import { u64 } from '../../testing/build.js';
import { readVmalloc } from '../../upstream/lists.js';
import { FrameMemory, framesOf, type RamRange, type Run, Violation } from './frames.js';
import { isPattern, pattern } from './pattern.js';
import { OWNER, type Refusal, type UpstreamFormat, UpstreamKernel } from './upstream-kernel.js';

/** Two nodes that touch amid a block, a hole in each, and memory above 4 GiB. */
export const RAM: readonly RamRange[] = [
  { node: 0, start: 0x100, end: 0x280 },
  { node: 0, start: 0x2c3, end: 0x3fc },
  { node: 1, start: 0x3fc, end: 0x7a1 },
  { node: 1, start: 0x700003, end: 0x700180 },
];
/** As `kho_reserve_scratch` has them: for low memory, for all, and one for each node. */
export const SCRATCH: readonly Run[] = [
  { pfn: 0x120, count: 0x20 },
  { pfn: 0x1c0, count: 0x40 },
  { pfn: 0x340, count: 0x20 },
  { pfn: 0x480, count: 0x20 },
];

export type ItemKind = 'folio' | 'pages' | 'vmalloc';

/** Memory that a user of the old kernel has: one piece, or many of 2^order frames that were mapped as one. */
export interface Item {
  readonly id: number;
  readonly kind: ItemKind;
  readonly order: number;
  readonly pieces: readonly Run[];
  preserved: boolean;
  /** `struct kho_vmalloc` of one that is preserved. */
  descriptor: Uint8Array | undefined;
  /** Who names it to the next kernel. */
  user: string | undefined;
}

/** What the next kernel does with something that it was handed. */
export type Claim = 'restore' | 'discard' | 'leave';

const ITEM = 'reserve-mem-v1';
const VMALLOC = 'vmalloc';

/**
 * A machine over several kernels, and beside it the plain truth: who has what, told by what was asked for and granted.
 * `audit` holds the one against the other.
 */
export class World {
  readonly memory = new FrameMemory(RAM);
  kernel: UpstreamKernel;
  items = new Map<number, Item>();
  /** Users that named something: the frame of their description. */
  readonly users = new Map<string, number>();
  /** Frames that were handed over and that nobody took. */
  unclaimed = new Set<number>();
  generation = 0;
  private nextId = 1;

  constructor(readonly format: UpstreamFormat) {
    this.kernel = UpstreamKernel.coldBoot(this.memory, format, SCRATCH);
  }

  /** Memory is allocated and written to. Undefined: there is none. */
  make(kind: ItemKind, count: number, order: number, place: number): Item | undefined {
    const id = this.nextId++;
    const owner = ownerOf(id);
    const pieces: Run[] = [];
    const size = kind === 'pages' ? count : 2 ** order;
    for (let piece = 0; piece < (kind === 'vmalloc' ? count : 1); piece++) {
      const wanted = { count: size, owner, align: kind === 'pages' ? 1 : size };
      const pfn = this.kernel.allocate({ ...wanted, place: (place + piece * 0.37) % 1 });
      if (pfn === undefined) {
        for (const run of pieces) this.kernel.frames.free(run, owner);
        return undefined;
      }
      pieces.push({ pfn, count: size });
    }
    const item: Item = { id, kind, order, pieces, preserved: false, descriptor: undefined, user: undefined };
    this.items.set(id, item);
    for (const [index, frame] of framesIn(item).entries()) this.memory.fill(frame, pattern(id, index));
    return item;
  }

  preserve(item: Item): Refusal | undefined {
    const [piece] = item.pieces;
    if (piece === undefined) return undefined;
    let refused: Refusal | undefined;
    if (item.kind === 'folio') refused = this.kernel.preserveFolio(piece.pfn, item.order);
    else if (item.kind === 'pages') refused = this.kernel.preservePages(piece);
    else {
      const starts = item.pieces.map(({ pfn }) => pfn);
      const descriptor = this.kernel.preserveVmalloc(starts, item.order);
      if (typeof descriptor === 'string') refused = descriptor;
      else item.descriptor = descriptor;
    }
    item.preserved = refused === undefined;
    return refused;
  }

  unpreserve(item: Item): Refusal | undefined {
    const [piece] = item.pieces;
    if (piece === undefined) return undefined;
    let refused: Refusal | undefined;
    if (item.kind === 'folio') refused = this.kernel.unpreserveFolio(piece.pfn, item.order);
    else if (item.kind === 'pages') refused = this.kernel.unpreservePages(piece);
    else if (item.descriptor !== undefined) refused = this.kernel.unpreserveVmalloc(item.descriptor);
    if (refused !== undefined) return refused;
    item.preserved = false;
    item.descriptor = undefined;
    return undefined;
  }

  free(item: Item): void {
    for (const run of item.pieces) this.kernel.frames.free(run, ownerOf(item.id));
    this.items.delete(item.id);
  }

  /** A user describes what it preserved, and names the description in the tree. */
  publish(user: string, items: readonly Item[]): Refusal | undefined {
    const pfn = this.kernel.allocatePreserved(blobOwner(user));
    if (pfn === undefined) return this.kernel.finalized ? 'EBUSY' : 'ENOMEM';
    const bytes = description(items);
    const refused = bytes.length > PAGE ? 'ENOMEM' : this.kernel.addSubtree(user, pfn, bytes.length);
    if (refused !== undefined) {
      this.kernel.unpreserveFolio(pfn, 0);
      this.kernel.frames.free({ pfn, count: 1 }, blobOwner(user));
      return refused;
    }
    this.memory.fill(pfn, bytes);
    this.users.set(user, pfn);
    for (const item of items) item.user = user;
    return undefined;
  }

  withdraw(user: string): Refusal | undefined {
    const pfn = this.users.get(user);
    if (pfn === undefined) return 'ENOENT';
    if (this.kernel.unpreserveFolio(pfn, 0) !== undefined) return 'EBUSY';
    this.kernel.removeSubtree(pfn);
    this.kernel.frames.free({ pfn, count: 1 }, blobOwner(user));
    this.users.delete(user);
    for (const item of this.items.values()) if (item.user === user) item.user = undefined;
    return undefined;
  }

  /**
   * The next kernel: booted, and its users have taken what they want. False: there is no room for it.
   * @param early frames of its first requests
   * @param claims what is done with what was named, in turns
   */
  kexec(early: readonly number[], claims: readonly Claim[]): boolean {
    const image = this.kernel.load();
    if (image === undefined) return false;
    const crossed = this.preservedFrames();
    const before = this.items;
    this.kernel = UpstreamKernel.afterKexec(this.memory, this.format, image, early);
    this.generation++;
    this.items = new Map();
    this.users.clear();
    const { incoming } = this.kernel;
    for (const frame of ownFrames(incoming)) crossed.delete(frame);
    this.unclaimed = crossed;
    let turn = 0;
    for (const { name, blob } of incoming?.users ?? []) {
      if (name === OWNER.metadata || blob === undefined) continue;
      for (const told of described(this.memory, blob)) {
        const item = before.get(told.id);
        if (item === undefined) throw new Violation(`${name} names ${told.id}, which nobody had`);
        this.claim(item, told, claims[turn++ % claims.length] ?? 'leave');
      }
      const run = { pfn: blob.address / PAGE, count: 1 };
      if (this.kernel.restoreFolio(run.pfn, blobOwner(name)) === undefined) throw new Violation(`no ${name}`);
      this.kernel.frames.free(run, blobOwner(name));
      this.unclaimed.delete(run.pfn);
    }
    return true;
  }

  private claim(item: Item, told: Described, claim: Claim): void {
    if (claim === 'leave') return;
    const { kernel, memory, unclaimed } = this;
    const owner = ownerOf(item.id);
    let pieces: Run[];
    if (told.descriptor !== undefined) {
      const chunks = readVmalloc(new HandoverReader(memory), viewOf(told.descriptor)).own;
      const area = kernel.restoreVmalloc(told.descriptor, owner);
      if (area === undefined) throw new Violation(`${owner} cannot be restored`);
      pieces = area.pieces.map(runOf);
      for (const { address } of chunks) unclaimed.delete(address / PAGE);
    } else {
      const run = runOf(told.area);
      const done =
        told.kind === 'folio'
          ? kernel.restoreFolio(run.pfn, owner)?.count === run.count
          : kernel.restorePages(run, owner);
      if (!done) throw new Violation(`${owner} cannot be restored`);
      pieces = [run];
    }
    const same = pieces.every(({ pfn, count }, at) => pfn === item.pieces[at]?.pfn && count === item.pieces[at]?.count);
    if (!same || pieces.length !== item.pieces.length) throw new Violation(`${owner} is another after the kexec`);
    const restored: Item = { ...item, pieces, preserved: false, descriptor: undefined, user: undefined };
    for (const frame of framesIn(restored)) unclaimed.delete(frame);
    this.items.set(item.id, restored);
    this.compare(restored);
    if (claim === 'discard') this.free(restored);
  }

  /** Every frame that is to cross, as those who asked for it know. */
  preservedFrames(): Set<number> {
    const frames = new Set<number>();
    for (const run of this.preservedRuns()) for (const frame of framesOf(run)) frames.add(frame);
    return frames;
  }

  private *preservedRuns(): Generator<Run> {
    yield { pfn: this.kernel.tree / PAGE, count: 1 };
    for (const [frame, owner] of this.kernel.frames.owners) {
      if (owner === OWNER.metadata || owner === OWNER.chunk) yield { pfn: frame, count: 1 };
    }
    for (const pfn of this.users.values()) yield { pfn, count: 1 };
    for (const item of this.items.values()) if (item.preserved) yield* item.pieces;
  }

  /** What crossed or was only kept has the bytes that were written. */
  compare(item: Item): void {
    for (const [index, frame] of framesIn(item).entries()) {
      const page = this.memory.page(frame as Parameters<FrameMemory['page']>[0]);
      if (typeof page === 'string' || !isPattern(page, item.id, index)) {
        throw new Violation(`item ${item.id} was overwritten in frame ${frame}`);
      }
    }
  }

  /** The machine against the truth; throws Violation. */
  audit(): void {
    for (const item of this.items.values()) this.compare(item);
    this.auditOwners();
    if (!this.kernel.listed || this.kernel.finalized) this.auditMap();
  }

  /** Every frame is free or has one owner, who knows of it. */
  auditOwners(): void {
    if (this.kernel.warnings !== 0) throw new Violation('something was unpreserved that was not preserved');
    const known = new Map<number, string>();
    const add = (frame: number, owner: string): void => {
      const before = known.get(frame);
      if (before !== undefined) throw new Violation(`frame ${frame} is of ${before} and of ${owner}`);
      known.set(frame, owner);
    };
    for (const item of this.items.values()) for (const frame of framesIn(item)) add(frame, ownerOf(item.id));
    for (const [user, pfn] of this.users) add(pfn, blobOwner(user));
    for (const item of this.items.values()) {
      if (item.descriptor === undefined) continue;
      const { own } = readVmalloc(new HandoverReader(this.memory), viewOf(item.descriptor));
      for (const { address } of own) add(address / PAGE, OWNER.chunk);
    }
    for (const frame of this.unclaimed) add(frame, OWNER.preserved);
    for (const frame of this.kernel.record.frames()) add(frame, OWNER.map);
    add(this.kernel.tree / PAGE, OWNER.tree);
    for (const frame of ownFrames(this.kernel.incoming)) add(frame, OWNER.incoming);
    for (const [frame, owner] of this.kernel.frames.owners) {
      if (owner === OWNER.boot || owner === OWNER.scratchArray || owner === OWNER.metadata) continue;
      if (known.get(frame) !== owner) throw new Violation(`frame ${frame} of ${owner} leaked`);
      known.delete(frame);
    }
    const [lost] = known;
    if (lost !== undefined) throw new Violation(`frame ${lost[0]} of ${lost[1]} is free`);
  }

  /** The map in memory says what was asked for, and nothing else; and nothing is wrong with the handover. */
  private auditMap(): void {
    const handover = this.kernel.outgoing();
    const blocks = handover.preserved?.blocks ?? [];
    const truth = this.preservedFrames();
    const runs = [...this.preservedRuns()].sort((a, b) => a.pfn - b.pfn);
    let next = 0;
    for (const { address, size } of blocks) {
      const block = runOf({ address, size });
      if (block.pfn < next) throw new Violation(`the block at frame ${block.pfn} overlaps the one before`);
      next = block.pfn + block.count;
      if (block.pfn % block.count !== 0) throw new Violation(`a block of ${block.count} frames at ${block.pfn}`);
      const run = runs.findLast(({ pfn }) => pfn <= block.pfn);
      if (run === undefined || next > run.pfn + run.count) throw new Violation(`frame ${block.pfn} is in the map`);
      for (const frame of framesOf(block)) truth.delete(frame);
    }
    const [missing] = truth;
    if (missing !== undefined) throw new Violation(`frame ${missing} is not in the map`);
    for (const item of this.items.values()) {
      if (item.preserved && item.kind === 'folio') this.auditFolio(item, blocks);
    }
    const own = new Set(this.kernel.record.frames());
    const read = new Set(handover.preserved?.own.map(({ address }) => Math.floor(address / PAGE)));
    for (const frame of read) if (!own.delete(frame)) throw new Violation(`the map has frame ${frame} of someone else`);
    const [unreached] = own;
    if (unreached !== undefined) throw new Violation(`frame ${unreached} of the map cannot be reached`);
    const [finding] = checkHandover(handover, this.memory, undefined);
    if (finding !== undefined) throw new Violation(`check: ${finding.about} ${finding.message}`);
    if (handover.damage[0] !== undefined) throw new Violation(`damage: ${handover.damage[0].message}`);
  }

  private auditFolio({ id, order, pieces }: Item, blocks: readonly PreservedBlock[]): void {
    const address = (pieces[0]?.pfn ?? 0) * PAGE;
    if (!blocks.some((block) => block.address === address && block.order === order)) {
      throw new Violation(`folio ${id} is not in the map as one block`);
    }
  }
}

function ownerOf(id: number): string {
  return `item ${id}`;
}

function blobOwner(user: string): string {
  return `description of ${user}`;
}

function runOf({ address, size }: MemoryArea): Run {
  return { pfn: address / PAGE, count: size / PAGE };
}

function framesIn({ pieces }: Item): number[] {
  return pieces.flatMap((run) => [...framesOf(run)]);
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
}

/** The tree and the metadata that a kernel was handed, which it keeps. */
function ownFrames(incoming: Handover | undefined): number[] {
  if (incoming === undefined) return [];
  const metadata = incoming.users.find(({ name }) => name === OWNER.metadata)?.blob;
  return [incoming.address, metadata?.address].filter((one) => one !== undefined).map((one) => one / PAGE);
}

/** A description as the next kernel reads it. */
interface Described {
  readonly id: number;
  readonly kind: string;
  readonly area: MemoryArea;
  readonly descriptor: Uint8Array | undefined;
}

/**
 * A device tree, as `memblock` and `lib/test_kho.c` leave them.
 * @param shift bytes that it is wrong by about where memory begins
 */
export function description(items: readonly Item[], shift = 0): Uint8Array {
  const text = (value: string) => new TextEncoder().encode(`${value}\0`);
  const children = items.map(({ id, kind, pieces, descriptor }): NewNode => {
    const [piece] = pieces;
    const properties =
      descriptor !== undefined
        ? [{ name: VMALLOC, value: descriptor }]
        : [
            { name: 'compatible', value: text(ITEM) },
            { name: 'start', value: u64((piece?.pfn ?? 0) * PAGE + shift) },
            { name: 'size', value: u64((piece?.count ?? 0) * PAGE) },
            { name: 'kind', value: text(kind) },
          ];
    return { name: String(id), properties, children: [] };
  });
  const properties = [{ name: 'compatible', value: text('model-v1') }];
  return writeFdt({ root: { name: '', properties, children } }, 'sequential');
}

function described(memory: FrameMemory, blob: MemoryArea): Described[] {
  const { root } = readFdt(memory.bytes(blob.address, blob.size));
  return root.children.map((node) => ({
    id: Number(node.name),
    kind: fdtStrings(fdtValue(node, 'kind'))[0] ?? VMALLOC,
    area: {
      address: Number(u64Of(fdtValue(node, 'start')) ?? 0n),
      size: Number(u64Of(fdtValue(node, 'size')) ?? 0n),
    },
    descriptor: fdtValue(node, VMALLOC)?.slice(),
  }));
}
