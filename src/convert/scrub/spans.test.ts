import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Random } from '../../testing/random.js';
import { Spans } from './spans.js';

test('spans come back in order, joined, and without what is kept', () => {
  const spans = new Spans();
  spans.add(100, 200);
  spans.add(200, 250);
  spans.add(50, 60);
  spans.add(55, 70);
  spans.add(10, 10);
  const kept = new Spans();
  assert.deepEqual([...spans.without(kept)], [50, 70, 100, 250]);
  kept.add(240, 300);
  kept.add(110, 120);
  kept.add(0, 50);
  assert.deepEqual([...spans.without(kept)], [50, 70, 100, 110, 120, 240]);
});

test('whatever is added, they cover what a bit for each place covers', () => {
  const random = new Random(1);
  for (let round = 0; round < 200; round++) {
    const bits = new Uint8Array(500);
    const spans = new Spans();
    const kept = new Spans();
    for (const [into, value] of [
      [spans, 1],
      [kept, 0],
    ] as const) {
      for (let count = random.below(300); count > 0; count--) {
        const start = random.below(480);
        const end = start + random.below(value === 1 ? 20 : 5);
        into.add(start, end);
        bits.fill(value, start, end);
      }
    }
    const found = new Uint8Array(500);
    const result = spans.without(kept);
    for (let i = 0; i < result.length; i += 2) {
      assert.ok((result[i] as number) < (result[i + 1] as number), 'none is empty');
      assert.ok(i === 0 || (result[i - 1] as number) < (result[i] as number), 'they are ascending and do not touch');
      found.fill(1, result[i], result[i + 1]);
    }
    assert.deepEqual(found, bits);
  }
});
