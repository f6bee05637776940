import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Damage } from '../../bytes/errors.js';
import { damagedView } from '../../testing/damaged-view.js';
import { Random } from '../../testing/random.js';
import { openSample } from '../../testing/sample.js';
import { KernelView } from '../kernel-view.js';
import { readTasks } from '../tasks/task-list.js';
import { queueClocks, runQueue } from './run-queue.js';
import { readRunQueues } from './run-queues.js';
import { readWaiters } from './wait-queue.js';

const view = new KernelView(openSample().kernel);
const list = readTasks(view);

test('each CPU has a run queue, a clock and a task that it was running', () => {
  const damage: Damage[] = [];
  const queues = readRunQueues(view, list, damage);
  assert.deepEqual(damage, []);
  assert.deepEqual(
    queues.map(({ cpu, current, running, realtime, fair, deadline }) => [
      cpu,
      current?.comm,
      running,
      realtime.tasks.length + fair.tasks.length + deadline.tasks.length,
    ]),
    [
      [0, 'swapper/0', 0, 0],
      [1, 'init', 1, 0],
    ],
  );
  assert.deepEqual([...queueClocks(view).keys()], [0, 1]);
  assert.ok(queues.every(({ cpu, clock }) => clock > 3_000_000_000n && clock === queueClocks(view).get(cpu)));
});

test('tasks that wait are found on the queues of their classes', () => {
  const { view: changed, write } = damagedView();
  const rq = runQueue(changed, 0);
  const entity = (pid: number, member: string): bigint => {
    const task = list.tasks.find((one) => one.pid === pid);
    assert.ok(task);
    return changed.struct('task_struct', task.address).addressOf(member);
  };
  const realtime = rq.addressOf('rt.active.queue') + 49n * 16n;
  write(realtime, entity(14, 'rt.run_list'), entity(14, 'rt.run_list'));
  write(entity(14, 'rt.run_list'), realtime, realtime);
  // A tree of a root and one child on its left.
  write(rq.addressOf('cfs.tasks_timeline'), entity(2, 'se.run_node'));
  write(entity(2, 'se.run_node'), 1n, 0n, entity(3, 'se.run_node'));
  write(entity(3, 'se.run_node'), entity(2, 'se.run_node'), 0n, 0n);
  write(rq.addressOf('dl.root'), entity(109, 'dl.rb_node'));
  write(entity(109, 'dl.rb_node'), 1n, 0n, 0n);
  const damage: Damage[] = [];
  const [queue] = readRunQueues(changed, list, damage);
  assert.deepEqual(damage, []);
  assert.deepEqual(
    queue?.realtime.tasks.map(({ pid }) => pid),
    [14],
  );
  assert.deepEqual(
    queue?.fair.tasks.map(({ pid }) => pid),
    [3, 2],
  );
  assert.deepEqual(
    queue?.deadline.tasks.map(({ pid }) => pid),
    [109],
  );
});

test('waiters of a wait queue are told with who they are', () => {
  const waiters = [...readWaiters(view, list, view.address('kauditd_wait'))];
  assert.deepEqual(
    waiters.map(({ task, exclusive }) => [task?.comm, exclusive]),
    [['kauditd', false]],
  );
  assert.notEqual(waiters[0]?.wake, 0n);
  assert.throws(() => [...readWaiters(view, list, view.address('linux_banner'))]);
});

test('run queues with anything in them are read to an end', () => {
  const random = new Random(77);
  for (let round = 0; round < 6; round++) {
    const { view: damaged, write } = damagedView();
    const rq = runQueue(damaged, round % 2);
    for (const path of ['rt.active', 'cfs.tasks_timeline', 'dl.root', 'curr']) {
      const at = rq.addressOf(path) + BigInt(8 * random.below(path === 'rt.active' ? 200 : 1));
      const task = list.tasks[random.below(list.tasks.length)];
      write(at, random.pick([0n, 0x1111n, (task?.address ?? 0n) + 144n, rq.address, at]));
    }
    const damage: Damage[] = [];
    assert.equal(readRunQueues(damaged, list, damage).length, 2);
  }
});
