import { type VirtualAddress, virtualAddress } from '../../bytes/address.js';
import { viewOf } from '../../bytes/struct-table.js';
import type { VirtualMemory } from '../../machine/virtual-memory.js';
import type { StructType } from './kernel-types.js';
import { containerOf, type Struct } from './struct.js';
import { WalkDamage } from './walk.js';

/** `struct rb_node`, include/linux/rbtree_types.h: the parent with the colour in its low bits, right, left. */
const NODE_SIZE = 24;
const COLOUR_BITS = 3n;

/** A red-black tree of n nodes is at most 2·log2(n + 1) deep. */
const DEEPEST = 128;

interface Node {
  readonly address: VirtualAddress;
  readonly right: bigint;
  readonly left: bigint;
}

/**
 * The nodes of a red-black tree in order, given the address of its `rb_root` or `rb_root_cached` (both begin with the
 * root's pointer). A node whose parent is another one than where the walk came from ends its branch; when all other
 * branches are yielded the first such error is thrown: EXH_BAD_STRUCTURE, or memory's own for a wild pointer.
 */
export function* rbtreeNodes(memory: VirtualMemory, root: bigint): Generator<VirtualAddress> {
  const damage = new WalkDamage('a red-black tree');
  const path: Node[] = [];
  let next = { address: memory.pointer(root) as bigint, parent: 0n };
  for (;;) {
    while (next.address !== 0n) {
      const { address, parent } = next;
      const node = damage.attempt(() => readNode(memory, address, parent, path.length, damage));
      if (node === undefined) break;
      path.push(node);
      next = { address: node.left, parent: node.address };
    }
    const node = path.pop();
    if (node === undefined) break;
    yield node.address;
    next = { address: node.right, parent: node.address };
  }
  damage.finish();
}

/** The structures in a red-black tree, in order, by the member that links them. */
export function* rbtreeEntries(
  memory: VirtualMemory,
  root: bigint,
  type: StructType,
  member: string,
): Generator<Struct> {
  for (const node of rbtreeNodes(memory, root)) yield containerOf(memory, type, member, node);
}

/** That each node names its parent, and no parent has a child twice, holds the walk to each node once. */
function readNode(memory: VirtualMemory, address: bigint, from: bigint, depth: number, damage: WalkDamage): Node {
  damage.count(address);
  const view = viewOf(memory.bytes(address, NODE_SIZE));
  const parent = view.getBigUint64(0, memory.littleEndian) & ~COLOUR_BITS;
  const right = view.getBigUint64(8, memory.littleEndian);
  const left = view.getBigUint64(16, memory.littleEndian);
  if (parent !== from) throw damage.bad('has a node that names another parent', address);
  if (left === right && left !== 0n) throw damage.bad('has a node with the same child on both sides', address);
  if (depth >= DEEPEST) throw damage.bad('is deeper than one can be', address);
  return { address: virtualAddress(address), right, left };
}
