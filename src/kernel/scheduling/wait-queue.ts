import { type VirtualAddress, virtualAddress } from '../../bytes/address.js';
import type { KernelView } from '../kernel-view.js';
import type { Task } from '../tasks/task.js';
import type { TaskList } from '../tasks/task-list.js';
import { listNodes } from '../types/lists.js';

/** A task that waits on a wait queue, and what is to be called to wake it. */
export interface Waiter {
  readonly task: Task | undefined;
  /** Of its `wait_queue_entry`. */
  readonly entry: VirtualAddress;
  readonly exclusive: boolean;
  /** `func`. */
  readonly wake: VirtualAddress;
}

/** `WQ_FLAG_EXCLUSIVE`. */
const EXCLUSIVE = 1;

/**
 * The waiters of a `wait_queue_head` (include/linux/wait.h), or of the `swait_queue_head` where `simple`.
 * Throws EXH_NO_LAYOUT, memory's errors, and EXH_BAD_STRUCTURE for what is no list.
 */
export function* readWaiters(
  view: KernelView,
  list: TaskList,
  head: VirtualAddress,
  simple = false,
): Generator<Waiter> {
  const queue = view.struct(simple ? 'swait_queue_head' : 'wait_queue_head', head);
  const entryType = view.types.requireStruct(simple ? 'swait_queue' : 'wait_queue_entry');
  const link = simple ? 'task_list' : 'entry';
  const first = queue.addressOf(simple ? 'task_list' : 'head');
  const offset = BigInt(entryType.require(link).offset);
  for (const node of listNodes(view.memory, first)) {
    const entry = view.struct(entryType.name, node - offset);
    const at = simple ? entry.pointer('task') : entry.pointer('private');
    yield {
      task: list.byAddress.get(at),
      entry: entry.address,
      exclusive: !simple && (entry.int('flags') & EXCLUSIVE) !== 0,
      wake: simple ? virtualAddress(0n) : entry.pointer('func'),
    };
  }
}
