import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isZero } from './zero.js';

test('a page is zero when every word of it is, and only then', () => {
  const words = new Int32Array(3072);
  words.fill(-1, 0, 1024);
  words.fill(-1, 2048);
  assert.equal(isZero(words, 1024, 1024), true);
  for (let i = 1024; i < 2048; i++) {
    words[i] = 1 << (i % 32);
    assert.equal(isZero(words, 1024, 1024), false, `word ${i}`);
    words[i] = 0;
  }
  assert.equal(isZero(words, 1024, 1024), true);
});
