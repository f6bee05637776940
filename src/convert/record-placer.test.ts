import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MemorySink } from '../bytes/byte-sink.js';
import { MemorySource, readUpTo } from '../bytes/byte-source.js';
import { isExhumeError } from '../bytes/errors.js';
import { DamageLog } from '../dump/damage-log.js';
import { FlattenedSource } from '../dump/flattened.js';
import { writeFlattened } from '../dump/testing/flattened-writer.js';
import { Random } from '../testing/random.js';
import { RecordPlacer } from './record-placer.js';

/** Hands over a flattened file in pieces of any size. */
function place(bytes: Uint8Array, random: Random): { content: Uint8Array; extents: Float64Array | undefined } {
  const sink = new MemorySink();
  const placer = new RecordPlacer('input', (offset, part) => sink.write(offset, part));
  for (let at = 0; at < bytes.length; ) {
    const length = random.pick([1, 3, 17, 4096, 5000]);
    placer.take(bytes.subarray(at, at + length));
    at += length;
  }
  return { content: sink.bytes.slice(), extents: placer.finish() };
}

test('records go where a reader of the flattened form finds them, however they arrive', () => {
  const random = new Random(5);
  for (let round = 0; round < 40; round++) {
    const records = Array.from({ length: 1 + random.below(12) }, () => ({
      offset: random.below(20_000),
      data: Uint8Array.from({ length: random.below(3000) }, () => random.below(256)),
    }));
    const whole = writeFlattened(records);
    const bytes = random.below(3) === 0 ? whole.subarray(0, 4096 + random.below(whole.length - 4096)) : whole;
    const reader = FlattenedSource.open(new MemorySource(bytes), new DamageLog());
    const { content, extents } = place(bytes, random);
    assert.deepEqual(content, readUpTo(reader, 0, reader.size));
    assert.equal(extents === undefined, reader.complete);
    for (let at = 0; extents !== undefined && at < reader.size; at += 1 + random.below(50)) {
      let inside = false;
      for (let i = 0; i < extents.length; i += 2) {
        inside ||= at >= (extents[i] as number) && at < (extents[i + 1] as number);
      }
      assert.equal(inside, reader.has(at, 1), `byte ${at}`);
    }
  }
});

test('records that no writer makes are an error, not a file of petabytes', () => {
  const random = new Random(6);
  let refused = 0;
  for (let round = 0; round < 200; round++) {
    const bytes = writeFlattened([
      { offset: 0, data: new Uint8Array(500) },
      { offset: 9000, data: new Uint8Array(500) },
    ]);
    random.mutate(bytes.subarray(4096, 4112), 3);
    const placer = new RecordPlacer('input', (offset, part) => {
      assert.ok(offset + part.length <= bytes.length * 16 + 256 * 1024 * 1024);
    });
    try {
      placer.take(bytes);
      placer.finish();
    } catch (error) {
      assert.ok(isExhumeError(error, 'EXH_BAD_HEADER'), String(error));
      refused++;
    }
  }
  assert.ok(refused > 20, `${refused}`);
});
