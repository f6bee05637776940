import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { Random } from '../testing/random.js';
import { inOrder } from './in-order.js';

test('results are taken in the order of the tasks, whichever is done first, and only so many are under way', async () => {
  const random = new Random(3);
  let running = 0;
  let most = 0;
  const taken: number[] = [];
  await inOrder(
    Array.from({ length: 100 }, (_, i) => i),
    5,
    async (task) => {
      most = Math.max(most, ++running);
      for (let turns = random.below(6); turns > 0; turns--) await setImmediate();
      running--;
      return task * 2;
    },
    (result, task) => {
      assert.equal(result, task * 2);
      taken.push(task);
    },
  );
  assert.deepEqual(
    taken,
    Array.from({ length: 100 }, (_, i) => i),
  );
  assert.ok(most <= 5 && most > 1, `${most}`);
});

test('the first error is told, and those of tasks behind it are not left over', async () => {
  let unhandled = 0;
  const count = () => unhandled++;
  process.on('unhandledRejection', count);
  const failing = inOrder(
    [0, 1, 2, 3, 4],
    4,
    async (task) => {
      if (task > 0) throw new Error(`task ${task}`);
    },
    () => {},
  );
  await assert.rejects(failing, /task 1/);
  await setImmediate();
  await setImmediate();
  process.off('unhandledRejection', count);
  assert.equal(unhandled, 0);
});
