import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LruCache } from './lru.js';

test('the least recently used value goes first, and the budget in bytes holds', () => {
  const cache = new LruCache<string>(10);
  cache.set(1, 'a', 4);
  cache.set(2, 'b', 4);
  assert.equal(cache.get(1), 'a');
  cache.set(3, 'c', 4);
  assert.equal(cache.get(2), undefined, 'the oldest went');
  assert.deepEqual([cache.get(1), cache.get(3), cache.size], ['a', 'c', 8]);
});

test('a value set again counts once; one over the whole budget is not kept', () => {
  const cache = new LruCache<string>(10);
  cache.set(1, 'a', 4);
  cache.set(1, 'b', 6);
  assert.deepEqual([cache.get(1), cache.size], ['b', 6]);
  cache.set(2, 'huge', 11);
  assert.equal(cache.get(2), undefined);
  cache.set(1, 'huge', 11);
  assert.deepEqual([cache.get(1), cache.size], [undefined, 0], 'what it replaced is gone too');
});

test('asking for the newest key again and again keeps the order', () => {
  const cache = new LruCache<number>(3);
  for (const key of [1, 2, 3]) cache.set(key, key, 1);
  for (let i = 0; i < 5; i++) cache.get(3);
  cache.get(1);
  cache.set(4, 4, 1);
  assert.deepEqual(
    [1, 2, 3, 4].map((key) => cache.get(key)),
    [1, undefined, 3, 4],
  );
});

test('it tells what had to make room, and nothing else', () => {
  const dropped: string[] = [];
  const cache = new LruCache<string>(10, (value) => dropped.push(value));
  cache.set(1, 'a', 4);
  cache.set(1, 'b', 4);
  cache.set(2, 'c', 4);
  cache.set(3, 'huge', 11);
  assert.deepEqual(dropped, []);
  cache.set(4, 'd', 9);
  assert.deepEqual(dropped, ['b', 'c']);
});
