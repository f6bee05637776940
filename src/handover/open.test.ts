import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { isExhumeError } from '../bytes/errors.js';
import { viewOf } from '../bytes/struct-table.js';
import { SparseMemory } from '../dump/testing/sparse-memory.js';
import { Random } from '../testing/random.js';
import { findHandovers, readHandover } from './open.js';
import { joinTold } from './sources/join.js';
import { luoWithMemfd, put, radixTree, tree, u64 } from './testing/build.js';
import { MAP_PART } from './upstream/preserved-map.js';

const FIXTURES = fileURLToPath(new URL('../../../src/handover/fixtures/', import.meta.url));
const fixture = (name: string): Uint8Array => Uint8Array.from(readFileSync(`${FIXTURES}${name}`));
const PAGE = 4096;

test('a handover of Linux 7.2 reads out of the files that it left in debugfs', () => {
  const blobs = new Map(['memblock', 'kho_test'].map((name) => [name, fixture(`${name}.dtb`)]));
  blobs.set('kexec-metadata', fixture('kexec-metadata.bin'));
  const handover = readHandover(fixture('in-fdt.dtb'), { memory: undefined, blobs });
  assert.deepEqual([handover.compatible, handover.series, handover.damage], ['kho-v4', 'upstream', []]);
  const [memblock, testing, metadata] = handover.users;
  assert.equal(memblock?.format, 'device tree memblock-v1');
  assert.deepEqual(memblock?.areas, [{ address: 0x3e200000, size: 4 << 20, what: 'reserve_mem trace' }]);
  assert.equal(testing?.format, 'device tree kho-test-v1');
  assert.deepEqual(metadata?.content?.values, [
    { name: 'previous_release', value: '7.2.12' },
    { name: 'kexec_count', value: '1' },
  ]);
});

test('the radix tree names blocks of all orders, at any address', () => {
  const memory = new SparseMemory();
  const blocks = [
    [0x3e200000, 9],
    [0x3e400000, 9],
    [0x1000, 0],
    [0x7_0000_3000, 0],
    [0x40_0000_0000, 18],
  ] as const;
  radixTree(memory, 0x100000, blocks);
  put(memory, 0x50000, tree('kho-v4', { 'preserved-memory-map': u64(0x100000) }));
  const [handover, another] = findHandovers(memory, undefined);
  assert.equal(another, undefined);
  assert.deepEqual(
    handover?.preserved?.blocks.map(({ address, order }) => [address, order]),
    [...blocks].sort(([a], [b]) => a - b),
  );
  assert.equal(handover?.address, 0x50000);
});

test('copies of a tree are told with it, and are no handovers of their own', () => {
  const memory = new SparseMemory();
  const blob = tree('kho-v4', { 'preserved-memory-map': u64(0x100000) });
  for (const address of [0x50000, 0x70000, 0x90000]) put(memory, address, blob);
  put(memory, 0xa0000, tree('kho-v4', { 'preserved-memory-map': u64(0x200000) }));
  const found = findHandovers(memory, undefined);
  assert.deepEqual(
    found.map(({ address }) => address),
    [0x50000, 0xa0000],
  );
  assert.deepEqual(found[0]?.evidence.slice(1, 2), ['copies of it are at 0x70000, 0x90000']);
});

test('a tree whose pages lie apart is taken as its kernel has it, not as memory goes on behind its first page', () => {
  const memory = new SparseMemory();
  const blob = fixture('series-2023-dt.dtb');
  put(memory, 0x50000, blob.subarray(0, PAGE));
  memory.at(0x51).fill(0xff);
  const told = { place: 'kho.dt', direction: 'outgoing', address: 0x50000, tree: blob, apart: true } as const;
  const { handovers } = joinTold([told], memory, false);
  assert.deepEqual(
    handovers.map(({ tree, address }) => [tree.length, address]),
    [[blob.length, 0x50000]],
  );
  const { damage, users } = readHandover(handovers[0]?.tree ?? blob, { memory, blobs: new Map() });
  assert.deepEqual([damage, users[0]?.areas.length], [[], 204]);
});

test('a radix tree that leads back to itself ends in damage', () => {
  const memory = new SparseMemory();
  for (let index = 0; index < 512; index++) viewOf(memory.at(0x100)).setBigUint64(index * 8, 0x100000n, true);
  const handover = readHandover(tree('kho-v4', { 'preserved-memory-map': u64(0x100000) }), {
    memory,
    blobs: new Map(),
  });
  assert.ok(handover.damage.length > 0);
  assert.deepEqual(handover.preserved?.blocks, []);
});

test('a map that others wrote over since the handover was taken is no damage, and lists nothing', () => {
  const memory = new SparseMemory();
  for (let index = 0; index < 512; index++) {
    viewOf(memory.at(0x100)).setBigUint64(index * 8, 0xffff952a80002222n + BigInt(index), true);
  }
  const blob = tree('kho-v4', { 'preserved-memory-map': u64(0x100000) });
  const facts = { address: 0x50000, scratch: [], evidence: [] };
  const read = (direction: 'incoming' | 'outgoing') =>
    readHandover(blob, { memory, blobs: new Map() }, { ...facts, direction });
  assert.deepEqual([read('incoming').damage, read('incoming').preserved?.blocks], [[], []]);
  assert.ok(read('incoming').evidence.some((one) => one.startsWith('its map is in use for other things')));
  assert.ok(read('outgoing').damage.length > 0);
});

test('nor is one whose tree was written over in part, so that it still seems to have the page of the handover', () => {
  const memory = new SparseMemory();
  radixTree(memory, 0x100000, [[0x50000, 0]]);
  viewOf(memory.at(0x100)).setBigUint64(8, 0x43efb1n, true);
  const blob = tree('kho-v4', { 'preserved-memory-map': u64(0x100000) });
  const facts = { direction: 'incoming', address: 0x50000, scratch: [], evidence: [] } as const;
  const { damage, preserved } = readHandover(blob, { memory, blobs: new Map() }, facts);
  assert.deepEqual([damage, preserved?.blocks, preserved?.overwritten], [[], [], true]);
});

for (const size of [512, PAGE]) {
  test(`kho-v1 with bitmaps of ${size} bytes: their size is told by how they lie`, () => {
    const memory = new SparseMemory();
    const chunk = viewOf(memory.at(0x200));
    const covered = size * 8 * PAGE;
    chunk.setUint32(8, 0, true);
    chunk.setUint32(12, 2, true);
    for (const index of [0, 1]) {
      chunk.setBigUint64(16 + index * 16, BigInt(covered * (index + 3)), true);
      chunk.setBigUint64(24 + index * 16, BigInt(0x300000 + index * size), true);
      put(memory, 0x300000 + index * size, Uint8Array.of(0b101));
      memory.at(0x301);
    }
    const child = { name: 'user', properties: [{ name: 'fdt', value: u64(0x400000) }], children: [] };
    const blob = tree('kho-v1', { 'preserved-memory-map': u64(0x200000) }, [child]);
    put(memory, 0x400000, tree('user-v1', {}));
    const { preserved, users } = readHandover(blob, { memory, blobs: new Map() });
    assert.deepEqual(
      preserved?.blocks.map(({ address }) => address),
      [3, 4].flatMap((index) => [covered * index, covered * index + 2 * PAGE]),
    );
    assert.equal(users[0]?.format, 'device tree user-v1');
  });
}

test('what is no chunk, no bitmap and no block of a map is damage, whatever numbers stand there', () => {
  const map = (root: string, bytes: Uint8Array) => {
    const memory = new SparseMemory();
    put(memory, 0x200000, bytes);
    memory.at(0x300);
    const child = { name: 'user', properties: [{ name: 'fdt', value: u64(0x400000) }], children: [] };
    const blob = tree(root, { 'preserved-memory-map': u64(0x200000) }, root === 'kho-v1' ? [child] : []);
    const { preserved, damage } = readHandover(blob, { memory, blobs: new Map() });
    return [preserved?.blocks.length, damage.filter(({ part }) => part === MAP_PART).map(({ message }) => message)];
  };
  const chunk = (order: number, count: number) => u64(0, order + count * 2 ** 32, 0, 0x300000);
  assert.deepEqual(map('kho-v1', chunk(0, 1)), [0, []]);
  assert.deepEqual(map('kho-v1', chunk(53, 1)), [0, ['the map has a chunk of 1 bitmaps of order 53, at 0x200000']]);
  assert.deepEqual(map('kho-v1', chunk(0, 256)), [0, ['the map has a chunk of 256 bitmaps of order 0, at 0x200000']]);
  assert.deepEqual(map('kho-v4', u64(0x300008)), [0, ['the map leads to 0x300008, where none of its pages begins']]);
});

test('blocks that end behind all memory, and keys without an order, are damage', () => {
  const memory = new SparseMemory();
  radixTree(memory, 0x100000, [
    [0x1000, 0],
    [2 ** 52 - 0x2000, 1],
    [2 ** 53, 0],
  ]);
  // The lowest key of all: no bit tells an order.
  const leaf = memory.at(0x180);
  leaf[0] = 1;
  for (const [level, pfn] of [0x100, 0x181, 0x182, 0x183, 0x184].entries()) {
    const next = [0x181, 0x182, 0x183, 0x184, 0x180][level] ?? 0;
    viewOf(memory.at(pfn)).setBigUint64(0, BigInt(next * PAGE), true);
  }
  const { preserved } = readHandover(tree('kho-v4', { 'preserved-memory-map': u64(0x100000) }), {
    memory,
    blobs: new Map(),
  });
  assert.deepEqual(
    preserved?.blocks.map(({ address }) => address),
    [0x1000, 2 ** 52 - 0x2000],
  );
  assert.deepEqual(
    preserved?.damage.map(({ message }) => message),
    [
      'the map has a key of no order, at 0x0',
      'the map has a block of order 0, which is no memory, at 0x20000000000000',
    ],
  );
});

test('a memfd in a live update session has its folios, and its memory its owner', () => {
  const memory = new SparseMemory();
  const child = luoWithMemfd(memory);
  const { files, users, damage } = readHandover(tree('kho-v4', {}, [child]), { memory, blobs: new Map() });
  assert.deepEqual(damage, []);
  assert.deepEqual(files, [
    {
      name: 'vm/7',
      size: 5000,
      folios: [
        { address: 0x600000, index: 0, flags: 3 },
        { address: 0x777000, index: 1, flags: 2 },
      ],
    },
  ]);
  assert.equal(users[0]?.format, 'struct luo_ser luo-v5');
  assert.ok(users[0]?.areas.some(({ address, what }) => address === 0x600000 && what === 'vm/7: folio'));
});

test('the series of 2023/24 names its memory in the tree', () => {
  const cpu = {
    name: 'cpu0',
    properties: [
      { name: 'compatible', value: new TextEncoder().encode('ftrace,cpu-v1\0') },
      { name: 'cpu', value: Uint8Array.of(0, 0, 0, 0) },
      { name: 'mem', value: u64(0x10000038, 0x38, 0x20000000, 4096, 0x10000070, 0x38, 0x20001000, 4096) },
    ],
    children: [],
  };
  const { series, preserved, users } = readHandover(
    tree('kho-v1', {}, [{ name: 'ftrace', properties: [], children: [cpu] }]),
    { memory: undefined, blobs: new Map() },
  );
  assert.equal(series, '2023');
  assert.deepEqual(
    preserved?.blocks.map(({ address, size }) => [address, size]),
    [
      [0x10000000, 4096],
      [0x20000000, 8192],
    ],
  );
  assert.equal(users[0]?.content?.children[0]?.values.find(({ name }) => name === 'cpu')?.value, '0');
});

test('a device tree of something else is no handover; a later version is shown by its shape', () => {
  const source = { memory: undefined, blobs: new Map<string, Uint8Array>() };
  assert.throws(() => readHandover(tree('virtio,mmio', {}), source), { code: 'EXH_UNSUPPORTED_FORMAT' });
  assert.equal(readHandover(tree('kho-v9', { something: u64(1) }), source).series, undefined);
});

test('mutated memory and trees end in errors of ours or in damage that is told', () => {
  const random = new Random(11);
  for (let round = 0; round < 150; round++) {
    const memory = new SparseMemory();
    radixTree(memory, 0x100000, [
      [0x3e200000, 9],
      [0x1000, 0],
    ]);
    put(memory, 0x50000, tree('kho-v4', { 'preserved-memory-map': u64(0x100000) }));
    const pfns = [...memory.pages.keys()];
    for (let change = 0; change < 4; change++) {
      const page = memory.at(pfns[random.below(pfns.length)] ?? 0);
      page[random.below(256)] = random.below(256);
    }
    try {
      findHandovers(memory, undefined);
    } catch (error) {
      assert.ok(isExhumeError(error), String(error));
    }
  }
});
