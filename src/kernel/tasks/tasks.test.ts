import assert from 'node:assert/strict';
import { test } from 'node:test';
import { damagedView } from '../../testing/damaged-view.js';
import { Random } from '../../testing/random.js';
import { openSample } from '../../testing/sample.js';
import { KernelView } from '../kernel-view.js';
import { blockedSince } from './blocked.js';
import { FieldWindow } from './field-window.js';
import { policyName } from './policy.js';
import type { Task } from './task.js';
import { readTasks } from './task-list.js';
import { physicalPages, TaskMemoryReader } from './task-memory.js';
import { TaskStates, taskStates } from './task-state.js';

const view = new KernelView(openSample().kernel);
const list = readTasks(view);
const names = (tasks: readonly Task[]): string[] => tasks.map(({ pid, cpu, comm }) => `${pid} ${cpu} ${comm}`);
const task = (pid: number): Task => {
  const found = list.tasks.find((one) => one.pid === pid);
  assert.ok(found, `pid ${pid}`);
  return found;
};

test('every thread of a real kernel is there, the idle tasks first', () => {
  assert.deepEqual(list.damage, []);
  assert.equal(list.tasks.length, 63);
  assert.deepEqual(names(list.tasks.slice(0, 5)), [
    '0 0 swapper/0',
    '0 1 swapper/1',
    '1 1 init',
    '2 1 kthreadd',
    '3 1 pool_workqueue_',
  ]);
  assert.deepEqual(
    [...list.active].map(([cpu, { pid }]) => [cpu, pid]),
    [
      [0, 0],
      [1, 1],
    ],
  );
  const kinds = list.tasks.map(({ state }) => state.letter).sort();
  assert.equal(kinds.filter((letter) => letter === 'I').length, 37);
  assert.equal(kinds.filter((letter) => letter === 'S').length, 23);
});

test('a task tells who it is, whose child, when it started and what memory it has', () => {
  const init = task(1);
  const sleeper = task(109);
  assert.deepEqual([init.comm, init.kernelThread, init.tgid, init.priority, init.policy], ['init', false, 1, 120, 0]);
  assert.equal(list.byAddress.get(sleeper.parent), init);
  assert.equal(sleeper.state.words, 'sleeping');
  assert.ok(task(2).kernelThread && task(2).mm === 0n);
  assert.ok(sleeper.startTime > init.startTime && init.startTime > 0n);
  const memory = new TaskMemoryReader(view, list.tasks);
  assert.deepEqual(memory.of(init), { virtual: 567, resident: 452 });
  assert.deepEqual(memory.of(task(2)), { virtual: 0, resident: 0 });
  assert.equal(memory.of({ ...init, mm: 0x1000n as Task['mm'] }), undefined);
  assert.ok((physicalPages(view) ?? 0) > 24000);
});

test('states are told by the highest bit that /proc tells, and idle kernel threads by theirs', () => {
  const states = taskStates(view);
  const told = (state: number, exit = 0): string => {
    const { letter, code } = states.of(state, exit);
    return `${letter} ${code}`;
  };
  assert.deepEqual(
    [told(0), told(1), told(2), told(0x102), told(4), told(8), told(0x40), told(0x402)],
    ['R RU', 'S IN', 'D UN', 'D UN', 'T ST', 't TR', 'P PA', 'I ID'],
  );
  assert.deepEqual([told(0x80, 0x20), told(0x80, 0x10)], ['Z ZO', 'X DE']);
  assert.deepEqual([told(0x8000), told(0x1000), told(0x800), told(0x200)], ['D UN', 'D UN', 'R NE', 'R WA']);
  assert.equal(new TaskStates(['nonsense']).of(2, 0).words, 'disk sleep');
});

test('a blocked task has been so since it was last seen running, by whichever clock says later', () => {
  const states = new TaskStates();
  const blocked = { ...task(2), state: states.of(2, 0), lastArrival: 100n, lastCharged: 150n };
  assert.deepEqual(blockedSince(blocked), { since: 150n, basis: 'se.exec_start' });
  assert.deepEqual(blockedSince({ ...blocked, lastCharged: 90n })?.basis, 'sched_info.last_arrival');
  assert.equal(blockedSince({ ...blocked, lastArrival: undefined, lastCharged: 0n }), undefined);
  assert.equal(blockedSince({ ...blocked, state: states.of(1, 0) }), undefined);
  assert.deepEqual(
    [policyName(1), policyName(6), policyName(4), policyName(undefined)],
    ['FIFO', 'DEADLINE', undefined, undefined],
  );
});

test('a window reads what Struct reads, also where a page of the structure is gone', () => {
  const type = view.types.requireStruct('task_struct');
  const window = new FieldWindow(view.memory, type, ['pid', 'comm', 'tasks', 'no_such']);
  const init = view.variable('init_task', 'task_struct');
  window.load(init.address);
  assert.equal(window.int('pid'), 0);
  assert.equal(window.text('comm'), init.string('comm'));
  assert.equal(window.word('tasks'), init.pointer('tasks.next'));
  assert.equal(window.addressOf('tasks'), init.addressOf('tasks'));
  assert.ok(!window.has('no_such'));
  assert.throws(() => window.int('no_such'));
  window.load(0x1000n);
  assert.throws(() => window.int('pid'), /not mapped/);
});

test('a list that is broken costs no task: it is followed from its end, and the table of pids has the rest', () => {
  const { view: damaged, write } = damagedView();
  const at = (pid: number): bigint => damaged.struct('task_struct', task(pid).address).addressOf('tasks');
  write(at(14), 0x1111n);
  write(at(40) + 8n, 0xffff_8927_0000_0000n);
  const found = readTasks(damaged);
  assert.deepEqual(names(found.tasks), names(list.tasks));
  assert.ok(found.damage.some(({ part }) => part === 'task list'));
});

test('a list that runs in a circle ends, and tasks that no list has are told of', () => {
  const { view: damaged, write } = damagedView();
  const node = (pid: number): bigint => damaged.struct('task_struct', task(pid).address).addressOf('tasks');
  // 15 leaves the list properly; its own links still lead into it.
  write(node(14), node(16));
  write(node(16) + 8n, node(14));
  const unlinked = readTasks(damaged);
  assert.deepEqual(names(unlinked.tasks), names(list.tasks));
  assert.match(unlinked.damage.map(({ message }) => message).join(), /a task is not on it/);
  write(node(20), node(17));
  assert.deepEqual(names(readTasks(damaged).tasks), names(list.tasks));
});

test('whatever stands in the tasks, reading them ends with tasks and damage', () => {
  const random = new Random(20260);
  for (let round = 0; round < 12; round++) {
    const { view: damaged, writeBytes, exclude } = damagedView();
    for (let hits = 0; hits < 6; hits++) {
      const victim = list.tasks[random.below(list.tasks.length)] ?? task(1);
      const size = damaged.types.requireStruct('task_struct').size;
      const bytes = view.memory.bytes(victim.address, size);
      random.mutate(bytes, 400);
      // Across pages that lie apart in physical memory, each page is written by itself.
      for (let done = 0; done < size; ) {
        const address = victim.address + BigInt(done);
        const length = Math.min(4096 - Number(address & 4095n), size - done);
        writeBytes(address, bytes.subarray(done, done + length));
        done += length;
      }
      if (random.below(3) === 0) exclude(victim.address);
    }
    const found = readTasks(damaged);
    new TaskMemoryReader(damaged, found.tasks).of(found.tasks[0] ?? task(1));
    assert.ok(found.tasks.length > 40 && found.tasks.length <= list.tasks.length + 8, `round ${round}`);
  }
});
