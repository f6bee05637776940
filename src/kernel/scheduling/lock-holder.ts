import { orUndefined } from '../../bytes/errors.js';
import type { KernelView } from '../kernel-view.js';
import type { Task } from '../tasks/task.js';
import type { TaskList } from '../tasks/task-list.js';
import { listNodes } from '../types/lists.js';

/** The low bits of an owner are flags: three of a mutex's, two of a reader-writer semaphore's (kernel/locking/). */
const OWNER_FLAGS = 7n;

/** What `task_struct.blocker` points at, by its two low bits: `BLOCKER_TYPE_*`, include/linux/hung_task.h. */
const BLOCKERS = [
  ['mutex', 'owner'],
  ['semaphore', 'last_holder'],
  ['rw_semaphore', 'owner'],
  ['rw_semaphore', 'owner'],
] as const;

/** Locks with a list of waiters, each of which is on its task's stack; the list's head is in the lock. */
const QUEUES = [
  { lock: 'mutex', waiter: 'mutex_waiter' },
  { lock: 'rw_semaphore', waiter: 'rwsem_waiter' },
] as const;

/**
 * The task that holds the lock which another one sleeps for: a mutex, a semaphore, a reader-writer semaphore (of readers
 * the last one) or an rt_mutex. Undefined where it waits for nothing of the kind, or nothing tells.
 * A kernel since 6.16 writes down for what a task sleeps. Before, the waiter is found on the task's own stack: it holds the
 * task's address and is on the list of a lock.
 */
export function lockHolder(view: KernelView, list: TaskList, task: Task): Task | undefined {
  for (const way of [byBlocker, byMutex, byRtMutex, byWaiter]) {
    const owner = orUndefined(() => way(view, list, task));
    const holder = owner === undefined ? undefined : list.byAddress.get(BigInt.asUintN(64, owner) & ~OWNER_FLAGS);
    if (holder !== undefined && holder.address !== task.address) return holder;
  }
  return undefined;
}

type Way = (view: KernelView, list: TaskList, task: Task) => bigint | undefined;

/** CONFIG_DETECT_HUNG_TASK_BLOCKER. */
const byBlocker: Way = (view, _list, { address }) => {
  const struct = view.struct('task_struct', address);
  const blocker = struct.has('blocker') ? struct.big('blocker') : 0n;
  if (blocker === 0n) return undefined;
  const [type, owner] = BLOCKERS[Number(blocker & 3n)] ?? BLOCKERS[0];
  const lock = view.struct(type, blocker & ~3n);
  return lock.big(lock.has(`${owner}.counter`) ? `${owner}.counter` : owner);
};

/** A `struct mutex *`; where it is a `struct mutex_waiter *`, for debugging, it has no owner. */
const byMutex: Way = (view, _list, { address }) => {
  const struct = view.struct('task_struct', address);
  if (!struct.has('blocked_on->owner.counter')) return undefined;
  return struct.pointer('blocked_on') === 0n ? undefined : struct.big('blocked_on->owner.counter');
};

const byRtMutex: Way = (view, _list, { address }) => {
  const struct = view.struct('task_struct', address);
  if (!struct.has('pi_blocked_on->lock->owner')) return undefined;
  return struct.pointer('pi_blocked_on') === 0n ? undefined : struct.pointer('pi_blocked_on->lock->owner');
};

const byWaiter: Way = (view, list, task) => {
  if (task.stackPointer === undefined || task.stack === 0n) return undefined;
  const words = stackWords(view, task.stackPointer, task.stack);
  for (const { lock, waiter } of QUEUES) {
    const type = view.types.struct(waiter);
    const queue = view.types.struct(lock)?.field('wait_list');
    if (type === undefined || queue === undefined) continue;
    const link = BigInt(type.require('task').offset - type.require('list').offset);
    for (const slot of words.slotsOf(task.address)) {
      const owner = orUndefined(() => {
        const head = headOf(view, list, slot - link, link);
        return head && BigInt.asUintN(64, view.struct(lock, head - BigInt(queue.offset)).big('owner.counter'));
      });
      if (owner !== undefined && list.byAddress.has(owner & ~OWNER_FLAGS)) return owner;
    }
  }
  return undefined;
};

/** A stack of the kernel's is no larger. */
const MOST_BYTES = 65536;

/** The words of a stack from where it is in use. */
function stackWords(view: KernelView, from: bigint, stack: bigint) {
  const size = Number(stack + BigInt(view.types.struct('irq_stack')?.size ?? 16384) - from);
  const bytes = view.memory.bytes(from, Math.max(0, Math.min(size, MOST_BYTES)) & ~7);
  const words = new BigUint64Array(bytes.slice().buffer);
  return {
    slotsOf: (value: bigint): bigint[] =>
      [...words].flatMap((word, index) => (word === value ? [from + BigInt(index * 8)] : [])),
  };
}

/** No lock has more waiters. */
const MOST_WAITERS = 100_000;

/**
 * The head of the list that a waiter is on: the only node that is no waiter, with its task, on that task's stack.
 * Undefined for what is no node of a list.
 */
function headOf(view: KernelView, list: TaskList, node: bigint, link: bigint): bigint | undefined {
  const { memory } = view;
  if (memory.u64(memory.u64(node) + 8n) !== node || memory.u64(memory.u64(node + 8n)) !== node) return undefined;
  let left = MOST_WAITERS;
  for (const other of listNodes(memory, node)) {
    if (left-- === 0) return undefined;
    const task = list.byAddress.get(memory.u64(other + link));
    if (task === undefined || other < task.stack || other >= task.stack + BigInt(MOST_BYTES)) return other;
  }
  return undefined;
}
