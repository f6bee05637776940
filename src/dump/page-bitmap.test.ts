import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Random } from '../testing/random.js';
import { PageBitmap } from './page-bitmap.js';

test('counts, finds and lists what a plain set would', () => {
  const random = new Random(4);
  for (let round = 0; round < 200; round++) {
    const length = 1 + random.below(200);
    const bitmap = PageBitmap.empty(length);
    const plain = new Set<number>();
    for (let i = 0; i < 6; i++) {
      const from = random.below(length);
      const to = from + random.below(60);
      bitmap.addRange(from, to);
      for (let pfn = from; pfn < Math.min(to, length); pfn++) plain.add(pfn);
      const gone = random.below(length);
      bitmap.delete(gone);
      plain.delete(gone);
    }
    const from = random.below(length);
    const to = from + random.below(80);
    const expected = [...plain].filter((pfn) => pfn >= from && pfn < to).sort((a, b) => a - b);
    const listed = [...bitmap.runs(from, to)].flatMap(([start, end]) =>
      Array.from({ length: end - start }, (_, i) => start + i),
    );
    assert.deepEqual(listed, expected);
    assert.equal(bitmap.count(from, to), expected.length);
    assert.equal(bitmap.count(), plain.size);
    for (let pfn = 0; pfn < length + 10; pfn++) assert.equal(bitmap.has(pfn), plain.has(pfn));
  }
});

test('is laid out as the bitmap of a kdump file', () => {
  const bitmap = PageBitmap.empty(20);
  for (const pfn of [0, 9, 19]) bitmap.add(pfn);
  assert.deepEqual([...bitmap.bits], [0x01, 0x02, 0x08]);
});

test('refuses an absurd size', () => {
  assert.throws(() => PageBitmap.empty(2 ** 40), RangeError);
});
