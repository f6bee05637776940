import type { VirtualAddress } from '../../bytes/address.js';
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

/** The structures on a list, by the member that links them. */
export function* listEntries(memory: VirtualMemory, head: bigint, type: StructType, member: string): Generator<Struct> {
  for (const node of listNodes(memory, head)) yield containerOf(memory, type, member, node);
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
 * Follows first words until `isEnd`. A circle is found as Brent does it: a mark left at steps 1, 2, 4, 8… is met again
 * within twice the circle's length, and nothing is kept of the nodes.
 */
function* chain(
  memory: VirtualMemory,
  first: VirtualAddress,
  isEnd: (node: bigint) => boolean,
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
    node = memory.pointer(node);
  }
}
