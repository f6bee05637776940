import { PAGE } from '../../source-reader.js';
import type { FrameMemory } from './frames.js';

/** A kernel's record of what it preserves, in its own memory. */
export interface PreservedRecord {
  /** What the tree's `preserved-memory-map` says; 0: nothing yet. */
  readonly address: number;
  /** False: no memory for it, and nothing is recorded. */
  add(pfn: number, order: number): boolean;
  /** False: the kernel would warn, as nothing of the kind was recorded. */
  remove(pfn: number, order: number): boolean;
  /** Frames that the record takes. */
  frames(): Iterable<number>;
}

/** A page of zeros, or undefined when memory is short; and back. */
export interface PageSource {
  page(): number | undefined;
  free(pfn: number): void;
}

const LEVELS = 5;
const TABLE_BITS = 9n;
const LEAF_BITS = 15n;
const ORDER_0_LOG2 = 52;

/** `struct kho_radix_tree` since kho-v2, of kernel/liveupdate/kexec_handover.c: grown page by page in the memory of the machine. */
export class GrownRadixTree implements PreservedRecord {
  private readonly root: number;
  private readonly taken: Set<number>;

  private constructor(
    private readonly memory: FrameMemory,
    private readonly source: PageSource,
    root: number,
  ) {
    this.root = root;
    this.taken = new Set([root]);
  }

  static make(memory: FrameMemory, source: PageSource): GrownRadixTree | undefined {
    const root = source.page();
    return root === undefined ? undefined : new GrownRadixTree(memory, source, root);
  }

  get address(): number {
    return this.root * PAGE;
  }

  frames(): Iterable<number> {
    return this.taken;
  }

  /** `kho_radix_add_page`: when memory runs out the pages that it took are given back, and the first link to them is cut. */
  add(pfn: number, order: number): boolean {
    const key = keyOf(pfn, order);
    const fresh: number[] = [];
    let anchor: { readonly pfn: number; readonly at: number } | undefined;
    let node = this.root;
    for (let level = LEVELS; level > 0; level--) {
      const at = tableOffset(key, level);
      const next = this.memory.view(node).getBigUint64(at, true);
      if (next !== 0n) {
        node = Number(next) / PAGE;
        continue;
      }
      const page = this.source.page();
      if (page === undefined) {
        for (const one of fresh) this.source.free(one);
        if (anchor !== undefined) this.memory.view(anchor.pfn).setBigUint64(anchor.at, 0n, true);
        return false;
      }
      this.memory.view(node).setBigUint64(at, BigInt(page * PAGE), true);
      anchor ??= { pfn: node, at };
      fresh.push(page);
      node = page;
    }
    for (const page of fresh) this.taken.add(page);
    setBit(this.memory.at(node), Number(key & ((1n << LEAF_BITS) - 1n)), true);
    return true;
  }

  /** `kho_radix_del_page`: pages of the tree stay, however empty. */
  remove(pfn: number, order: number): boolean {
    const key = keyOf(pfn, order);
    let node = this.root;
    for (let level = LEVELS; level > 0; level--) {
      const next = this.memory.view(node).getBigUint64(tableOffset(key, level), true);
      if (next === 0n) return false;
      node = Number(next) / PAGE;
    }
    setBit(this.memory.at(node), Number(key & ((1n << LEAF_BITS) - 1n)), false);
    return true;
  }
}

/** `kho_radix_encode_key` */
function keyOf(pfn: number, order: number): bigint {
  return (1n << BigInt(ORDER_0_LOG2 - order)) | (BigInt(pfn) >> BigInt(order));
}

function tableOffset(key: bigint, level: number): number {
  return Number((key >> (LEAF_BITS + BigInt(level - 1) * TABLE_BITS)) & ((1n << TABLE_BITS) - 1n)) * 8;
}

function setBit(page: Uint8Array, bit: number, on: boolean): void {
  const at = bit >> 3;
  const mask = 1 << (bit & 7);
  page[at] = on ? (page[at] ?? 0) | mask : (page[at] ?? 0) & ~mask;
}

/** `struct khoser_mem_chunk`: next, order, count, then pairs. */
const CHUNK_HEADER = 16;
const PER_CHUNK = (PAGE - CHUNK_HEADER) / 16;

/**
 * The bitmaps of kho-v1: of 512 bytes at first, several in a page; of a page each since 6.17.9. What is handed over is a list of them that `finalize` writes;
 * `abort` throws the list away and keeps the bitmaps.
 */
export class ListedBitmaps implements PreservedRecord {
  /** Addresses, by order, then by the stretch of memory. */
  private readonly bitmaps = new Map<number, Map<number, number>>();
  private chunks: number[] = [];
  /** Room for bitmaps that is not taken. */
  private room: number[] = [];
  private readonly bits: number;

  /** @param size of a bitmap, in bytes */
  constructor(
    private readonly memory: FrameMemory,
    private readonly source: PageSource,
    private readonly size: number,
  ) {
    this.bits = size * 8;
  }

  get address(): number {
    return (this.chunks[0] ?? 0) * PAGE;
  }

  frames(): Iterable<number> {
    return new Set([...this.pages(), ...this.chunks]);
  }

  /** Pages that bitmaps lie in. */
  private pages(): Set<number> {
    const addresses = [...this.bitmaps.values()].flatMap((stretches) => [...stretches.values()]);
    return new Set(addresses.map((address) => Math.floor(address / PAGE)));
  }

  /** `__kho_preserve_order` */
  add(pfn: number, order: number): boolean {
    let stretches = this.bitmaps.get(order);
    if (stretches === undefined) {
      stretches = new Map();
      this.bitmaps.set(order, stretches);
    }
    const high = Math.floor(pfn / 2 ** order);
    const stretch = Math.floor(high / this.bits);
    const bitmap = stretches.get(stretch) ?? this.newBitmap();
    if (bitmap === undefined) return false;
    stretches.set(stretch, bitmap);
    setBit(this.bitmapAt(bitmap), high % this.bits, true);
    return true;
  }

  /** `__kho_unpreserve_order` */
  remove(pfn: number, order: number): boolean {
    const high = Math.floor(pfn / 2 ** order);
    const bitmap = this.bitmaps.get(order)?.get(Math.floor(high / this.bits));
    if (bitmap === undefined) return false;
    setBit(this.bitmapAt(bitmap), high % this.bits, false);
    return true;
  }

  private newBitmap(): number | undefined {
    if (this.room.length === 0) {
      const page = this.source.page();
      if (page === undefined) return undefined;
      for (let at = 0; at < PAGE; at += this.size) this.room.push(page * PAGE + at);
    }
    return this.room.shift();
  }

  private bitmapAt(address: number): Uint8Array {
    const within = address % PAGE;
    return this.memory.at((address - within) / PAGE).subarray(within, within + this.size);
  }

  /** `kho_mem_serialize`: a chunk or more for each order. False: no memory, and nothing is changed. */
  finalize(): boolean {
    const made: number[] = [];
    const newChunk = (order: number): DataView | undefined => {
      const page = this.source.page();
      if (page === undefined) return undefined;
      const last = made.at(-1);
      if (last !== undefined) this.memory.view(last).setBigUint64(0, BigInt(page * PAGE), true);
      made.push(page);
      const view = this.memory.view(page);
      view.setUint32(8, order, true);
      return view;
    };
    for (const [order, stretches] of [...this.bitmaps].sort(([a], [b]) => a - b)) {
      let chunk = newChunk(order);
      let count = 0;
      for (const [stretch, bitmap] of [...stretches].sort(([a], [b]) => a - b)) {
        if (count === PER_CHUNK) {
          chunk = newChunk(order);
          count = 0;
        }
        if (chunk === undefined) break;
        const at = CHUNK_HEADER + count * 16;
        chunk.setBigUint64(at, BigInt(stretch * this.bits * 2 ** order * PAGE), true);
        chunk.setBigUint64(at + 8, BigInt(bitmap), true);
        chunk.setUint32(12, ++count, true);
      }
      if (chunk === undefined) {
        for (const page of made) this.source.free(page);
        return false;
      }
    }
    this.abort();
    this.chunks = made;
    return true;
  }

  /** `kho_mem_ser_free` */
  abort(): void {
    for (const page of this.chunks) this.source.free(page);
    this.chunks = [];
  }

  /** What `abort` of 6.16 did besides: everything that was ever preserved is forgotten. */
  forget(): void {
    for (const page of this.pages()) this.source.free(page);
    this.bitmaps.clear();
    this.room = [];
  }
}
