import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readHandover } from '../handover/open.js';
import { tree, u64 } from '../handover/testing/build.js';
import { buildKhoCheck } from './kho-check.js';

test('where memory was refused not everything was checked', () => {
  const blob = tree('kho-v4', { 'preserved-memory-map': u64(0x10000) });
  const handovers = [readHandover(blob, { memory: undefined, blobs: new Map() })];
  const damage = [{ code: 'EXH_IO', part: 'memory', message: '/proc/kcore: cannot open' }] as const;
  const ways = [[], damage].map((one) =>
    buildKhoCheck({ handovers, memory: undefined, target: undefined, damage: one }),
  );
  assert.deepEqual(
    ways.map(({ complete, passed }) => [complete, passed]),
    [
      [true, true],
      [false, true],
    ],
  );
});
