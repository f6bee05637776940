import { type NewNode, writeFdt } from '../../fdt/fdt-write.js';
import type { Handover, MemoryArea } from '../../model.js';
import { HandoverReader, PAGE } from '../../source-reader.js';
import { u64 } from '../../testing/build.js';
import { readVmalloc, type VmallocArea } from '../../upstream/lists.js';
import { KEXEC_METADATA, KHO_VMALLOC } from '../../upstream/structures.js';
import { type Block, blocksIn } from './blocks.js';
import { type FrameMemory, Frames, framesOf, type Run, Violation, type Wanted } from './frames.js';
import { handoverAt, readScratch, scratchBytes } from './handed.js';
import { addSegment, copySegments, type Segment } from './kexec-image.js';
import { GrownRadixTree, ListedBitmaps, type PreservedRecord } from './preserved-maps.js';

/** What a kernel takes and hands over: of 7.1 and 7.2, of 6.17.9 to 7.0, of 6.16 and 6.17 (with bitmaps of 512 bytes). */
export const UPSTREAM_FORMATS = ['kho-v4', 'kho-v1', 'kho-v1, 512'] as const;
export type UpstreamFormat = (typeof UPSTREAM_FORMATS)[number];

/** Why the kernel refuses. */
export type Refusal = 'EINVAL' | 'ENOMEM' | 'EBUSY' | 'EEXIST' | 'ENOENT';

/** Who has frames of the kernel's own. */
export const OWNER = {
  boot: 'boot',
  map: 'map of preserved memory',
  tree: 'tree to hand over',
  metadata: 'kexec-metadata',
  scratchArray: 'array of scratch areas',
  incoming: 'tree that was handed over',
  /** Kept back until the kernel is up. */
  scratch: 'scratch areas',
  /** Reserved, as the kernel before preserved it, and nobody took it yet. */
  preserved: 'preserved, not claimed',
  chunk: 'list of pages',
} as const;

/** `KHO_VMALLOC_SIZE` */
const PER_CHUNK = PAGE / 8 - 1;
/** Of the first kho-v1, in bytes. */
const SMALL_BITMAP = 512;
/** Frames of the next kernel itself. */
const KERNEL_FRAMES = 5;
/** `INIT_MEMBLOCK_RESERVED_REGIONS`, and `sizeof(struct memblock_region)`. */
const FIRST_REGIONS = 128;
const REGION = 24;

/** A kernel that is loaded, to be jumped to. */
export interface Image {
  readonly segments: readonly Segment[];
  /** Where the tree stands, as `kho_fill_kimage` noted it. */
  readonly tree: number;
}

interface Subtree {
  readonly name: string;
  readonly pfn: number;
  readonly size: number;
}

/**
 * A kernel with kexec handover, as kernel/liveupdate/kexec_handover.c has it: of 7.2, or before that with bitmaps
 * and `finalize`. What it hands over it writes into simulated memory; what it is handed it reads out of there
 * with exhume's readers.
 */
export class UpstreamKernel {
  readonly frames: Frames;
  /** `CONFIG_KEXEC_HANDOVER_DEBUG`: memory in scratch areas is refused. */
  debug = true;
  /** With the faults that 7.2 has, and not as it is meant: see docs/formats/kho.md. */
  asReleased = false;
  /** What it was handed, as it read it before anything else. */
  incoming: Handover | undefined;
  finalized = false;
  /** `WARN_ON`s about memory that nobody had preserved. */
  warnings = 0;
  private subtrees: readonly Subtree[] = [];
  /** `page->private` of frames that begin a preserved block. */
  private readonly heads = new Map<number, number>();
  private made: { readonly record: GrownRadixTree | ListedBitmaps; readonly tree: number } | undefined;

  private constructor(
    readonly memory: FrameMemory,
    readonly format: UpstreamFormat,
    scratch: readonly Run[],
    private readonly scratchArray: number,
  ) {
    this.frames = new Frames(memory, scratch);
  }

  /**
   * A kernel that no other handed anything to.
   * @param granted requests for memory of its own that are granted before one fails
   */
  static coldBoot(
    memory: FrameMemory,
    format: UpstreamFormat,
    scratch: readonly Run[],
    granted?: number,
  ): UpstreamKernel {
    const array = memory.ram[0]?.start ?? 0;
    const kernel = new UpstreamKernel(memory, format, scratch, array);
    kernel.frames.own({ pfn: array, count: 1 }, OWNER.scratchArray);
    memory.fill(array, scratchBytes(scratch));
    for (const area of scratch) kernel.frames.own(area, OWNER.scratch);
    kernel.frames.granted = granted;
    // Its memory is free for movable things from now on, or for all if there is no handover.
    kernel.init();
    kernel.frames.granted = undefined;
    kernel.releaseScratch();
    return kernel;
  }

  /**
   * What the next kernel does from its first instruction on until it is up.
   * @param early frames of each request of memblock's before the map is read
   * @param granted requests for memory of its own that are granted before one fails
   */
  static afterKexec(
    memory: FrameMemory,
    format: UpstreamFormat,
    image: Image,
    early: readonly number[],
    granted?: number,
  ): UpstreamKernel {
    copySegments(memory, image.segments);
    const array = image.segments.find(({ name }) => name === OWNER.scratchArray);
    if (array === undefined) throw new Violation('an image without an array of scratch areas');
    const areas = readScratch(memory, array);
    const runs = areas.map(({ address, size }) => ({ pfn: address / PAGE, count: size / PAGE }));
    const kernel = new UpstreamKernel(memory, format, runs, array.pfn);
    const { frames } = kernel;
    for (const { name, pfn, count } of image.segments) {
      frames.own({ pfn, count }, name === OWNER.scratchArray ? name : OWNER.boot);
    }
    // memblock_set_kho_scratch_only: whatever is written now is written there.
    memory.overwriteAllBut((pfn) => !frames.inScratch(pfn) || frames.owners.has(pfn));
    for (const count of early) kernel.early(count);
    kernel.reserve(image.tree, areas);
    // memblock_free_all
    memory.overwriteAllBut((pfn) => frames.owners.has(pfn));
    frames.granted = granted;
    // The scratch areas are in use already; kho_init gives them back all the same when it fails.
    if (!kernel.init()) kernel.releaseScratch();
    frames.granted = undefined;
    return kernel;
  }

  private releaseScratch(): void {
    for (const area of this.frames.scratch) this.frames.free(area, OWNER.scratch);
  }

  /** `memblock_alloc` while only scratch memory is known to be free. Undefined: there is no more of it. */
  early(count: number, owner: string = OWNER.boot): number | undefined {
    for (const area of this.frames.scratch) {
      for (let pfn = area.pfn; pfn + count <= area.pfn + area.count; pfn++) {
        const run = { pfn, count };
        if ([...framesOf(run)].some((frame) => this.frames.owners.has(frame))) continue;
        this.frames.own(run, owner);
        return pfn;
      }
    }
    return undefined;
  }

  /** `kho_memory_init`: the map is read, and what it names is reserved. */
  private reserve(tree: number, scratch: readonly MemoryArea[]): void {
    const { memory, frames } = this;
    this.incoming = handoverAt(memory, tree, 'incoming', scratch);
    const blocks = [...(this.incoming.preserved?.blocks ?? [])];
    // Of two blocks that begin at one frame the later one's order is kept: the tree begins with the largest, the list with the smallest.
    blocks.sort((a, b) => (this.listed ? a.order - b.order : b.order - a.order));
    let regions = 0;
    let room = FIRST_REGIONS;
    for (const { address, size, order } of blocks) {
      const run = { pfn: address / PAGE, count: size / PAGE };
      if (memory.node(run.pfn) === undefined) throw new Violation(`there is no struct page of frame ${run.pfn}`);
      this.heads.set(run.pfn, order);
      // memblock_reserve: another entry in an array, which may have to grow; nobody asks whether it could.
      if (frames.owners.get(run.pfn - 1) !== OWNER.preserved) regions++;
      if (regions > room && this.early(Math.ceil((room * 2 * REGION) / PAGE)) === undefined) continue;
      if (regions > room) room *= 2;
      for (const frame of framesOf(run)) {
        if (!frames.owners.has(frame)) frames.owners.set(frame, OWNER.preserved);
      }
    }
    frames.move({ pfn: tree / PAGE, count: 1 }, OWNER.preserved, OWNER.incoming);
    const metadata = this.incoming.users.find(({ name }) => name === OWNER.metadata)?.blob?.address;
    if (metadata !== undefined) frames.move({ pfn: metadata / PAGE, count: 1 }, OWNER.preserved, OWNER.incoming);
  }

  /** `kho_init`. False: there is no memory for what it needs itself, and handover is off. */
  private init(): boolean {
    const { memory, frames } = this;
    const source = {
      page: (): number | undefined => {
        const pfn = frames.allocate({ count: 1, owner: OWNER.map });
        if (pfn !== undefined) memory.fill(pfn);
        return pfn;
      },
      free: (pfn: number) => frames.free({ pfn, count: 1 }, OWNER.map),
    };
    const record = this.listed
      ? new ListedBitmaps(memory, source, this.format === 'kho-v1' ? PAGE : SMALL_BITMAP)
      : GrownRadixTree.make(memory, source);
    const tree = frames.allocate({ count: 1, owner: OWNER.tree });
    if (record === undefined || tree === undefined) return false;
    this.made = { record, tree };
    record.add(tree, 0);
    this.writeTree([]);
    const metadata = this.allocatePreserved(OWNER.metadata);
    if (metadata === undefined) return false;
    const told = this.incoming?.users.find(({ name }) => name === OWNER.metadata)?.content?.values;
    const count = Number(told?.find(({ name }) => name === 'kexec_count')?.value ?? 0);
    const values = { version: 1, previous_release: '7.2.12', kexec_count: count + 1 };
    KEXEC_METADATA.write(memory.view(metadata), 0, values);
    return this.addSubtree(OWNER.metadata, metadata, KEXEC_METADATA.size) === undefined;
  }

  /** Its map is a list of bitmaps, to be made final. */
  get listed(): boolean {
    return this.format !== 'kho-v4';
  }

  get record(): PreservedRecord {
    return this.own.record;
  }

  /** Where the tree stands that it hands over. */
  get tree(): number {
    return this.own.tree * PAGE;
  }

  private get own(): { readonly record: GrownRadixTree | ListedBitmaps; readonly tree: number } {
    if (this.made === undefined) throw new Violation('kho_init was not called');
    return this.made;
  }

  /** The handover as someone sees it who looks at this kernel's memory. */
  outgoing(): Handover {
    return handoverAt(this.memory, this.tree, 'outgoing', readScratch(this.memory, { pfn: this.scratchArray }));
  }

  allocate(wanted: Wanted): number | undefined {
    return this.frames.allocate(wanted);
  }

  /** `kho_preserve_folio` */
  preserveFolio(pfn: number, order: number): Refusal | undefined {
    if (this.finalized) return 'EBUSY';
    if (this.refusesScratch({ pfn, count: 2 ** order })) return 'EINVAL';
    return this.own.record.add(pfn, order) ? undefined : 'ENOMEM';
  }

  /** `kho_unpreserve_folio` */
  unpreserveFolio(pfn: number, order: number): Refusal | undefined {
    if (this.finalized) return 'EBUSY';
    if (!this.own.record.remove(pfn, order)) this.warnings++;
    return undefined;
  }

  /** `kho_preserve_pages` */
  preservePages(run: Run): Refusal | undefined {
    if (this.finalized) return 'EBUSY';
    if (this.refusesScratch(run)) return 'EINVAL';
    for (const { pfn, order } of this.blocksOf(run)) {
      if (this.own.record.add(pfn, order)) continue;
      this.unpreservePages({ pfn: run.pfn, count: pfn - run.pfn });
      return 'ENOMEM';
    }
    return undefined;
  }

  /** `kho_unpreserve_pages` */
  unpreservePages(run: Run): Refusal | undefined {
    if (this.finalized) return 'EBUSY';
    for (const { pfn, order } of this.blocksOf(run)) if (!this.own.record.remove(pfn, order)) this.warnings++;
    return undefined;
  }

  private refusesScratch(run: Run): boolean {
    return this.debug && this.frames.overlapsScratch(run);
  }

  /** Blocks that a run is recorded as (`__kho_preserve_pages_order`): since 7.1 none has memory of two nodes. */
  private blocksOf(run: Run): Iterable<Block> {
    const { memory } = this;
    const oneNode = (pfn: number, order: number) => memory.node(pfn) === memory.node(pfn + 2 ** order - 1);
    return blocksIn(run, this.listed ? undefined : oneNode);
  }

  /** `kho_preserve_vmalloc`: the descriptor, or why not. */
  preserveVmalloc(pieces: readonly number[], order: number): Uint8Array | Refusal {
    if (this.finalized) return 'EBUSY';
    const bytes = new Uint8Array(KHO_VMALLOC.size);
    const view = new DataView(bytes.buffer);
    let chunk = this.newChunk();
    if (chunk === undefined) return 'ENOMEM';
    // As released the order is told when all is done, and when it fails before that 0 is taken.
    KHO_VMALLOC.write(view, 0, { first: BigInt(chunk * PAGE), order: this.asReleased ? 0 : order });
    let index = 0;
    for (const pfn of pieces) {
      const refused = this.preservePages({ pfn, count: 2 ** order });
      if (refused !== undefined) {
        this.unpreserveVmalloc(bytes);
        return refused;
      }
      this.memory.view(chunk).setBigUint64(8 + index * 8, BigInt(pfn * PAGE), true);
      if (++index < PER_CHUNK) continue;
      const next = this.newChunk();
      if (next === undefined) {
        this.unpreserveVmalloc(bytes);
        return 'ENOMEM';
      }
      this.memory.view(chunk).setBigUint64(0, BigInt(next * PAGE), true);
      chunk = next;
      index = 0;
    }
    KHO_VMALLOC.write(view, 0, { total_pages: pieces.length * 2 ** order, flags: 1, order });
    return bytes;
  }

  private newChunk(): number | undefined {
    const chunk = this.allocatePreserved(OWNER.chunk);
    if (chunk !== undefined) this.memory.fill(chunk);
    return chunk;
  }

  /** `kho_unpreserve_vmalloc` */
  unpreserveVmalloc(descriptor: Uint8Array): Refusal | undefined {
    if (this.finalized) return 'EBUSY';
    const { first, order } = KHO_VMALLOC.read(new DataView(descriptor.buffer, descriptor.byteOffset), 0);
    for (let chunk = Number(first) / PAGE; chunk !== 0; ) {
      const view = this.memory.view(chunk);
      this.unpreservePages({ pfn: chunk, count: 1 });
      for (let index = 0; index < PER_CHUNK; index++) {
        const address = view.getBigUint64(8 + index * 8, true);
        if (address === 0n) break;
        this.unpreservePages({ pfn: Number(address) / PAGE, count: 2 ** order });
      }
      const next = Number(view.getBigUint64(0, true)) / PAGE;
      this.frames.free({ pfn: chunk, count: 1 }, OWNER.chunk);
      chunk = next;
    }
    return undefined;
  }

  /** `kho_alloc_preserve` of a page. */
  allocatePreserved(owner: string): number | undefined {
    const pfn = this.allocate({ count: 1, owner });
    if (pfn === undefined) return undefined;
    this.memory.fill(pfn);
    if (this.preserveFolio(pfn, 0) === undefined) return pfn;
    this.frames.free({ pfn, count: 1 }, owner);
    return undefined;
  }

  /** `kho_add_subtree` */
  addSubtree(name: string, pfn: number, size: number): Refusal | undefined {
    if (this.subtrees.some((one) => one.name === name)) return 'EEXIST';
    return this.writeTree([{ name, pfn, size }, ...this.subtrees]);
  }

  /** `kho_remove_subtree` */
  removeSubtree(pfn: number): void {
    this.writeTree(this.subtrees.filter((one) => one.pfn !== pfn));
  }

  private writeTree(subtrees: readonly Subtree[]): Refusal | undefined {
    const { record, tree } = this.own;
    const children = subtrees.map(({ name, pfn, size }): NewNode => {
      const address = u64(pfn * PAGE);
      const properties = this.listed
        ? [{ name: 'fdt', value: address }]
        : [
            { name: 'blob-size', value: u64(size) },
            { name: 'preserved-data', value: address },
          ];
      return { name, properties, children: [] };
    });
    const properties = [
      { name: 'compatible', value: new TextEncoder().encode(`${this.listed ? 'kho-v1' : 'kho-v4'}\0`) },
      { name: 'preserved-memory-map', value: u64(record.address) },
    ];
    const bytes = writeFdt({ root: { name: '', properties, children } }, 'packed');
    if (bytes.length > PAGE) return 'ENOMEM';
    this.memory.fill(tree, bytes);
    this.subtrees = subtrees;
    return undefined;
  }

  /** `kho_finalize` of kho-v1. */
  finalize(): Refusal | undefined {
    const { record } = this.own;
    if (!(record instanceof ListedBitmaps)) throw new Violation('kho-v4 has no finalize');
    if (this.finalized) return 'EEXIST';
    if (!record.finalize()) return 'ENOMEM';
    this.finalized = true;
    this.writeTree(this.subtrees);
    return undefined;
  }

  /**
   * `kho_abort` of kho-v1.
   * @param forget as 6.16 did: what was preserved is forgotten, whoever did it and when
   */
  abort(forget = false): Refusal | undefined {
    const { record } = this.own;
    if (!(record instanceof ListedBitmaps)) throw new Violation('kho-v4 has no abort');
    if (!this.finalized) return 'ENOENT';
    this.finalized = false;
    record.abort();
    if (forget) record.forget();
    this.writeTree(this.subtrees);
    return undefined;
  }

  /** `kexec -s -l`. Undefined: there is no room in scratch areas. */
  load(): Image | undefined {
    const segments: Segment[] = [];
    const { scratch } = this.frames;
    const fits =
      addSegment(segments, scratch, OWNER.scratchArray, scratchBytes(scratch)) &&
      addSegment(segments, scratch, 'kernel', new Uint8Array(KERNEL_FRAMES * PAGE).fill(0x90)) &&
      addSegment(segments, scratch, 'initrd', new Uint8Array(2 * PAGE).fill(0x30));
    return fits ? { segments, tree: this.tree } : undefined;
  }

  /** `kho_restore_page`: the block that begins at a frame gets an owner. Undefined: none begins there, or it was given already. */
  private restorePage(pfn: number, owner: string): Run | undefined {
    const order = this.heads.get(pfn);
    if (order === undefined) return undefined;
    this.heads.delete(pfn);
    const run = { pfn, count: 2 ** order };
    this.frames.move(run, OWNER.preserved, owner);
    return run;
  }

  /** `kho_restore_folio` */
  restoreFolio(pfn: number, owner: string): Run | undefined {
    return this.restorePage(pfn, owner);
  }

  /** `kho_restore_pages`: false when a part was not preserved so; what was restored before that stays with its owner. */
  restorePages(run: Run, owner: string): boolean {
    const blocks = this.asReleased ? blocksIn(run) : this.blocksOf(run);
    for (const { pfn } of blocks) if (this.restorePage(pfn, owner) === undefined) return false;
    return true;
  }

  /** `kho_restore_vmalloc`: the pieces, which have an owner now; the list of them is freed. Undefined: not all is there. */
  restoreVmalloc(descriptor: Uint8Array, owner: string): VmallocArea | undefined {
    const view = new DataView(descriptor.buffer, descriptor.byteOffset, descriptor.length);
    const area = readVmalloc(new HandoverReader(this.memory), view);
    for (const { address, size } of area.pieces) {
      if (!this.restorePages({ pfn: address / PAGE, count: size / PAGE }, owner)) return undefined;
    }
    for (const { address } of area.own) {
      const run = { pfn: address / PAGE, count: 1 };
      if (!this.restorePages(run, OWNER.chunk)) return undefined;
      this.frames.free(run, OWNER.chunk);
    }
    return area;
  }
}
