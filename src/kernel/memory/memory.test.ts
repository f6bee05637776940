import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Damage } from '../../bytes/errors.js';
import { damagedView } from '../../testing/damaged-view.js';
import { Random } from '../../testing/random.js';
import { openSample } from '../../testing/sample.js';
import { openFiles } from '../filesystems/files.js';
import { KernelView } from '../kernel-view.js';
import { readTasks } from '../tasks/task-list.js';
import type { Struct } from '../types/struct.js';
import { readMemoryAreas } from './address-space.js';
import { readVmStatistics } from './counters.js';
import { meminfoLines, readMemoryUse } from './meminfo.js';
import { readSlabCaches } from './slabs.js';
import { readSwapAreas } from './swap.js';
import { readFreeLists, readZones } from './zones.js';

const sample = new KernelView(openSample().kernel);

function init(view: KernelView): { task: Struct; mm: Struct } {
  const found = readTasks(view).tasks.find(({ pid }) => pid === 1);
  assert.ok(found);
  return { task: view.struct('task_struct', found.address), mm: view.struct('mm_struct', found.mm) };
}

test('memory adds up: by counters, by zones, by free lists', () => {
  const damage: Damage[] = [];
  const use = readMemoryUse(sample, damage);
  const zones = readZones(sample, damage);
  assert.equal(use.pageSize, 4096);
  assert.equal(
    zones.reduce((sum, zone) => sum + zone.managed, 0),
    use.total,
  );
  let listed = 0;
  for (const zone of zones.filter(({ spanned }) => spanned > 0)) {
    const free = readFreeLists(sample, zone, damage).reduce(
      (sum, list) => sum + (list.blocks ?? 0) * 2 ** list.order,
      0,
    );
    assert.equal(free, Number(zone.counters.get('NR_FREE_PAGES')), zone.name);
    listed += free;
  }
  assert.equal(listed, use.free);
  assert.deepEqual(
    zones.map(({ name }) => name),
    ['DMA', 'DMA32', 'Normal', 'Movable', 'Device'],
  );
  assert.deepEqual(damage, []);
});

test('meminfo has the constants that the guest printed, and no line without a value', () => {
  const lines = new Map(meminfoLines(readMemoryUse(sample, [])).map(({ name, kilobytes }) => [name, kilobytes]));
  assert.equal(lines.get('MemTotal'), 52732);
  assert.equal(lines.get('CommitLimit'), 26364);
  assert.equal(lines.get('SwapTotal'), 0);
  assert.deepEqual(
    [...lines].filter(([, kilobytes]) => kilobytes === undefined),
    [],
  );
});

test('counters have the later of two names for one number', () => {
  const { zone, node, events } = readVmStatistics(sample, []);
  assert.ok(zone.has('NR_ZONE_INACTIVE_ANON') && !zone.has('NR_ZONE_LRU_BASE'));
  assert.ok(node.has('NR_FILE_PAGES') && node.has('NR_KERNEL_STACK_KB'));
  assert.ok((events.get('PGFAULT') ?? 0n) > 100n);
});

test('slab caches hold no more than they have room for, and take the pages that the counters say', () => {
  const damage: Damage[] = [];
  const caches = readSlabCaches(sample, damage);
  assert.deepEqual(damage, []);
  assert.ok(caches.length > 100);
  for (const { name, allocated = -1, total = -1, slabs = -1, objectsPerSlab } of caches) {
    assert.ok(allocated >= 0 && allocated <= total, name);
    assert.ok(total <= slabs * objectsPerSlab, name);
  }
  const tasks = caches.find(({ name }) => name === 'task_struct');
  const dentries = caches.find(({ name }) => name === 'dentry');
  assert.equal(dentries?.objectSize, sample.types.struct('dentry')?.size);
  // The idle task of the first CPU is not from a cache.
  assert.ok((tasks?.allocated ?? 0) >= readTasks(sample).tasks.length - 1);
  const pages = caches.reduce((sum, { slabs = 0, slabSize }) => sum + (slabs * slabSize) / 4096, 0);
  const counted = readMemoryUse(sample, []).slab ?? 0;
  // Large allocations of kmalloc() are counted with them, and belong to no cache.
  assert.ok(pages > counted * 0.8 && pages < counted * 1.05, `${pages} pages, ${counted} counted`);
});

test('areas of a process have its files and the names that /proc/PID/maps gives', () => {
  const damage: Damage[] = [];
  const areas = readMemoryAreas(sample, init(sample).mm, damage);
  assert.deepEqual(damage, []);
  assert.deepEqual(
    areas.map(({ permissions, file, name }) => `${permissions} ${file ?? name ?? ''}`.trim()),
    [
      'r--p /bin/busybox',
      'r-xp /bin/busybox',
      'r--p /bin/busybox',
      'r--p /bin/busybox',
      'rw-p /bin/busybox',
      'rw-p',
      'rw-p [heap]',
      'r--p [vvar]',
      'r--p [vvar_vclock]',
      'r-xp [vdso]',
      'rw-p [stack]',
    ],
  );
  assert.deepEqual(
    areas.map(({ start }) => start),
    areas.map(({ start }) => start).sort((one, other) => (one < other ? -1 : 1)),
  );
  assert.equal(
    Number(areas.reduce((sum, { start, end }) => sum + (end - start), 0n)) / 4096 - init(sample).mm.int('total_vm'),
    0,
  );
});

test('swap areas are told with what is used of them', () => {
  assert.deepEqual(readSwapAreas(sample, []), []);
  const { view, make, set, write, writeBytes } = damagedView();
  const [file] = openFiles(view, init(view).task, []);
  assert.ok(file);
  const info = make('swap_info_struct');
  set(info, 'flags', 3);
  set(info, 'prio', -2);
  set(info, 'pages', 4095);
  // Off the list of areas with room: a bit above the count.
  write(info.addressOf('inuse_pages'), (1n << 62n) | 4095n);
  set(info, 'swap_file', file.file.address);
  write(view.address('swap_info'), info.address);
  writeBytes(view.address('nr_swapfiles'), Uint8Array.of(1, 0, 0, 0));
  const damage: Damage[] = [];
  assert.deepEqual(readSwapAreas(view, damage), [
    { address: info.address, kind: 'FILE', pages: 4095, used: 4095, priority: -2, path: '/dev/console' },
  ]);
  assert.deepEqual(damage, []);
});

test('a slab cache whose list of partial slabs is broken keeps its other columns', () => {
  const { view, write } = damagedView();
  const [first] = readSlabCaches(view, []);
  assert.ok(first);
  const cache = view.struct('kmem_cache', first.address);
  const per = cache.type.field('per_node');
  assert.ok(per);
  const node = view.struct('kmem_cache_per_node_ptrs', cache.address + BigInt(per.offset)).follow('node');
  assert.ok(node);
  write(node.addressOf('partial'), 0x10n);
  const damage: Damage[] = [];
  const [again, ...others] = readSlabCaches(view, damage);
  assert.deepEqual({ ...again, allocated: first.allocated }, first);
  assert.equal(again?.allocated, undefined);
  assert.ok(others.every(({ allocated }) => allocated !== undefined));
  assert.deepEqual(
    damage.map(({ part }) => part),
    [`slab cache ${first.name}`],
  );
});

test('whatever is written over what the readers follow, they end with what is left', () => {
  const random = new Random(20261120);
  for (let round = 0; round < 12; round++) {
    const { view, writeBytes } = damagedView();
    const { mm, task } = init(view);
    const targets = [
      { at: mm.address, size: mm.type.size },
      { at: view.struct('kmem_cache', readSlabCaches(sample, [])[round]?.address ?? 0n).address, size: 256 },
      { at: view.address('vm_node_stat'), size: 64 },
      { at: task.pointer('files'), size: 64 },
      { at: view.address('init_ipc_ns'), size: 256 },
    ];
    for (const { at, size } of targets) {
      const bytes = view.memory.bytes(at, size);
      random.mutate(bytes);
      writeBytes(at, bytes);
    }
    const damage: Damage[] = [];
    readMemoryAreas(view, mm, damage);
    assert.ok(readSlabCaches(view, damage).length > 0);
    readMemoryUse(view, damage);
    openFiles(view, task, damage);
    for (const { part, message } of damage) assert.ok(part.length > 0 && message.length > 0);
  }
});
