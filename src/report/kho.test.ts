import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PhysicalAddress } from '../bytes/address.js';
import { SparseMemory } from '../dump/testing/sparse-memory.js';
import { readHandover } from '../handover/open.js';
import { luoWithMemfd, put, radixTree, tree, u64 } from '../handover/testing/build.js';
import { buildKho } from './kho.js';
import { Places } from './kho-places.js';
import { khoShowText } from './text/kho.js';

const TREE = 0x50000;
const RESERVED = 0x400000;

function made(scratch: number, direction: 'incoming' | 'outgoing' = 'outgoing') {
  const memory = new SparseMemory();
  const text = new TextEncoder().encode('reserve-mem-v1\0');
  const area = {
    name: 'trace',
    properties: [
      { name: 'compatible', value: text },
      { name: 'start', value: u64(RESERVED) },
      { name: 'size', value: u64(2 << 20) },
    ],
    children: [],
  };
  const memblock = tree('memblock-v1', {}, [area]);
  put(memory, 0x51000, memblock);
  for (let pfn = RESERVED / 4096; pfn < RESERVED / 4096 + 512; pfn++) memory.at(pfn);
  const user = {
    name: 'memblock',
    properties: [
      { name: 'blob-size', value: u64(memblock.length) },
      { name: 'preserved-data', value: u64(0x51000) },
    ],
    children: [],
  };
  radixTree(
    memory,
    0x100000,
    direction === 'incoming'
      ? []
      : [
          [TREE, 0],
          [RESERVED, 8],
          [0x600000, 0],
        ],
  );
  const blob = tree('kho-v4', { 'preserved-memory-map': u64(0x100000) }, [user, luoWithMemfd(memory)]);
  put(memory, TREE, blob);
  const handover = readHandover(
    blob,
    { memory, blobs: new Map() },
    { direction, address: TREE, scratch: [{ address: scratch, size: 4096 }], evidence: [] },
  );
  return { handover, memory };
}

test('every address is told for what it is: preserved and in which order, in part, not at all, in scratch memory', () => {
  const { handover, memory } = made(0x51000);
  const model = buildKho({ handovers: [handover], silent: [], memory, damage: [] });
  const lines = [...khoShowText(model)];
  const has = (line: RegExp) =>
    assert.ok(
      lines.some((one) => line.test(one)),
      `${line}\n${lines.join('\n')}`,
    );
  has(/^ {2}the tree {3}preserved, order 0$/);
  has(/^memblock: device tree memblock-v1, \d+ bytes at 0x51000 \(in scratch memory; not in the map\)$/);
  has(/^ +memory = 0x400000, 2 MiB \(preserved in part, order 8\)$/);
  has(/^ +data = 0x503000 \(not in the map\)$/);
  has(/^file vm\/7: 5000 bytes, 2 folios, 1 of them not in the map$/);
});

test('of a map that was overwritten nothing is said; memory that is no RAM is told', () => {
  const { handover } = made(0x9000000, 'incoming');
  assert.equal(handover.preserved?.overwritten, true);
  const places = new Places(handover, [{ start: 0 as PhysicalAddress, end: 0x400000 as PhysicalAddress }]);
  assert.equal(places.of({ address: 0x1000, size: 1 }), '');
  assert.equal(places.of({ address: RESERVED, size: 4096 }), 'no RAM');
  assert.equal(places.of({ address: 0x9000000, size: 1 }), 'no RAM; in scratch memory');
  const [report] = buildKho({ handovers: [handover], silent: [], memory: undefined, damage: [] }).handovers;
  assert.deepEqual([report?.preserved, report?.files[0]?.lost], [null, null]);
});
