import { type VirtualAddress, virtualAddress } from '../../bytes/address.js';
import type { VirtualMemory } from '../../machine/virtual-memory.js';
import type { KernelTypes } from './kernel-types.js';
import { hlistNullsNodes } from './lists.js';
import { Struct } from './struct.js';
import { MOST_NODES, WalkDamage } from './walk.js';

/** A table that is being grown has one successor, and that may have one; more are damage. */
const MOST_TABLES = 8;
/** `PAGE_SHIFT` less the 3 bits of a pointer: what a page of a nested table decides (lib/rhashtable.c). */
const NESTED_SHIFT = 9;

/**
 * The `rhash_head`s in a resizable hash table, bucket by bucket, given the address of its `struct rhashtable`
 * (include/linux/rhashtable.h): in the table that it moves to as well when it was being resized.
 * An object begins `p.head_offset` bytes before its node. A bucket that cannot be read to its end is left there; the
 * first such error is thrown when the others are yielded.
 */
export function* rhashtableNodes(
  memory: VirtualMemory,
  types: KernelTypes,
  address: bigint,
): Generator<VirtualAddress> {
  const damage = new WalkDamage('a hash table');
  const table = new Struct(memory, types.requireStruct('rhashtable'), virtualAddress(address));
  let current = table.follow('tbl');
  for (let left = MOST_TABLES; current !== undefined; left--) {
    if (left === 0) throw damage.bad('is moved to ever more tables', current.address);
    yield* tableNodes(current, damage);
    const from: Struct = current;
    current = damage.attempt(() => from.follow('future_tbl'));
  }
  damage.finish();
}

/** The objects in a resizable hash table, whose `rhash_head` lies where the table's parameters say. */
export function* rhashtableObjects(
  memory: VirtualMemory,
  types: KernelTypes,
  address: bigint,
): Generator<VirtualAddress> {
  const table = new Struct(memory, types.requireStruct('rhashtable'), virtualAddress(address));
  const offset = BigInt(table.int('p.head_offset'));
  for (const node of rhashtableNodes(memory, types, address)) yield virtualAddress(node - offset);
}

function* tableNodes(table: Struct, damage: WalkDamage): Generator<VirtualAddress> {
  const size = table.int('size');
  const nest = table.has('nest') ? table.int('nest') : 0;
  const buckets = table.addressOf('buckets');
  if (size > MOST_NODES || nest > NESTED_SHIFT) throw damage.bad('is larger than one can be', table.address);
  if (nest === 0) {
    yield* bucketsNodes(table.memory, buckets, size, damage);
    return;
  }
  const root = damage.attempt(() => table.memory.pointer(buckets));
  if (root !== undefined) yield* nestedNodes(table.memory, root, 1 << nest, size >>> nest, damage);
}

/** A table that found no room in one piece: pages of pointers to pages, the last of `buckets` buckets each. */
function* nestedNodes(
  memory: VirtualMemory,
  page: bigint,
  entries: number,
  buckets: number,
  damage: WalkDamage,
): Generator<VirtualAddress> {
  for (let index = 0; index < entries; index++) {
    const next = damage.attempt(() => memory.pointer(page + BigInt(index * 8)));
    if (next === undefined) return;
    if (next === 0n) continue;
    damage.count(next);
    if (buckets > 1 << NESTED_SHIFT) {
      yield* nestedNodes(memory, next, 1 << NESTED_SHIFT, buckets >>> NESTED_SHIFT, damage);
    } else {
      yield* bucketsNodes(memory, next, buckets, damage);
    }
  }
}

function* bucketsNodes(
  memory: VirtualMemory,
  first: bigint,
  count: number,
  damage: WalkDamage,
): Generator<VirtualAddress> {
  for (let index = 0; index < count; index++) yield* bucketNodes(memory, first + BigInt(index * 8), damage);
}

/** A bucket: the first node, with a lock in its lowest bit; a chain ends with an odd value. */
function* bucketNodes(memory: VirtualMemory, bucket: bigint, damage: WalkDamage): Generator<VirtualAddress> {
  try {
    const first = memory.pointer(bucket) & ~1n;
    if (first === 0n || first === bucket) return;
    damage.count(first);
    yield virtualAddress(first);
    for (const node of hlistNullsNodes(memory, first)) {
      damage.count(node);
      yield node;
    }
  } catch (error) {
    damage.keep(error);
  }
}
