import assert from 'node:assert/strict';
import { test } from 'node:test';
import { damagedView } from '../../testing/damaged-view.js';
import { Random } from '../../testing/random.js';
import { readTasks } from '../tasks/task-list.js';
import { lockHolder } from './lock-holder.js';

/** A kernel of which one task can be made to wait, for a lock that another one holds. */
function scene() {
  const damaged = damagedView();
  const { view } = damaged;
  const list = readTasks(view);
  const [waiter, holder] = [14, 109].map((pid) => list.tasks.find((task) => task.pid === pid));
  assert.ok(waiter !== undefined && holder !== undefined);
  const struct = view.struct('task_struct', waiter.address);
  return { ...damaged, holder, struct, found: () => lockHolder(view, list, waiter) };
}

test('a task that waits for no lock waits for nobody', () => {
  assert.equal(scene().found(), undefined);
});

test('the holder of each kind of lock is found, whatever flags its owner has', () => {
  for (const [type, kind, owner, flags] of [
    ['mutex', 0n, 'owner.counter', 5n],
    ['semaphore', 1n, 'last_holder', 0n],
    ['rw_semaphore', 2n, 'owner.counter', 3n],
    ['rw_semaphore', 3n, 'owner.counter', 0n],
  ] as const) {
    const { make, set, struct, holder, found } = scene();
    const lock = make(type);
    set(lock, owner, holder.address | flags);
    set(struct, 'blocker', lock.address | kind);
    assert.equal(found()?.pid, 109, `${type} ${kind}`);
  }
});

test('without a word of the hung task detector, the mutex or the rt_mutex that a task is blocked on tells', () => {
  const first = scene();
  const mutex = first.make('mutex');
  first.set(mutex, 'owner.counter', first.holder.address);
  first.set(first.struct, 'blocked_on', mutex.address);
  assert.equal(first.found()?.pid, 109);

  const second = scene();
  const waiter = second.make('rt_mutex_waiter');
  const lock = second.make('rt_mutex_base');
  second.set(waiter, 'lock', lock.address);
  second.set(lock, 'owner', second.holder.address | 1n);
  second.set(second.struct, 'pi_blocked_on', waiter.address);
  assert.equal(second.found()?.pid, 109);
});

test('an owner that is no task, or the waiter itself, is no holder', () => {
  const { make, set, struct, found } = scene();
  const mutex = make('mutex');
  set(struct, 'blocked_on', mutex.address);
  const random = new Random(3);
  for (const owner of [0n, 1n, struct.address, struct.address | 7n, BigInt(random.below(1 << 30)), -1n]) {
    set(mutex, 'owner.counter', owner);
    assert.equal(found(), undefined, owner.toString(16));
  }
  // A lock that is nowhere.
  set(struct, 'blocker', 0x1000n);
  set(struct, 'blocked_on', 0x7fff_0000_0000n);
  assert.equal(found(), undefined);
});
