import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DEFAULT_POLICY, type Kept, RateLimit, recordsToDrop } from './policy.js';

const policy = { ...DEFAULT_POLICY, keepFirst: 2, keepLast: 3, guestBytes: 1000, totalBytes: 1500 };
const kept = (...ids: number[]): Kept[] => ids.map((id) => ({ type: 'dmesg', id, bytes: 100 }));
const dropped = (from: readonly Kept[], bytes = 100, others = 0, type = 'dmesg') =>
  recordsToDrop(from, { type, bytes }, others, policy)?.map(({ id }) => id);

test('the first and the last of a type stay, what is between them goes', () => {
  assert.deepEqual(dropped(kept(1, 2, 3, 4)), []);
  assert.deepEqual(dropped(kept(1, 2, 3, 4, 5)), [3]);
  assert.deepEqual(dropped(kept(1, 2, 7, 8, 9)), [7]);
  // A quota of an earlier start was wider.
  assert.deepEqual(dropped(kept(1, 2, 3, 4, 5, 6, 7)), [3, 4, 5]);
  assert.deepEqual(dropped(kept(1, 2, 3, 4, 5), 100, 0, 'console'), []);
});

test('for bytes the oldest go that are not first, of whatever type; the first never do', () => {
  assert.deepEqual(dropped(kept(1, 2, 3, 4), 800), [3, 4]);
  assert.deepEqual(dropped(kept(1, 2, 3, 4), 900), undefined);
  assert.deepEqual(dropped(kept(1, 2, 3, 4), 700, 600), [3, 4]);
  assert.deepEqual(dropped(kept(1, 2), 100, 1400), undefined);
  assert.deepEqual(dropped(kept(1, 2, 3), 800, 0, 'console'), [3]);
});

test('a bucket lets a burst pass, then so much a second', () => {
  let now = 0;
  const limit = new RateLimit(100, 10, () => now);
  assert.equal(limit.take(100), true);
  assert.equal(limit.take(1), false);
  now = 500;
  assert.equal(limit.take(6), false);
  assert.equal(limit.take(5), true);
  now = 1e9;
  assert.equal(limit.take(101), false);
  assert.equal(limit.take(100), true);
});
