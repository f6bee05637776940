import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PhysicalAddress, VirtualAddress } from '../../bytes/address.js';
import { isExhumeError } from '../../bytes/errors.js';
import { VirtualMemory } from '../../machine/virtual-memory.js';
import { PatchedMemory } from '../../testing/patched-memory.js';
import { Random } from '../../testing/random.js';
import { openSample } from '../../testing/sample.js';
import { KernelView } from '../kernel-view.js';
import { listEntries } from './lists.js';
import { mapleRanges } from './maple-tree.js';
import { rbtreeEntries, rbtreeNodes } from './rbtree.js';
import { rhashtableNodes, rhashtableObjects } from './rhashtable.js';
import { Struct } from './struct.js';
import { idrEntries, xarrayEntries, xarrayValue } from './xarray.js';

const { kernel } = openSample();
const view = new KernelView(kernel);
const { memory, types } = view;

function init(): Struct {
  const swapper = view.variable('init_task', 'task_struct');
  const [first] = listEntries(memory, swapper.addressOf('tasks'), swapper.type, 'tasks');
  assert.equal(first?.int('pid'), 1);
  return first as Struct;
}

/** The directory /sys: its names are what every sysfs has. */
function sysfs(): Struct {
  return view.struct('kernfs_node', memory.pointer(view.address('sysfs_root_kn')));
}

function pageCache(): Struct {
  return new Struct(memory, types.requireStruct('address_space'), init().pointer('mm->exe_file->f_inode->i_mapping'));
}

function pidIdr(): VirtualAddress {
  return view.variable('init_pid_ns', 'pid_namespace').addressOf('idr');
}

function netlink(protocol: number): VirtualAddress {
  const size = types.requireStruct('netlink_table').size;
  return (memory.pointer(view.address('nl_table')) + BigInt(protocol * size)) as VirtualAddress;
}

test('a red-black tree is walked in order: the directories of /sys', () => {
  const directories = [
    ...rbtreeEntries(memory, sysfs().addressOf('dir.children'), types.requireStruct('kernfs_node'), 'rb'),
  ];
  assert.deepEqual(
    directories.map((node) => node.string('name')).sort(),
    ['block', 'bus', 'class', 'dev', 'devices', 'firmware', 'fs', 'hypervisor', 'kernel', 'module', 'power'].sort(),
  );
  const hashes = directories.map((node) => node.int('hash'));
  assert.deepEqual(
    hashes,
    hashes.toSorted((a, b) => a - b),
  );
});

test('a maple tree: the address space of init, and the interrupts', () => {
  const mm = init().follow('mm');
  assert.ok(mm);
  const areas = [...mapleRanges(memory, types, mm.addressOf('mm_mt'))];
  assert.equal(areas.length, mm.int('map_count'));
  for (const { first, last, entry } of areas) {
    const area = view.struct('vm_area_struct', entry);
    assert.deepEqual([first, last + 1n], [area.big('vm_start'), area.big('vm_end')]);
  }
  const interrupts = [...mapleRanges(memory, types, view.address('sparse_irqs'))];
  assert.ok(interrupts.length > 16);
  for (const { first, last, entry } of interrupts) {
    assert.equal(first, last);
    assert.equal(BigInt(view.struct('irq_desc', entry).int('irq_data.irq')), first);
  }
});

test('an XArray: the page cache of a file, page by page', () => {
  const cache = pageCache();
  const entries = [...xarrayEntries(memory, types, cache.addressOf('i_pages'))];
  assert.equal(entries.length, cache.int('nrpages'));
  for (const { index, entry } of entries) assert.equal(view.struct('folio', entry).big('index'), index);
  assert.equal(xarrayValue(0x15n), 10n);
  assert.equal(xarrayValue(0x10n), undefined);
});

test('an XArray asked for some indexes gives those and no others', () => {
  const cache = pageCache().addressOf('i_pages');
  const all = [...xarrayEntries(memory, types, cache)];
  const [from, to] = [all[3]?.index ?? 0n, all.at(-2)?.index ?? 0n];
  assert.ok(from < to);
  assert.deepEqual(
    [...xarrayEntries(memory, types, cache, { from, to })],
    all.filter(({ index }) => index >= from && index < to),
  );
  assert.deepEqual([...xarrayEntries(memory, types, cache, { from: 1n << 40n, to: 1n << 41n })], []);
});

test('an IDR: every process number of the kernel', () => {
  const pids = [...idrEntries(memory, types, pidIdr())];
  const allocated = view.variable('init_pid_ns', 'pid_namespace').int('pid_allocated');
  // The highest bit says that more may be added (PIDNS_ADDING).
  assert.equal(pids.length, allocated & 0x7fff_ffff);
  const pid = types.requireStruct('pid');
  const level = types.requireStruct('upid');
  for (const { index, entry } of pids) {
    const upid = new Struct(memory, level, (entry + BigInt(pid.require('numbers').offset)) as VirtualAddress);
    assert.equal(BigInt(upid.int('nr')), index);
  }
});

test('a resizable hash table: the netlink sockets', () => {
  let sockets = 0;
  for (let protocol = 0; protocol < 32; protocol++) {
    const address = netlink(protocol);
    const objects = [...rhashtableObjects(memory, types, address)];
    assert.equal(objects.length, view.struct('rhashtable', address).int('nelems.counter'));
    for (const object of objects) {
      assert.equal(view.struct('netlink_sock', object).int('sk.sk_protocol'), protocol);
      sockets++;
    }
  }
  assert.ok(sockets > 4);
});

/** The kernel's address space over a physical memory that can be damaged. */
class DamagedMemory extends VirtualMemory {
  constructor(readonly patched: PatchedMemory) {
    super(patched, true);
  }

  translate(address: VirtualAddress): PhysicalAddress | undefined {
    return memory.translate(address);
  }

  damage(address: bigint, change: (page: Uint8Array, within: number) => void): void {
    const physical = memory.translate(address as VirtualAddress);
    if (physical === undefined) return;
    const within = physical % 4096;
    const page = this.patched.bytes(physical - within, 4096);
    change(page, within);
    this.patched.patch((physical - within) / 4096, page);
  }
}

const walks: readonly { name: string; nodes: () => bigint[]; walk: (memory: VirtualMemory) => Iterable<unknown> }[] = [
  {
    name: 'rbtree',
    nodes: () => [...rbtreeNodes(memory, sysfs().addressOf('dir.children'))],
    walk: (damaged) => rbtreeNodes(damaged, sysfs().addressOf('dir.children')),
  },
  {
    name: 'maple tree',
    nodes: () => [memory.pointer(init().addressOf('mm->mm_mt.ma_root')) & ~0xffn],
    walk: (damaged) => mapleRanges(damaged, types, init().addressOf('mm->mm_mt')),
  },
  {
    name: 'IDR',
    nodes: () => [memory.pointer(pidIdr() + BigInt(types.requireStruct('xarray').require('xa_head').offset)) & ~3n],
    walk: (damaged) => idrEntries(damaged, types, pidIdr()),
  },
  {
    name: 'XArray',
    nodes: () => {
      const head = memory.pointer(pageCache().addressOf('i_pages.xa_head')) & ~3n;
      const slots = BigInt(types.requireStruct('xa_node').require('slots').offset);
      return [head, memory.pointer(head + slots) & ~3n];
    },
    walk: (damaged) => xarrayEntries(damaged, types, pageCache().addressOf('i_pages')),
  },
  {
    name: 'hash table',
    nodes: () => [...rhashtableNodes(memory, types, netlink(0)), memory.pointer(netlink(0))],
    walk: (damaged) => rhashtableNodes(damaged, types, netlink(0)),
  },
];

for (const { name, nodes, walk } of walks) {
  test(`a damaged ${name} ends, with what could be read or an error of ours`, () => {
    const random = new Random(11);
    const known = nodes();
    const whole = [...walk(memory)].length;
    let errors = 0;
    for (let round = 0; round < 150; round++) {
      const damaged = new DamagedMemory(new PatchedMemory(memory.physical));
      const node = known[random.below(known.length)] ?? 0n;
      damaged.damage(node, (page, within) => random.mutate(page.subarray(within, within + 64), 6));
      let read = 0;
      try {
        for (const _ of walk(damaged)) read++;
      } catch (error) {
        assert.ok(isExhumeError(error), String(error));
        errors++;
      }
      assert.ok(read <= whole + 512, `${read} of ${whole}`);
    }
    assert.ok(errors > 10, `${errors} errors`);
  });
}

test('one bad branch of a tree does not take the others along', () => {
  const root = sysfs().addressOf('dir.children');
  const all = [...rbtreeNodes(memory, root)];
  const top = memory.pointer(root);
  const left = memory.pointer(top + 16n);
  const damaged = new DamagedMemory(new PatchedMemory(memory.physical));
  damaged.damage(left, (page, within) => page.fill(0x41, within, within + 8));
  const read: bigint[] = [];
  assert.throws(
    () => {
      for (const node of rbtreeNodes(damaged, root)) read.push(node);
    },
    (error) => isExhumeError(error, 'EXH_BAD_STRUCTURE'),
  );
  assert.deepEqual(read, all.slice(all.indexOf(top)));
});
