import assert from 'node:assert/strict';
import { test } from 'node:test';
import { physicalAddress, virtualAddress } from '../../bytes/address.js';
import { ExhumeError } from '../../bytes/errors.js';
import { viewOf } from '../../bytes/struct-table.js';
import { LinearMemory } from '../../machine/linear-memory.js';
import { PatchedMemory } from '../../testing/patched-memory.js';
import { openSample } from '../../testing/sample.js';
import { KernelView } from '../kernel-view.js';
import { hlistNullsNodes, listEntries, listNodes } from './lists.js';
import { Struct } from './struct.js';

const { kernel, container } = openSample();
const view = new KernelView(kernel);
const init = view.variable('init_task', 'task_struct');

test('members are read by path, through embedded structures, pointers and bit fields', () => {
  assert.equal(init.string('comm'), 'swapper/0');
  assert.equal(init.int('pid'), 0);
  assert.equal(init.int('signal->nr_threads'), 1);
  assert.equal(init.int('in_execve'), 0);
  assert.equal(init.follow('real_parent')?.address, init.address, 'init_task is its own parent');
  assert.equal(init.member('se').type.name, 'sched_entity');
  assert.equal(init.follow('mm'), undefined);
  assert.equal(init.follow('active_mm')?.type.name, 'mm_struct');
  assert.equal(init.bytes('comm').length, 16);
  assert.ok(init.big('flags') > 0n);
});

test('a member that this kernel does not have is told before reading, and refused when read', () => {
  assert.ok(init.has('signal->nr_threads') && init.has('mm->pgd') && !init.has('signal->no_such'));
  assert.throws(
    () => init.int('no_such'),
    (error) => error instanceof ExhumeError && error.code === 'EXH_NO_LAYOUT',
  );
  assert.throws(
    () => init.int('mm->total_vm'),
    (error) => error instanceof ExhumeError && error.code === 'EXH_NOT_MAPPED',
  );
  assert.throws(() => view.struct('no_such_struct', 0n), ExhumeError);
  assert.throws(() => view.address('no_such_symbol'), ExhumeError);
});

test('the tasks of a real kernel are on a list that comes back to its head', () => {
  const tasks = [...listEntries(kernel.memory, init.addressOf('tasks'), init.type, 'tasks')];
  assert.deepEqual(
    tasks.slice(0, 2).map((task) => [task.int('pid'), task.string('comm')]),
    [
      [1, 'init'],
      [2, 'kthreadd'],
    ],
  );
  assert.ok(tasks.length > 40);
});

test('CPUs and their areas', () => {
  assert.deepEqual(view.cpus('possible'), [0, 1]);
  for (const cpu of view.cpus('possible')) {
    assert.equal(kernel.memory.u32(view.perCpu('cpu_number', cpu)), cpu);
  }
  assert.throws(() => view.perCpu('cpu_number', 2), ExhumeError);
});

test('types of modules are found where the kernel has none of that name', () => {
  assert.equal(view.types.struct('fw_cfg_sysfs_entry')?.size, 144);
  assert.equal(view.types.struct('no_such_struct'), undefined);
  assert.equal(view.types.enumeration('pid_type')?.get('PIDTYPE_TGID'), 1n);
});

/** A memory of one page at virtual address 0x1000, made of words. */
function words(values: readonly bigint[]): LinearMemory {
  const page = new Uint8Array(4096);
  values.forEach((value, index) => {
    viewOf(page).setBigUint64(index * 8, value, true);
  });
  const memory = new PatchedMemory(container.memory);
  memory.patch(256, page);
  return new LinearMemory(memory, true, [
    { virtual: virtualAddress(0x1000), physical: physicalAddress(256 * 4096), size: 4096 },
  ]);
}

test('lists end at their head, and circles and wild pointers end them too', () => {
  assert.deepEqual([...listNodes(words([0x1008n, 0x1010n, 0x1000n]), 0x1000n)].map(Number), [0x1008, 0x1010]);
  assert.deepEqual([...listNodes(words([0x1000n]), 0x1000n)], []);
  assert.deepEqual([...hlistNullsNodes(words([0x1008n, 0x1010n, 3n]), 0x1000n)].map(Number), [0x1008, 0x1010]);
  const circle = listNodes(words([0x1008n, 0x1010n, 0x1018n, 0x1010n]), 0x1000n);
  assert.throws(
    () => [...circle],
    (error) => error instanceof ExhumeError && error.code === 'EXH_BAD_STRUCTURE',
  );
  assert.throws(() => [...listNodes(words([0x1008n, 0xdead0000n]), 0x1000n)], ExhumeError);
});

test('bit fields of every position and sign come out, little endian', () => {
  const memory = words([0b1011_0110_1101n << 3n]);
  const at = (bitOffset: number, bitSize: number, signed: boolean): number => {
    const field = { path: 'x', typeId: 0, kind: 'integer', offset: 0, size: 4, bitSize, bitOffset, signed } as const;
    const type = Object.assign(Object.create(init.type), { require: () => field });
    return new Struct(memory, type, virtualAddress(0x1000)).int('x');
  };
  assert.equal(at(3, 12, false), 0b1011_0110_1101);
  assert.equal(at(5, 3, false), 0b011);
  assert.equal(at(3, 12, true), 0b1011_0110_1101 - 4096);
  assert.equal(at(13, 1, true), 0);
});
