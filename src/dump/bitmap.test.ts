import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MemorySource } from '../bytes/byte-source.js';
import { Random } from '../testing/random.js';
import { FileBitmap } from './bitmap.js';
import { CachedSource } from './cached-source.js';
import { CountingSource } from './testing/sources.js';

function randomBitmap(bits: number, seed: number): { readonly bytes: Uint8Array; readonly set: boolean[] } {
  const random = new Random(seed);
  const set: boolean[] = [];
  while (set.length < bits) {
    const value = random.below(2) === 1;
    for (let run = 1 + random.below(random.pick([3, 50, 5000])); run > 0 && set.length < bits; run--) set.push(value);
  }
  const bytes = new Uint8Array(100 + Math.ceil(bits / 8));
  set.forEach((one, bit) => {
    if (one) bytes[100 + (bit >> 3)] = (bytes[100 + (bit >> 3)] as number) | (1 << (bit & 7));
  });
  return { bytes, set };
}

test('has, rank and runs agree with counting one by one', () => {
  for (const bits of [1, 7, 4096, 4097, 100_003]) {
    const { bytes, set } = randomBitmap(bits, bits);
    const bitmap = new FileBitmap(new CachedSource(new MemorySource(bytes), 1 << 20), 100, bits);
    const below = [0];
    for (const one of set) below.push((below.at(-1) as number) + (one ? 1 : 0));
    const random = new Random(bits);
    for (let i = 0; i < 2000; i++) {
      const bit = i < 20 ? Math.max(0, bits - i) : random.below(bits + 1);
      assert.equal(bitmap.rank(bit), below[bit], `rank of ${bit} of ${bits}`);
      assert.equal(bitmap.has(bit), set[bit] ?? false, `bit ${bit} of ${bits}`);
    }
    const fromRuns = new Array<boolean>(bits).fill(false);
    bitmap.eachRun((start, end) => {
      assert.ok(end > start && fromRuns[start - 1] !== true, 'runs do not touch');
      fromRuns.fill(true, start, end);
      return true;
    });
    assert.deepEqual(fromRuns, set);
  }
});

test('a bitmap that is longer than its file ends with the file', () => {
  const bitmap = new FileBitmap(new CachedSource(new MemorySource(new Uint8Array(10).fill(0xff)), 1 << 20), 4, 2 ** 40);
  assert.equal(bitmap.length, 48);
  assert.equal(bitmap.rank(2 ** 40), 48);
  assert.equal(bitmap.has(48), false);
  const runs: [number, number][] = [];
  bitmap.eachRun((start, end) => runs.push([start, end]) > 0);
  assert.deepEqual(runs, [[0, 48]]);
});

test('after the count a rank costs one read at the most', () => {
  const source = new CountingSource(new MemorySource(new Uint8Array(8 * 1024 * 1024).fill(0x55)));
  const bitmap = new FileBitmap(new CachedSource(source, 1 << 20), 0, source.size * 8);
  assert.equal(bitmap.rank(source.size * 8 - 1), source.size * 4);
  source.reset();
  for (let bit = 1; bit < source.size * 8; bit += 5_000_011) {
    source.reset();
    assert.equal(bitmap.rank(bit), Math.ceil(bit / 2));
    assert.ok(source.reads <= 1, `${source.reads} reads`);
  }
});
