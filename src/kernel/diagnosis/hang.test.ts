import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Random } from '../../testing/random.js';
import type { Frame } from './frame.js';
import { type HungTask, originOfHang } from './hang.js';

const frames = (names: string): Frame[] =>
  names.split(' ').map((name) => ({ name, module: undefined, reliable: true, stack: undefined }));

function hung(pid: number, since: number, names: string, holder?: number): HungTask {
  return { pid, comm: `task-${pid}`, since, frames: frames(names), holder };
}

/** The origin's pid and its waiters, which must be the same in whatever order the tasks come. */
function originOf(tasks: readonly HungTask[], tolerance = 0): [pid: number, waiters: number] | undefined {
  const orders = [tasks, [...tasks].reverse(), [...tasks.slice(1), ...tasks.slice(0, 1)]];
  const found = orders.map((order) => originOfHang(order, tolerance));
  assert.equal(new Set(found.map((origin) => origin?.task.pid)).size, 1);
  const [origin] = found;
  return origin && [origin.task.pid, origin.waiters];
}

test('who holds the lock counts, not who waits for it, though it may have waited for longer', () => {
  const tasks = [hung(1, 10, 'mutex a', 3), hung(2, 11, 'mutex b', 1), hung(3, 12, 'io c'), hung(4, 13, 'mutex a', 3)];
  assert.deepEqual(originOf(tasks), [3, 3]);
});

test('a holder that does not wait itself leaves its waiter to count', () => {
  assert.deepEqual(originOf([hung(1, 10, 'mutex a', 9), hung(2, 12, 'io b')]), [1, 0]);
});

test('of those that wait for no lock the longest waiter counts, of equally long ones the first in the alphabet', () => {
  assert.deepEqual(originOf([hung(1, 10.5, 'io a'), hung(2, 10, 'io b'), hung(3, 30, 'io a')]), [2, 0]);
  assert.deepEqual(originOf([hung(1, 10.5, 'io a'), hung(2, 10, 'io b'), hung(3, 30, 'io 0')], 2), [1, 0]);
});

test('of tasks that wait for each other in a circle the first in the alphabet counts, whichever came first', () => {
  const circle = [hung(1, 10, 'mutex b', 2), hung(2, 12, 'mutex a', 1), hung(3, 14, 'mutex 0', 1)];
  assert.deepEqual(originOf(circle), [2, 2]);
});

test('nothing hangs: there is no origin', () => {
  assert.equal(originOf([]), undefined);
});

test('any tangle of holders has an origin, and every task counts once', () => {
  const random = new Random(7);
  for (let round = 0; round < 200; round++) {
    const count = 1 + random.below(12);
    const tasks = Array.from({ length: count }, (_, pid) =>
      hung(pid, random.below(4), `f${random.below(3)}`, random.below(2) === 0 ? random.below(count + 2) : undefined),
    );
    const origin = originOfHang(tasks, random.below(3));
    assert.ok(origin !== undefined && tasks.includes(origin.task) && origin.waiters < count);
  }
});
