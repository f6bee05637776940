import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MemorySource, readUpTo } from '../bytes/byte-source.js';
import { Random } from '../testing/random.js';
import { DamageLog } from './damage-log.js';
import { FlattenedSource } from './flattened.js';
import { recordsOf, type WrittenRecord, writeFlattened } from './testing/flattened-writer.js';
import { CountingSource } from './testing/sources.js';

function open(bytes: Uint8Array) {
  const damage = new DamageLog();
  return { source: FlattenedSource.open(new MemorySource(bytes), damage), damage: damage.entries };
}

/** What `makedumpfile -R` does: writes the records one after another. */
function rearrange(records: readonly WrittenRecord[]): Uint8Array {
  const size = Math.max(
    0,
    ...records.filter(({ data }) => data.length > 0).map(({ offset, data }) => offset + data.length),
  );
  const bytes = new Uint8Array(size);
  for (const { offset, data } of records) bytes.set(data, offset);
  return bytes;
}

function shuffle<T>(items: readonly T[], random: Random): T[] {
  const rest = [...items];
  return items.flatMap(() => rest.splice(random.below(rest.length), 1));
}

test('records in any order, overlapping, with gaps: the later one wins, gaps are zero', () => {
  const random = new Random(1066);
  for (let round = 0; round < 200; round++) {
    const records = Array.from({ length: 1 + random.below(20) }, () => ({
      offset: random.below(3000),
      data: Uint8Array.from({ length: random.below(400) }, () => random.below(256)),
    }));
    const expected = rearrange(records);
    const { source, damage } = open(writeFlattened(records));
    assert.equal(source.size, expected.length);
    assert.deepEqual(readUpTo(source, 0, 10_000), expected);
    for (let i = 0; i < 20; i++) {
      const offset = random.below(3500);
      const length = random.below(600);
      assert.deepEqual(readUpTo(source, offset, length), expected.slice(offset, offset + length));
    }
    assert.deepEqual(damage, []);
    assert.ok(source.complete && source.has(0, source.size) && !source.has(0, source.size + 1));
  }
});

test('without its end record the file is incomplete, and its gaps count as missing', () => {
  const records = [
    { offset: 0, data: new Uint8Array(100).fill(1) },
    { offset: 300, data: new Uint8Array(100).fill(2) },
  ];
  const { source, damage } = open(writeFlattened(records, { end: false }));
  assert.equal(source.complete, false);
  assert.equal(damage[0]?.code, 'EXH_TRUNCATED');
  assert.deepEqual(readUpTo(source, 0, 400), rearrange(records));
  assert.ok(source.has(0, 100) && source.has(310, 90));
  assert.ok(!source.has(50, 100) && !source.has(200, 10) && !source.has(250, 100) && !source.has(390, 20));
});

test('cut anywhere, it holds what came before', () => {
  const records = shuffle(
    recordsOf(
      Uint8Array.from({ length: 2000 }, (_, i) => i % 251),
      300,
    ),
    new Random(3),
  );
  const whole = writeFlattened(records);
  for (let length = 4096; length < whole.length - 16; length += 13) {
    const { source, damage } = open(whole.subarray(0, length));
    assert.equal(source.complete, false);
    assert.equal(damage.length, 1);
    const got = readUpTo(source, 0, 2000);
    got.forEach((byte, i) => {
      assert.ok(!source.has(i, 1) || byte === i % 251);
    });
  }
});

test('impossible records end the index with damage', () => {
  const good = { offset: 0, data: new Uint8Array(10).fill(7) };
  const whole = writeFlattened([good, { offset: 10, data: new Uint8Array(10) }]);
  const view = new DataView(whole.buffer);
  const second = 4096 + 16 + 10;
  for (const [offset, size] of [
    [-5n, 10n],
    [10n, -10n],
    [2n ** 62n, 10n],
    [2n ** 52n, 10n],
    [10n, 2n ** 62n],
    [-1n, 10n],
  ] as const) {
    view.setBigInt64(second, offset);
    view.setBigInt64(second + 8, size);
    const { source, damage } = open(whole);
    assert.equal(damage[0]?.code, 'EXH_BAD_HEADER');
    assert.equal(source.complete, false);
    assert.deepEqual(readUpTo(source, 0, 100), good.data);
  }
});

test('three hundred thousand small records are indexed without reading the file byte for byte twice', () => {
  const count = 300_000;
  const bytes = new Uint8Array(4096 + count * 32 + 16);
  bytes.set(writeFlattened([], { end: false }));
  const view = new DataView(bytes.buffer);
  for (let i = 0; i < count; i++) {
    const at = 4096 + i * 32;
    view.setBigInt64(at, BigInt(((i * 7919) % count) * 16));
    view.setBigInt64(at + 8, 16n);
    view.setUint32(at + 16, (i * 7919) % count);
  }
  bytes.fill(0xff, bytes.length - 16);
  const counting = new CountingSource(new MemorySource(bytes));
  const started = performance.now();
  const source = FlattenedSource.open(counting, new DamageLog());
  assert.ok(performance.now() - started < 20_000);
  assert.ok(counting.bytes < bytes.length * 1.05, `${counting.bytes} bytes read of ${bytes.length}`);
  assert.equal(source.records, count);
  for (const record of [0, 1, 12345, count - 1]) {
    const data = readUpTo(source, record * 16, 4);
    assert.equal(new DataView(data.buffer).getUint32(0), record);
  }
});

test('long records cost one short read each', () => {
  const data = new Uint8Array(256 * 1024);
  const counting = new CountingSource(
    new MemorySource(writeFlattened(Array.from({ length: 20 }, (_, i) => ({ offset: i * data.length, data })))),
  );
  FlattenedSource.open(counting, new DamageLog());
  assert.ok(counting.bytes < 128 * 1024, `${counting.bytes} bytes read`);
});
