import assert from 'node:assert/strict';
import { closeSync, openSync } from 'node:fs';
import { after, test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { Random } from '../../testing/random.js';
import { SAMPLE_PATH } from '../../testing/sample.js';
import { PAGES_PER_TASK, packBufferBytes } from '../tasks.js';
import { ThreadCrew } from './crew.js';

const descriptor = openSync(SAMPLE_PATH, 'r');
after(() => closeSync(descriptor));
const INPUT = { files: [{ name: SAMPLE_PATH, descriptor, special: false }] };
const FIRST = 9300;

test('closed in the middle of its tasks, a crew ends each thread in order, and begins nothing more', async () => {
  const random = new Random(3);
  let undone = 0;
  for (let round = 0; round < 6; round++) {
    const crew = new ThreadCrew(INPUT, 2);
    crew.configure({ method: 'zlib', level: 9, passThrough: false, blank: new Float64Array() });
    const buffer = () => new ArrayBuffer(packBufferBytes(PAGES_PER_TASK, 4096));
    const runs = Float64Array.of(FIRST, PAGES_PER_TASK);
    const tasks = Array.from({ length: 40 }, () => crew.run({ kind: 'pack', runs, buffer: buffer() }));
    const results = Promise.allSettled(tasks);
    await Promise.race(tasks);
    await setTimeout(random.below(20));
    await crew.close();
    // Where a thread was terminated its status is 1.
    for (const result of await results) {
      if (result.status === 'fulfilled') continue;
      assert.match(String(result.reason), /ended with status 0/);
      undone++;
    }
    await assert.rejects(crew.run({ kind: 'pack', runs, buffer: buffer() }), /the threads were ended/);
    await crew.close();
  }
  assert.ok(undone > 20, `${undone} tasks were not done`);
});
