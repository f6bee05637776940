import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type ByteSource, MemorySource } from '../bytes/byte-source.js';
import { Random } from '../testing/random.js';
import { CachedSource } from './cached-source.js';

const BLOCK = 64 * 1024;
/** The last block is not whole. */
const content = Uint8Array.from({ length: 20 * BLOCK + 1234 }, (_, at) => (at * 7 + (at >> 16) * 13) & 0xff);

/** Tells into how many arrays it was read. */
class ArraysCounted implements ByteSource {
  readonly name = 'counted';
  readonly size = content.length;
  readonly arrays = new Set<ArrayBufferLike>();

  read(offset: number, into: Uint8Array): number {
    this.arrays.add(into.buffer);
    return new MemorySource(content).read(offset, into);
  }
}

test('whatever was read before, all reads give what the source has, and what was given to keep stays as it was', () => {
  for (const budget of [0, 1, BLOCK, 3 * BLOCK, 1 << 24]) {
    const random = new Random(budget);
    const cached = new CachedSource(new MemorySource(content), budget);
    const kept: { readonly at: number; readonly bytes: Uint8Array }[] = [];
    for (let i = 0; i < 500; i++) {
      const at = random.pick([random.below(content.length), 20 * BLOCK + random.below(2000)]);
      const length = random.pick([1, 8, 4096, 100_000]);
      const expected = content.subarray(at, at + length);
      const into = new Uint8Array(length);
      assert.deepEqual(into.subarray(0, cached.read(at, into)), expected, `${length} bytes at ${at}`);
      assert.deepEqual(cached.peek(at, length), expected, `a peek at ${length} bytes at ${at}`);
      if (i % 20 === 0) kept.push({ at, bytes: cached.view(at, length) });
    }
    for (const { at, bytes } of kept) assert.deepEqual(bytes, content.subarray(at, at + bytes.length));
  }
});

test('blocks come and go in as many arrays as the budget has room for, beside those that are kept', () => {
  const source = new ArraysCounted();
  const cached = new CachedSource(source, 4 * BLOCK);
  for (let round = 0; round < 3; round++) {
    for (let at = 0; at < content.length; at += BLOCK) {
      cached.read(at, new Uint8Array(10));
      cached.peek(at + 10, 10);
    }
  }
  assert.equal(source.arrays.size, 5);
  cached.view(0, 10);
  for (let at = BLOCK; at < content.length; at += BLOCK) cached.peek(at, 10);
  assert.equal(source.arrays.size, 6);
});
