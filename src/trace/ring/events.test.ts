import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Random } from '../../testing/random.js';
import { bufferOf, RecordWriter } from '../../testing/sub-buffers.js';
import type { TraceBuffer } from '../model.js';
import { readEvents } from './events.js';

interface Seen {
  readonly cpu: number;
  readonly time: bigint;
  readonly type: number;
  readonly pid: number;
  readonly lost: number;
}

function seen(buffer: TraceBuffer, cpus?: readonly number[]): Seen[] {
  const stream = readEvents(buffer, { cpus });
  return Array.from(stream, ({ cpu, time, type, pid, lost }) => ({
    cpu,
    time: stream.base + BigInt(time),
    type,
    pid,
    lost,
  }));
}

test('events of all CPUs come by time, those of the same time by CPU', () => {
  const first = new RecordWriter(1000n);
  first.event(1000n, 5, 10);
  first.event(1500n, 6, 11, new Uint8Array(200));
  first.event(900_000_000_000n, 7, 12);
  const second = new RecordWriter(1200n);
  second.event(1200n, 8, 13);
  second.event(1500n, 9, 14);
  const buffer = bufferOf([[first.done()], [], [second.done()]]);
  assert.deepEqual(
    seen(buffer).map(({ cpu, time, type, pid }) => [cpu, time, type, pid]),
    [
      [0, 1000n, 5, 10],
      [2, 1200n, 8, 13],
      [0, 1500n, 6, 11],
      [2, 1500n, 9, 14],
      [0, 900_000_000_000n, 7, 12],
    ],
  );
  assert.deepEqual(
    seen(buffer, [2]).map(({ type }) => type),
    [8, 9],
  );
});

test('a record is where its event says it is', () => {
  const writer = new RecordWriter(0n);
  writer.event(1n, 5, 10, Uint8Array.of(1, 2, 3, 4));
  writer.event(2n, 5, 10, new Uint8Array(300).fill(7));
  const [small, large] = Array.from(readEvents(bufferOf([[writer.done()]])), ({ bytes, start, length }) =>
    bytes.slice(start + 8, start + length),
  );
  assert.deepEqual(small, Uint8Array.of(1, 2, 3, 4));
  assert.deepEqual(large, new Uint8Array(300).fill(7));
});

test('times far from 0 stay exact: absolute ones, long gaps, a start above 2^53', () => {
  const start = 0xf9n * 2n ** 56n + 123_456_789_012_345n;
  const writer = new RecordWriter(start);
  writer.event(start + 7n, 1, 1);
  writer.event(start + 7n + 2n ** 40n, 2, 1);
  const absolute = (start + 2n ** 41n) & (2n ** 59n - 1n);
  writer.words(31 | (Number(absolute & 0x7ffffffn) << 5), Number(absolute >> 27n));
  writer.words((3 << 5) | 2, 3, 1);
  assert.deepEqual(
    seen(bufferOf([[writer.done()]])).map(({ time }) => time),
    [start + 7n, start + 7n + 2n ** 40n, start + 2n ** 41n + 3n],
  );
});

test('discarded events take no time and are not given; an empty rest ends the page', () => {
  const writer = new RecordWriter(100n);
  writer.event(110n, 1, 1);
  writer.words(29 | (50 << 5), 12, 0, 0);
  writer.event(120n, 2, 1);
  writer.words(29, 0, 0xffff_ffff);
  const next = new RecordWriter(400n);
  next.event(400n, 3, 1);
  assert.deepEqual(
    seen(bufferOf([[writer.done(), next.done()]])).map(({ time, type }) => [time, type]),
    [
      [110n, 1],
      [120n, 2],
      [400n, 3],
    ],
  );
});

test('what was read already gives time but no events', () => {
  const writer = new RecordWriter(100n);
  writer.event(110n, 1, 1);
  const consumed = writer.size;
  writer.event(125n, 2, 1);
  assert.deepEqual(
    seen(bufferOf([[writer.done({ consumed, lost: 4 })]])).map(({ time, type, lost }) => [time, type, lost]),
    [[125n, 2, 4]],
  );
});

test('lost events are told at the next event, even when a page lies between', () => {
  const empty = new RecordWriter(50n).done({ lost: -1 });
  const writer = new RecordWriter(100n);
  writer.event(110n, 1, 1);
  writer.event(111n, 2, 1);
  assert.deepEqual(
    seen(bufferOf([[empty, writer.done()]])).map(({ lost }) => lost),
    [-1, 0],
  );
});

test('the event after one on its CPU can be looked at, and left out, also in the next page', () => {
  const pages = [100n, 200n, 300n, 400n].map((time) => {
    const writer = new RecordWriter(time);
    writer.event(time, Number(time / 100n), 1, Uint8Array.of(Number(time / 100n), 0, 0, 0));
    return writer.done();
  });
  const other = new RecordWriter(150n);
  other.event(150n, 9, 1);
  // As a source may: one buffer for all pages.
  const into = new Uint8Array(4080);
  const reusing = function* () {
    for (const page of pages) {
      into.set(page.data);
      yield { ...page, data: into.subarray(0, page.data.length) };
    }
  };
  const { cpus, ...rest } = bufferOf([[], [other.done()]]);
  const stream = readEvents({ ...rest, cpus: [{ cpu: 0, statistics: undefined, subBuffers: reusing }, ...cpus] });
  const given: unknown[] = [];
  for (const event of stream) {
    if (event.type === 1) {
      assert.equal(stream.following()?.type, 2);
      stream.skipFollowing();
      assert.equal(stream.following()?.type, 3);
      assert.equal(event.bytes[event.start + 8], 1, 'the current one stays');
    }
    if (event.type === 4) assert.equal(stream.following(), undefined);
    given.push(event.type);
  }
  assert.deepEqual(given, [1, 9, 3, 4]);
});

test('a record that reaches past the end is told, and the next page is read', () => {
  const writer = new RecordWriter(100n);
  writer.event(110n, 1, 1);
  writer.words(28);
  const next = new RecordWriter(200n);
  next.event(200n, 2, 1);
  const stream = readEvents(bufferOf([[writer.done(), next.done()]]));
  assert.deepEqual(
    Array.from(stream, ({ type }) => type),
    [1, 2],
  );
  assert.deepEqual(stream.damage, [
    {
      code: 'EXH_BAD_STRUCTURE',
      part: 'trace of CPU 0',
      message: 'at 12: a record of 112 bytes where 0 are left',
    },
  ]);
});

test('two thousand spoiled pages: each ends, and no event reaches out of its page', () => {
  const random = new Random(20261121);
  for (let round = 0; round < 2000; round++) {
    const writer = new RecordWriter(BigInt(random.below(2 ** 31)));
    let time = writer.timestamp;
    while (writer.event(time, random.below(30), random.below(100), new Uint8Array(random.below(150)))) {
      time += BigInt(random.below(2 ** 29));
    }
    const page = writer.done({ consumed: random.below(2) * random.below(4080) });
    random.mutate(page.data, 40);
    let events = 0;
    for (const { bytes, start, length } of readEvents(bufferOf([[page], [page]]))) {
      assert.ok(start >= 0 && length >= 8 && start + length <= bytes.length);
      events++;
    }
    assert.ok(events <= 2 * (4080 / 8));
  }
});
