import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkSettings, DEFAULT_POLICY, type Kept, policyOf, RateLimit, recordsToDrop } from './policy.js';

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

test('a type, and a guest, may be kept otherwise', () => {
  const store = {
    keepFirst: 9,
    types: { dmesg: { keepLast: 7 } },
    guests: { web: { keepFirst: 1, types: { dmesg: { keepFirst: 0 } } } },
  };
  const web = policyOf(store, 'web');
  assert.deepEqual(
    [web.keepFirst, web.keepLast, web.types?.dmesg],
    [1, DEFAULT_POLICY.keepLast, { keepFirst: 0, keepLast: 7 }],
  );
  assert.deepEqual([policyOf(store, 'db').keepFirst, policyOf(store, 'toString').keepFirst], [9, 9]);
  const other = { ...policy, types: { dmesg: { keepFirst: 0, keepLast: 2 } } };
  const gone = (type: string) => recordsToDrop(kept(1, 2, 3), { type, bytes: 100 }, 0, other)?.map(({ id }) => id);
  assert.deepEqual([gone('dmesg'), gone('console')], [[1, 2], []]);
  assert.throws(() => checkSettings({ guests: { web: { keepLast: 0 } } }), /at least the last/);
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
  limit.adjust(10, 1);
  assert.equal(limit.take(11), false);
  now += 10_000;
  assert.equal(limit.take(10), true);
});
