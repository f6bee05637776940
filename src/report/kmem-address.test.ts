import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hex } from '../bytes/address.js';
import type { Damage } from '../bytes/errors.js';
import { KernelView } from '../kernel/kernel-view.js';
import { PageArray } from '../kernel/memory/pages.js';
import { readVmallocAreas } from '../kernel/memory/vmalloc.js';
import { readTasks } from '../kernel/tasks/task-list.js';
import { damagedView } from '../testing/damaged-view.js';
import { Random } from '../testing/random.js';
import { openSample } from '../testing/sample.js';
import { buildKmem } from './kmem.js';
import { describeAddresses } from './kmem-address.js';
import { openSubject } from './subject.js';
import { kmemText } from './text/kmem.js';

const view = new KernelView(openSample().kernel);
const { tasks } = readTasks(view);

function describe(query: string) {
  const damage: Damage[] = [];
  const [found] = describeAddresses(view, [query], damage);
  assert.deepEqual(damage, []);
  assert.ok(found);
  return found;
}

test('every task but the first is an object of its cache, also on the tail pages of a slab', () => {
  const pages = new PageArray(view);
  const started = tasks.filter(({ address }) => address !== view.address('init_task'));
  assert.ok(started.length > 50);
  for (const { address } of started) {
    const object = pages.slabObject(address + 100n);
    assert.equal(object?.cache, 'task_struct');
    assert.equal(object?.start, address);
  }
  assert.equal(pages.slabObject(view.address('init_task')), undefined);
});

test('an address is told by all that it is part of', () => {
  const init = tasks.find(({ pid }) => pid === 1);
  assert.ok(init);
  const object = describe(hex(init.address + 8n));
  assert.deepEqual([object.task?.pid, object.stack, object.object?.cache], [1, false, 'task_struct']);
  const stack = describe(hex(init.stack + 0x1000n));
  assert.deepEqual([stack.task?.pid, stack.stack], [1, true]);
  assert.ok(BigInt(stack.area?.start ?? 0) <= init.stack);
  // By its struct page, and by its physical address, a page is the same.
  assert.deepEqual(describe(stack.page?.page ?? '').page, stack.page);
  assert.deepEqual(describe(stack.page?.physical ?? '').page, stack.page);
  const first = describe('init_task');
  assert.match(first.symbol ?? '', /^init_task\+0x0\//);
  assert.equal(first.task?.pid, 0);
  assert.ok(first.page?.names.includes('reserved'));
  const nothing = describe('7fff00000000');
  assert.deepEqual([nothing.symbol, nothing.task, nothing.object, nothing.area, nothing.page], Array(5).fill(null));
});

test('the stacks of tasks are among the areas of vmalloc, which do not overlap', () => {
  const damage: Damage[] = [];
  const areas = readVmallocAreas(view, damage);
  assert.deepEqual(damage, []);
  for (const [index, { start, end }] of areas.entries()) {
    assert.ok(start < end && start >= (areas[index - 1]?.end ?? 0n));
  }
  for (const { stack, pid } of tasks.filter(({ pid }) => pid > 0)) {
    assert.ok(
      areas.some(({ start, end }) => stack >= start && stack < end),
      String(pid),
    );
  }
});

test('lists of areas that are damaged end, with what was found', () => {
  const random = new Random(5);
  for (let round = 0; round < 20; round++) {
    const { view: changed, set } = damagedView();
    const damage: Damage[] = [];
    const areas = readVmallocAreas(changed, damage);
    const area = areas[random.below(areas.length)];
    const other = areas[random.below(areas.length)];
    assert.ok(area && other);
    const struct = changed.struct('vmap_area', area.address);
    const wild = random.below(2) === 0 ? changed.struct('vmap_area', other.address).addressOf('list') : 0x1000n;
    set(struct, 'list.next', wild);
    const broken: Damage[] = [];
    assert.ok(readVmallocAreas(changed, broken).length < 10 * areas.length);
    assert.ok(broken.every(({ part }) => part === 'vmalloc areas'));
  }
});

test('kmem tells of addresses in text', () => {
  const report = buildKmem(openSubject(openSample().container), { addresses: ['init_task'], areas: true });
  const text = [...kmemText(report, 'table')].join('\n');
  assert.match(text, /VMAP_AREA +VM_STRUCT/);
  assert.match(text, /^ {2}TASK: PID 0 {2}"swapper\/0"/m);
  assert.match(text, / reserved$/m);
});
