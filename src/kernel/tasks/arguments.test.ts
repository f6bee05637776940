import assert from 'node:assert/strict';
import { test } from 'node:test';
import { physicalAddress } from '../../bytes/address.js';
import { isExhumeError } from '../../bytes/errors.js';
import { damagedView } from '../../testing/damaged-view.js';
import { Random } from '../../testing/random.js';
import { openSample } from '../../testing/sample.js';
import { KernelView } from '../kernel-view.js';
import { readArguments, readLimits } from './arguments.js';
import { readTasks } from './task-list.js';

const { kernel, machine } = openSample();
const view = new KernelView(kernel);
const list = readTasks(view);
const open = (root: number) => machine.pageTable(physicalAddress(root), kernel.pageTable.levels);

function task(pid: number) {
  const found = list.tasks.find((one) => one.pid === pid);
  assert.ok(found);
  return found;
}

test("a program's arguments and environment are read from its own memory; a kernel thread has none", () => {
  const found = readArguments(view, task(1), open);
  assert.deepEqual(found?.arguments, ['/bin/busybox', 'sh', '/init']);
  assert.deepEqual(found?.environment, ['HOME=/', 'TERM=linux']);
  assert.equal(readArguments(view, task(2), open), undefined);
});

test('limits are by name, and none is undefined', () => {
  const limits = new Map(readLimits(view, task(1)).map(({ name, ...values }) => [name, values]));
  assert.equal(limits.size, 16);
  assert.deepEqual(limits.get('STACK'), { current: 8388608n, maximum: undefined });
  assert.deepEqual(limits.get('NOFILE'), { current: 1024n, maximum: 4096n });
});

test('whatever the memory descriptor says of its arguments, reading them ends', () => {
  const { view: changed, set } = damagedView();
  const mm = changed.struct('mm_struct', task(1).mm);
  const random = new Random(11);
  const sound = ['arg_start', 'arg_end', 'env_start', 'env_end'].map((name) => [name, mm.big(name)] as const);
  for (let round = 0; round < 60; round++) {
    for (const [name, value] of sound)
      set(mm, name, random.below(2) === 0 ? value : BigInt(random.below(1 << 30)) << 17n);
    try {
      const found = readArguments(changed, task(1), open);
      assert.ok((found?.arguments.join('').length ?? 0) <= 1 << 20);
    } catch (error) {
      assert.ok(isExhumeError(error));
    }
  }
});
