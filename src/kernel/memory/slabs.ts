import type { VirtualAddress } from '../../bytes/address.js';
import { type Damage, ExhumeError } from '../../bytes/errors.js';
import { attempt, collectEach } from '../collect.js';
import type { KernelView } from '../kernel-view.js';
import { listEntries } from '../types/lists.js';
import type { Struct } from '../types/struct.js';
import { onlineNodes } from './zones.js';

/** A cache of the slab allocator SLUB; mm/slab.h, mm/slub.c. */
export interface SlabCache {
  /** Its `struct kmem_cache`. */
  readonly address: VirtualAddress;
  readonly name: string;
  /** What a user of the cache gets, in bytes. */
  readonly objectSize: number;
  /** What an object takes, in bytes. */
  readonly size: number;
  readonly objectsPerSlab: number;
  /** In bytes. */
  readonly slabSize: number;
  /** Undefined where the kernel does not count them (CONFIG_SLUB_TINY). */
  readonly slabs: number | undefined;
  readonly total: number | undefined;
  /** `total` less the free objects; undefined when those cannot be counted. */
  readonly allocated: number | undefined;
}

const MOST_CACHES = 65536;
/** No node has more partial slabs, no slab more objects. */
const MOST_SLABS = 1 << 22;
const MOST_OBJECTS = 1 << 16;
/** OO_SHIFT: `kmem_cache_order_objects` holds the order above the number of objects. */
const ORDER_SHIFT = 16;

/** All caches on `slab_caches`. A cache whose slabs are broken is there without their counts, and damage says so. */
export function readSlabCaches(view: KernelView, damage: Damage[]): SlabCache[] {
  const part = 'slab caches';
  const caches = attempt(damage, part, () =>
    listEntries(view.memory, view.address('slab_caches'), view.types.requireStruct('kmem_cache'), 'list'),
  );
  const reader = new SlabReader(view);
  return collectEach(damage, part, caches ?? [], (cache) => reader.read(cache, damage), MOST_CACHES);
}

class SlabReader {
  private readonly nodes: readonly number[];
  private readonly cpus: readonly number[];
  /** A slab's description: its own type since 5.17, a page's before. */
  private readonly slabType: string;

  constructor(private readonly view: KernelView) {
    this.nodes = onlineNodes(view);
    this.cpus = view.cpus('possible');
    this.slabType = view.types.struct('slab')?.field('slab_cache') === undefined ? 'page' : 'slab';
  }

  read(cache: Struct, damage: Damage[]): SlabCache {
    const name = cache.string('name', 128);
    const part = `slab cache ${name}`;
    const layout = cache.int('oo.x');
    const counts = attempt(damage, part, () => this.counts(cache));
    const free = counts === undefined ? undefined : attempt(damage, part, () => this.freeObjects(cache));
    return {
      address: cache.address,
      name,
      objectSize: cache.int('object_size'),
      size: cache.int('size'),
      objectsPerSlab: layout & ((1 << ORDER_SHIFT) - 1),
      slabSize: this.view.memory.physical.pageSize * 2 ** (layout >>> ORDER_SHIFT),
      slabs: counts?.slabs,
      total: counts?.total,
      allocated: counts === undefined || free === undefined ? undefined : Math.max(0, counts.total - free),
    };
  }

  private counts(cache: Struct): { slabs: number; total: number } | undefined {
    let slabs = 0;
    let total = 0;
    for (const { node } of slabNodes(this.view, cache, this.nodes)) {
      if (!node.has('nr_slabs.counter')) return undefined;
      slabs += node.int('nr_slabs.counter');
      total += node.int('total_objects.counter');
    }
    return { slabs, total };
  }

  /** Free objects: on the nodes' partial slabs, in sheaves (6.18), on the CPUs' slabs and partial slabs (until 7.0). */
  private freeObjects(cache: Struct): number {
    let free = 0;
    for (const { node, barn } of slabNodes(this.view, cache, this.nodes)) {
      const type = this.view.types.requireStruct(this.slabType);
      const link = type.field('slab_list') === undefined ? 'lru' : 'slab_list';
      free += sum(listEntries(this.view.memory, node.addressOf('partial'), type, link), freeInSlab);
      if (barn !== undefined) {
        const sheaf = this.view.types.requireStruct('slab_sheaf');
        const full = listEntries(this.view.memory, barn.addressOf('sheaves_full'), sheaf, 'barn_list');
        free += sum(full, (one) => one.int('size'));
      }
    }
    return free + this.freeInSheaves(cache) + this.freeOnCpus(cache);
  }

  private freeInSheaves(cache: Struct): number {
    const sheaves = cache.has('cpu_sheaves') ? cache.pointer('cpu_sheaves') : 0n;
    if (sheaves === 0n) return 0;
    let free = 0;
    for (const cpu of this.cpus) {
      const own = this.view.struct('slub_percpu_sheaves', this.view.perCpu(sheaves, cpu));
      for (const member of ['main', 'spare']) free += own.follow(member)?.int('size') ?? 0;
    }
    return free;
  }

  private freeOnCpus(cache: Struct): number {
    const slabs = cache.has('cpu_slab') ? cache.pointer('cpu_slab') : 0n;
    if (slabs === 0n) return 0;
    let free = 0;
    for (const cpu of this.cpus) {
      const own = this.view.struct('kmem_cache_cpu', this.view.perCpu(slabs, cpu));
      const current = own.has('slab') ? 'slab' : 'page';
      const slab = own.pointer(current);
      // The CPU's own list took all that was free; what others freed since is the slab's.
      if (slab !== 0n) {
        for (const _ of freeObjects(this.view, cache, own.pointer('freelist'))) free++;
        free += freeInSlab(this.view.struct(this.slabType, slab));
      }
      if (own.has('partial')) free += this.freeOnPartials(own.pointer('partial'));
    }
    return free;
  }

  /** A CPU's partial slabs are chained by `next`. */
  private freeOnPartials(first: bigint): number {
    let free = 0;
    let count = 0;
    for (let address = first; address !== 0n; count++) {
      if (count > MOST_SLABS) throw endless('a list of partial slabs', address);
      const slab = this.view.struct(this.slabType, address);
      free += freeInSlab(slab);
      address = slab.pointer('next');
    }
    return free;
  }
}

/** The description of each node's slabs: `node[]` until 7.1, then `per_node[]`, which has the barn of sheaves beside it. */
export function* slabNodes(
  view: KernelView,
  cache: Struct,
  nodes: readonly number[],
): Generator<{ readonly node: Struct; readonly barn: Struct | undefined }> {
  const pairs = cache.type.field('per_node');
  const pairType = view.types.struct('kmem_cache_per_node_ptrs');
  for (const index of nodes) {
    if (pairs !== undefined && pairType !== undefined) {
      const pair = view.struct(pairType.name, cache.address + BigInt(pairs.offset + index * pairType.size));
      const node = pair.follow('node');
      if (node !== undefined) yield { node, barn: pair.follow('barn') };
    } else {
      const at = view.memory.pointer(cache.addressOf('node') + BigInt(index * 8));
      if (at === 0n) continue;
      const node = view.struct('kmem_cache_node', at);
      yield { node, barn: node.has('barn') ? node.follow('barn') : undefined };
    }
  }
}

/**
 * Objects on a free list: each holds the next one's address at `offset`. With CONFIG_SLAB_FREELIST_HARDENED that is
 * mixed with the cache's secret and its own place, bytes swapped since 5.7. Throws EXH_BAD_STRUCTURE for one that does
 * not end, and memory's errors.
 */
export function* freeObjects(view: KernelView, cache: Struct, first: bigint): Generator<bigint> {
  const secret = cache.has('random') ? cache.big('random') : undefined;
  const offset = BigInt(cache.int('offset'));
  let count = 0;
  for (let object = first; object !== 0n; count++) {
    if (count > MOST_OBJECTS) throw endless('a free list', object);
    yield object;
    const at = object + offset;
    const word = view.memory.u64(at);
    object = secret === undefined ? word : word ^ secret ^ swapped(at);
  }
}

function freeInSlab(slab: Struct): number {
  return slab.int('objects') - slab.int('inuse');
}

function sum(entries: Iterable<Struct>, amount: (entry: Struct) => number): number {
  let total = 0;
  let count = 0;
  for (const entry of entries) {
    if (++count > MOST_SLABS) throw endless('a list of slabs', entry.address);
    total += amount(entry);
  }
  return total;
}

function swapped(value: bigint): bigint {
  let result = 0n;
  for (let rest = BigInt.asUintN(64, value), byte = 0; byte < 8; byte++, rest >>= 8n) {
    result = (result << 8n) | (rest & 0xffn);
  }
  return result;
}

function endless(what: string, address: bigint): ExhumeError {
  return new ExhumeError('EXH_BAD_STRUCTURE', `${what} does not end`, { address });
}
