import assert from 'node:assert/strict';
import { test } from 'node:test';
import { streamOutput } from './output.js';

test('where the reader is slower, the next write waits until the stream has let go of what it holds', async () => {
  const written: string[] = [];
  let drain = () => {};
  const out = streamOutput({
    write: (text) => written.push(text) < 2,
    once: (_, listener) => {
      drain = listener;
    },
  });
  assert.equal(out.write('a'), undefined, 'there is room');
  let waited = true;
  const waiting = Promise.resolve(out.write('b')).then(() => {
    waited = false;
  });
  await Promise.resolve();
  assert.deepEqual([written, waited], [['a', 'b'], true]);
  drain();
  await waiting;
  assert.equal(waited, false);
});
