import type { NewNode } from '../../fdt/fdt-write.js';
import { writeFdt } from '../../fdt/fdt-write.js';
import type { Handover, MemoryArea } from '../../model.js';
import { readHandover } from '../../open.js';
import { PAGE } from '../../source-reader.js';
import { type FrameMemory, Frames, framesOf, type Run, Violation } from './frames.js';
import { addSegment, copySegments, type Segment } from './kexec-image.js';

/** Who has frames of the kernel's own. */
export const OWNER_2023 = {
  boot: 'boot',
  tree: 'tree that was handed over',
  cache: 'mem cache',
  /** Reserved, as the kernel before named it; how many users named a page is counted. */
  handed: 'handed over',
} as const;

/** A part of the old kernel that is asked when `active` is written (`register_kho_notifier`). */
export interface Notified {
  /** `KEXEC_KHO_DUMP`: its node, or undefined to refuse. */
  dump(): NewNode | undefined;
  /** `KEXEC_KHO_ABORT`: also when it was not asked before. */
  abort(): void;
}

export interface Image2023 {
  readonly segments: readonly Segment[];
  /** False: nothing was active when it was loaded, and nothing crosses. */
  readonly active: boolean;
}

/**
 * A kernel with the patches of 2023/24 ("kexec: Allow preservation of ftrace buffers", kernel/kexec_kho_out.c and kexec_kho_in.c of
 * version 3): one scratch area of CMA, a tree that the users fill when `active` becomes 1, a copy of it and the mem cache as
 * segments of the next kernel.
 */
export class Series2023Kernel {
  readonly frames: Frames;
  readonly users = new Map<string, Notified>();
  /** `/sys/kernel/kho/dt` while active. */
  tree: Uint8Array | undefined;
  incoming: Handover | undefined;
  /** `page_count` of what was handed over, and is not free. */
  readonly references = new Map<number, number>();
  /** `WARN_ON`s of `kho_claim_mem`. */
  warnings = 0;

  constructor(
    readonly memory: FrameMemory,
    readonly scratch: Run,
  ) {
    this.frames = new Frames(memory, [scratch]);
  }

  get active(): boolean {
    return this.tree !== undefined;
  }

  /** 1 into `/sys/kernel/kho/active`. False: a user refused, and all was taken back. */
  activate(): boolean {
    if (this.active) return true;
    const children: NewNode[] = [];
    for (const user of this.users.values()) {
      const node = user.dump();
      if (node === undefined) {
        this.tellAbort();
        return false;
      }
      children.push(node);
    }
    const properties = [{ name: 'compatible', value: new TextEncoder().encode('kho-v1\0') }];
    this.tree = writeFdt({ root: { name: '', properties, children } }, 'sequential');
    return true;
  }

  /** 0 into `/sys/kernel/kho/active`; what is loaded already stays as it is. */
  deactivate(): void {
    if (!this.active) return;
    this.tree = undefined;
    this.tellAbort();
  }

  private tellAbort(): void {
    for (const user of this.users.values()) user.abort();
  }

  /** The handover as someone sees it who looks at this kernel. */
  outgoing(): Handover | undefined {
    return this.tree && this.read(this.tree, 'outgoing', undefined);
  }

  private read(tree: Uint8Array, direction: Handover['direction'], address: number | undefined): Handover {
    const scratch = [{ address: this.scratch.pfn * PAGE, size: this.scratch.count * PAGE }];
    return readHandover(tree, { memory: this.memory, blobs: new Map() }, { direction, address, scratch, evidence: [] });
  }

  /** `kexec -s -l` (`kho_fill_kimage`). Undefined: no room, or memory to hand over lies in scratch memory. */
  load(): Image2023 | undefined {
    const segments: Segment[] = [];
    const scratch = [this.scratch];
    if (this.tree !== undefined) {
      const cache = memCache(this.entries(this.tree), this.scratch);
      if (cache === undefined) return undefined;
      if (!addSegment(segments, scratch, OWNER_2023.cache, cacheBytes(cache))) return undefined;
      if (!addSegment(segments, scratch, OWNER_2023.tree, this.tree.slice())) return undefined;
    }
    if (!addSegment(segments, scratch, 'kernel', new Uint8Array(5 * PAGE).fill(0x90))) return undefined;
    return { segments, active: this.active };
  }

  /** Every entry of every `mem` in a tree. */
  private entries(tree: Uint8Array): MemoryArea[] {
    return this.read(tree, undefined, undefined).users.flatMap(({ areas }) => areas);
  }

  /**
   * The next kernel up to its allocator.
   * @param early frames of each request of memblock's before the map is read
   * @param asReleased the mem cache is freed before it is read for the last time
   */
  static afterKexec(
    memory: FrameMemory,
    scratch: Run,
    { segments, active }: Image2023,
    early: readonly number[],
    asReleased = false,
  ): Series2023Kernel {
    copySegments(memory, segments);
    const kernel = new Series2023Kernel(memory, scratch);
    const { frames } = kernel;
    for (const { name, pfn, count } of segments) {
      const known = name === OWNER_2023.tree || name === OWNER_2023.cache;
      frames.own({ pfn, count }, known ? name : OWNER_2023.boot);
    }
    if (active) {
      // memblock_set_scratch_only
      memory.overwriteAllBut((pfn) => !frames.inScratch(pfn) || frames.owners.has(pfn));
      for (const count of early) kernel.early(count);
      kernel.reserve(segments, asReleased);
    }
    memory.overwriteAllBut((pfn) => frames.owners.has(pfn));
    return kernel;
  }

  private early(count: number): void {
    const pfn = this.frames.allocate({ count, owner: OWNER_2023.boot, movable: true, place: this.scratchPlace() });
    if (pfn !== undefined && !this.frames.inScratch(pfn)) throw new Violation('memblock left the scratch area');
  }

  /** Where the scratch area begins, as a part of all memory. */
  private scratchPlace(): number {
    const { ram } = this.memory;
    const index = ram.findIndex(({ start, end }) => this.scratch.pfn >= start && this.scratch.pfn < end);
    const range = ram[index];
    if (range === undefined) return 0;
    return (index + (this.scratch.pfn - range.start + 0.5) / (range.end - range.start)) / ram.length;
  }

  /** `kho_reserve_previous_mem`, then `kho_populate_refcount`. */
  private reserve(segments: readonly Segment[], asReleased: boolean): void {
    const { memory, frames, references } = this;
    const tree = segments.find(({ name }) => name === OWNER_2023.tree);
    const cache = segments.find(({ name }) => name === OWNER_2023.cache);
    if (tree === undefined || cache === undefined) throw new Violation('an image without its tree');
    const areas = readCache(memory, cache);
    for (const area of areas) {
      for (const frame of framesIn(area)) {
        if (!references.has(frame)) frames.own({ pfn: frame, count: 1 }, OWNER_2023.handed);
        references.set(frame, 1);
      }
    }
    const bytes = memory.bytes(tree.pfn * PAGE, tree.bytes.length);
    this.incoming = this.read(bytes, 'incoming', tree.pfn * PAGE);
    for (const entry of this.incoming.users.flatMap((user) => user.areas)) {
      for (const frame of framesIn(entry)) references.set(frame, (references.get(frame) ?? 0) + 1);
    }
    if (asReleased) frames.free(cache, OWNER_2023.cache);
    for (const area of readCache(memory, cache)) for (const frame of framesIn(area)) this.release(frame);
    if (!asReleased) frames.free(cache, OWNER_2023.cache);
  }

  /** `__free_page` */
  private release(frame: number): void {
    const left = (this.references.get(frame) ?? 0) - 1;
    if (left < 0) throw new Violation(`frame ${frame} is freed once more than it was taken`);
    if (left > 0) this.references.set(frame, left);
    else {
      this.references.delete(frame);
      this.frames.free({ pfn: frame, count: 1 }, OWNER_2023.handed);
    }
  }

  /** `kho_return_mem`: the last who returns a page frees it. */
  returnMemory(area: MemoryArea): void {
    for (const frame of framesIn(area)) this.release(frame);
  }

  /** `kho_claim_mem`: the pages are someone's from now on. */
  claim(area: MemoryArea, owner: string): void {
    for (const frame of framesIn(area)) {
      if (this.references.get(frame) !== 1) this.warnings++;
      this.references.delete(frame);
      this.frames.move({ pfn: frame, count: 1 }, OWNER_2023.handed, owner);
    }
  }
}

/** Frames that an area touches. */
export function framesIn({ address, size }: MemoryArea): Iterable<number> {
  const pfn = Math.floor(address / PAGE);
  return framesOf({ pfn, count: Math.ceil((address + size) / PAGE) - pfn });
}

/**
 * `kho_alloc_mem_cache`: the entries as whole pages, ascending, those that touch folded into one. Each is put into what is there,
 * and folded with one neighbour at most, as `kho_mem_cache_add` does it. Undefined: one lies in scratch memory.
 */
export function memCache(entries: readonly MemoryArea[], scratch: Run): MemoryArea[] | undefined {
  const cache: { address: number; size: number }[] = [];
  for (const entry of entries) {
    const start = Math.floor(entry.address / PAGE) * PAGE;
    const end = Math.ceil((entry.address + entry.size) / PAGE) * PAGE;
    if (start < (scratch.pfn + scratch.count) * PAGE && end > scratch.pfn * PAGE) return undefined;
    addToCache(cache, start, end);
  }
  return cache;
}

function addToCache(cache: { address: number; size: number }[], start: number, end: number): void {
  const endOf = (area: MemoryArea | undefined): number => (area === undefined ? -1 : area.address + area.size);
  const set = (area: { address: number; size: number }, from: number, to: number): void => {
    area.address = from;
    area.size = to - from;
  };
  const index = cache.findIndex((area) => endOf(area) >= start);
  const found = cache[index];
  if (found === undefined) {
    cache.push({ address: start, size: end - start });
  } else if (found.address > end) {
    cache.splice(index, 0, { address: start, size: end - start });
  } else if (start < found.address || end > endOf(found)) {
    set(found, Math.min(start, found.address), Math.max(end, endOf(found)));
    const next = cache[index + 1];
    if (next !== undefined && endOf(found) >= next.address) {
      set(next, Math.min(next.address, found.address), Math.max(endOf(next), endOf(found)));
      cache.splice(index, 1);
    }
  }
}

/** `struct kho_mem[]` */
function cacheBytes(cache: readonly MemoryArea[]): Uint8Array {
  return new Uint8Array(
    BigUint64Array.from(cache.flatMap(({ address, size }) => [BigInt(address), BigInt(size)])).buffer,
  );
}

function readCache(memory: FrameMemory, { pfn, bytes }: Segment): MemoryArea[] {
  const view = new DataView(memory.bytes(pfn * PAGE, bytes.length).buffer);
  const found: MemoryArea[] = [];
  for (let at = 0; at < bytes.length; at += 16) {
    found.push({ address: Number(view.getBigUint64(at, true)), size: Number(view.getBigUint64(at + 8, true)) });
  }
  return found;
}
