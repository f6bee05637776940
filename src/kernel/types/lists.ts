import { type VirtualAddress, virtualAddress } from '../../bytes/address.js';
import { ExhumeError } from '../../bytes/errors.js';
import type { VirtualMemory } from '../../machine/virtual-memory.js';
import type { StructType } from './kernel-types.js';
import { containerOf, type Struct } from './struct.js';

/** No list of a kernel is longer; a longer one goes round without coming back to its head. */
const LONGEST = 1 << 22;

/**
 * The nodes of a `list_head` list, its head left out (include/linux/list.h). `next` is the first word of a node.
 * Throws EXH_BAD_STRUCTURE for a list that runs in a circle beside its head, and memory's errors for a wild pointer:
 * what was yielded before stands.
 */
export function* listNodes(memory: VirtualMemory, head: bigint): Generator<VirtualAddress> {
  yield* chain(memory, memory.pointer(head), (node) => node === head);
}

/** The nodes of an `hlist_head`, or of an `llist` given its first node's address holder: they end with NULL. */
export function* hlistNodes(memory: VirtualMemory, head: bigint): Generator<VirtualAddress> {
  yield* chain(memory, memory.pointer(head), (node) => node === 0n);
}

/** The nodes of an `hlist_nulls_head`: the end is an odd value. */
export function* hlistNullsNodes(memory: VirtualMemory, head: bigint): Generator<VirtualAddress> {
  yield* chain(memory, memory.pointer(head), (node) => (node & 1n) === 1n || node === 0n);
}

/** The structures on a list, by the member that links them; backward, from its last one on, by its `prev`. */
export function* listEntries(
  memory: VirtualMemory,
  head: bigint,
  type: StructType,
  member: string,
  direction: 'forward' | 'backward' = 'forward',
): Generator<Struct> {
  const offset = direction === 'forward' ? 0n : 8n;
  const nodes = chain(memory, memory.pointer(head + offset), (node) => node === head, offset);
  for (const node of nodes) yield containerOf(memory, type, member, node);
}

/** The structures on an `hlist`, by the member that links them. */
export function* hlistEntries(
  memory: VirtualMemory,
  head: bigint,
  type: StructType,
  member: string,
): Generator<Struct> {
  for (const node of hlistNodes(memory, head)) yield containerOf(memory, type, member, node);
}

/**
 * The nodes from `start` on (itself included) along a pointer `offset` bytes into each, up to NULL, or to `head` again.
 * Gives back whether it ended with NULL. Throws as `listNodes` does.
 */
export function* chainNodes(
  memory: VirtualMemory,
  start: bigint,
  offset: bigint,
  head: bigint,
): Generator<VirtualAddress, boolean> {
  if (start === 0n) return true;
  yield virtualAddress(start);
  const first = memory.pointer(start + offset);
  let last = first;
  for (const node of chain(memory, first, (one) => one === 0n || one === head, offset)) {
    yield node;
    last = memory.pointer(node + offset);
  }
  return last === 0n;
}

/**
 * Follows the words `offset` bytes into each node until `isEnd`. A circle is found as Brent does it: a mark left at steps 1, 2, 4, 8… is met again
 * within twice the circle's length, and nothing is kept of the nodes.
 */
function* chain(
  memory: VirtualMemory,
  first: VirtualAddress,
  isEnd: (node: bigint) => boolean,
  offset = 0n,
): Generator<VirtualAddress> {
  let mark = 0n;
  let next = 1;
  let node = first;
  for (let step = 1; !isEnd(node); step++) {
    if (node === mark || step > LONGEST) {
      throw new ExhumeError('EXH_BAD_STRUCTURE', 'a linked list does not come back to its head', { address: node });
    }
    if (step === next) {
      mark = node;
      next *= 2;
    }
    yield node;
    node = memory.pointer(node + offset);
  }
}
