import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Pfn } from '../bytes/address.js';
import { openSample } from '../testing/sample.js';
import { joinRanges, type PhysicalRange } from './memory.js';

test('the bytes that a dump describes and has are those of its pages, counted one by one', () => {
  const { memory } = openSample().container;
  const counts = { present: 0, excluded: 0, lost: 0, absent: 0 };
  for (const { start, end } of memory.ranges()) {
    for (let page = start / memory.pageSize; page < end / memory.pageSize; page++) counts[memory.state(page as Pfn)]++;
  }
  assert.equal(memory.presentBytes(), counts.present * memory.pageSize);
  assert.equal(memory.describedBytes(), (counts.present + counts.excluded) * memory.pageSize);
  assert.equal(counts.lost + counts.absent, 0);
});

test('ranges that touch or overlap become one, and empty ones go', () => {
  const range = (start: number, end: number) => ({ start, end }) as PhysicalRange;
  assert.deepEqual(joinRanges([range(8, 12), range(0, 4), range(4, 6), range(20, 20), range(10, 11)]), [
    range(0, 6),
    range(8, 12),
  ]);
});
