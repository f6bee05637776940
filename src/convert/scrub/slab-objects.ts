import { type VirtualAddress, virtualAddress } from '../../bytes/address.js';
import type { Damage } from '../../bytes/errors.js';
import { attempt, collectEach } from '../../kernel/collect.js';
import type { KernelView } from '../../kernel/kernel-view.js';
import { freeObjects, slabNodes } from '../../kernel/memory/slabs.js';
import { onlineNodes } from '../../kernel/memory/zones.js';
import { listEntries } from '../../kernel/types/lists.js';
import type { Struct } from '../../kernel/types/struct.js';

/** More than any kernel has. */
const MOST_CACHES = 65536;
const MOST_SHEAVES = 1 << 20;
/** MAX_OBJS_PER_PAGE, and more than a sheaf holds. */
const MOST_OBJECTS = 1 << 16;

/** A cache of SLUB: what of it finds objects in slabs. */
interface Cache {
  readonly struct: Struct;
  readonly name: string;
  /** Bytes from one object to the next. */
  readonly size: number;
  /** Bytes before the first byte of an object that debugging keeps. */
  readonly pad: number;
  /** Where in a free object the pointer to the next one is. */
  readonly link: number;
}

/** An object in a slab. */
export interface SlabObject {
  /** Name of its cache. */
  readonly cache: string;
  /** Physical addresses of its first byte and of the first byte after. */
  readonly start: number;
  readonly end: number;
  readonly free: boolean;
}

/** A slab, and which of its objects are free. */
export interface Slab {
  readonly cache: Cache;
  /** Physical addresses of its first byte and of the first byte after. */
  readonly start: number;
  readonly end: number;
  /** How many objects it has. */
  readonly objects: number;
  /** For each: 0 in use, ON_LIST on a free list, IN_SHEAF in a sheaf. Undefined when the free list is broken. */
  readonly free: Uint8Array | undefined;
}

/** It is on its slab's or a CPU's free list: it holds the pointer to the next one. */
export const ON_LIST = 1;
/** Free, in an array of a CPU or node (since 6.18): its slab takes it for one in use. */
export const IN_SHEAF = 2;

/** Slabs and their objects, by page frame. */
export class SlabObjects {
  private readonly caches = new Map<bigint, Cache>();
  /** First page frames of slabs, ascending; how many pages each has; where its `struct slab` is; its cache. */
  private readonly firsts: number[] = [];
  private readonly counts: number[] = [];
  private readonly structs: bigint[] = [];
  private readonly owners: (Cache | undefined)[] = [];
  /** Free objects that no slab has on its own list: kind by the object's address. */
  private readonly elsewhere = new Map<number, number>();
  private readonly slabType: string;
  private readonly pageSize: number;
  private last: { readonly index: number; readonly slab: Slab | undefined } = { index: -1, slab: undefined };

  /** Throws EXH_NO_LAYOUT, EXH_NO_SYMBOL for a kernel without SLUB. */
  constructor(
    private readonly view: KernelView,
    private readonly damage: Damage[],
  ) {
    this.slabType = view.types.struct('slab')?.field('slab_cache') === undefined ? 'page' : 'slab';
    this.pageSize = view.memory.physical.pageSize;
    const list = listEntries(view.memory, view.address('slab_caches'), view.types.requireStruct('kmem_cache'), 'list');
    const caches = collectEach(damage, 'slab caches', list, cacheOf, MOST_CACHES);
    for (const cache of caches) {
      this.caches.set(cache.struct.address, cache);
      attempt(damage, `free objects of slab cache ${cache.name}`, () => this.findElsewhere(cache.struct));
    }
  }

  /** Adds a slab, in ascending order of page frames. */
  add(pfn: number, count: number, page: bigint): void {
    this.firsts.push(pfn);
    this.counts.push(count);
    this.structs.push(page);
    const slab = this.view.struct(this.slabType, page);
    this.owners.push(attempt(this.damage, 'slabs', () => this.caches.get(slab.pointer('slab_cache'))));
  }

  /** All slabs of caches that are known. */
  *slabs(): Generator<Slab> {
    for (let index = 0; index < this.firsts.length; index++) {
      const slab = this.slab(index);
      if (slab !== undefined) yield slab;
    }
  }

  /** Addresses of the objects in use in slabs of a cache. Caches of like objects may have been merged: then of all of them. */
  *inUse(cache: bigint): Generator<VirtualAddress> {
    const { directMap } = this.view.kernel;
    if (directMap === undefined) return;
    for (let index = 0; index < this.firsts.length; index++) {
      if (this.owners[index]?.struct.address !== cache) continue;
      const slab = this.slab(index);
      if (slab?.free === undefined) continue;
      const { cache: own, start, objects, free } = slab;
      for (let number = 0; number < objects; number++) {
        if (free[number] === 0) yield virtualAddress(directMap + BigInt(start + number * own.size + own.pad));
      }
    }
  }

  /** The address of the cache of this name. */
  cacheNamed(name: string): bigint | undefined {
    for (const [address, cache] of this.caches) if (cache.name === name) return address;
    return undefined;
  }

  /** The object that a physical address lies in; undefined outside slabs, `broken` where its slab cannot be read. */
  at(physical: number): SlabObject | 'broken' | undefined {
    const pfn = Math.floor(physical / this.pageSize);
    let low = 0;
    let high = this.firsts.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.firsts[middle] as number) > pfn) high = middle;
      else low = middle + 1;
    }
    const index = low - 1;
    if (index < 0 || pfn >= (this.firsts[index] as number) + (this.counts[index] as number)) return undefined;
    if (this.last.index !== index) this.last = { index, slab: this.slab(index) };
    const { slab } = this.last;
    if (slab?.free === undefined) return 'broken';
    const { size, pad, name } = slab.cache;
    const number = Math.floor((physical - slab.start) / size);
    if (number >= slab.objects) return 'broken';
    const start = slab.start + number * size + pad;
    return { cache: name, start, end: start + size - pad, free: slab.free[number] !== 0 };
  }

  private slab(index: number): Slab | undefined {
    const cache = this.owners[index];
    if (cache === undefined) return undefined;
    return attempt(this.damage, 'slabs', () => {
      const struct = this.view.struct(this.slabType, this.structs[index] as bigint);
      const start = (this.firsts[index] as number) * this.pageSize;
      const bytes = (this.counts[index] as number) * this.pageSize;
      const objects = Math.min(struct.int('objects'), Math.floor(bytes / cache.size), MOST_OBJECTS);
      const free = attempt(this.damage, `free objects of slab cache ${cache.name}`, () =>
        this.freeIn(cache, struct, start, objects),
      );
      return { cache, start, end: start + bytes, objects, free };
    });
  }

  private freeIn(cache: Cache, slab: Struct, start: number, objects: number): Uint8Array {
    const free = new Uint8Array(objects);
    for (const object of freeObjects(this.view, cache.struct, slab.pointer('freelist'))) {
      const number = (this.physical(object) - cache.pad - start) / cache.size;
      // Off the slab, the list is broken; what was read of it stands.
      if (!Number.isInteger(number) || number < 0 || number >= objects) break;
      free[number] = ON_LIST;
    }
    for (let number = 0; number < objects; number++) {
      const kind = this.elsewhere.get(start + number * cache.size + cache.pad);
      if (kind !== undefined) free[number] = kind;
    }
    return free;
  }

  /** Free objects in sheaves (6.18), and on the free lists that CPUs took from their slabs (until 7.0). */
  private findElsewhere(cache: Struct): void {
    const { view } = this;
    for (const { barn } of slabNodes(view, cache, onlineNodes(view))) {
      if (barn === undefined) continue;
      const type = view.types.requireStruct('slab_sheaf');
      let count = 0;
      for (const sheaf of listEntries(view.memory, barn.addressOf('sheaves_full'), type, 'barn_list')) {
        if (++count > MOST_SHEAVES) break;
        this.addSheaf(sheaf);
      }
    }
    const sheaves = cache.has('cpu_sheaves') ? cache.pointer('cpu_sheaves') : 0n;
    const slabs = cache.has('cpu_slab') ? cache.pointer('cpu_slab') : 0n;
    for (const cpu of view.cpus('possible')) {
      if (sheaves !== 0n) {
        const own = view.struct('slub_percpu_sheaves', view.perCpu(sheaves, cpu));
        for (const member of ['main', 'spare', 'rcu_free']) {
          const sheaf = own.has(member) ? own.follow(member) : undefined;
          if (sheaf !== undefined) this.addSheaf(sheaf);
        }
      }
      if (slabs === 0n) continue;
      const own = view.struct('kmem_cache_cpu', view.perCpu(slabs, cpu));
      for (const object of freeObjects(view, cache, own.pointer('freelist')))
        this.elsewhere.set(this.physical(object), ON_LIST);
    }
  }

  private addSheaf(sheaf: Struct): void {
    const objects = sheaf.addressOf('objects');
    const count = Math.min(sheaf.int('size'), MOST_OBJECTS);
    for (let index = 0; index < count; index++) {
      this.elsewhere.set(this.physical(this.view.memory.pointer(objects + BigInt(index * 8))), IN_SHEAF);
    }
  }

  /** Slabs lie in the linear map, where this is the same as going through the page tables. */
  private physical(address: bigint): number {
    const { directMap } = this.view.kernel;
    if (directMap === undefined || address < directMap) return -1;
    return Number(address - directMap);
  }
}

function cacheOf(struct: Struct): Cache | undefined {
  const size = struct.int('size');
  if (size <= 0) return undefined;
  const pad = struct.has('red_left_pad') ? struct.int('red_left_pad') : 0;
  return { struct, name: struct.string('name', 128), size, pad, link: struct.int('offset') };
}
