import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Random } from '../testing/random.js';
import { IntervalIndex } from './intervals.js';

/** Owner of every place from 0 to 99, the slow and plain way. */
function paint(intervals: readonly (readonly [number, number])[], ranks: (index: number) => number): number[] {
  return Array.from({ length: 100 }, (_, place) => {
    const owners = intervals.flatMap(([start, end], i) => (start <= place && place < end ? [i] : []));
    return owners.sort((a, b) => ranks(b) - ranks(a))[0] ?? -1;
  });
}

function ownersOf(index: IntervalIndex, places: readonly number[]): number[] {
  return places.map((place) => index.ownerAt(place));
}

const build = (intervals: readonly (readonly [number, number])[], ranks: (index: number) => number) =>
  IntervalIndex.build(
    Float64Array.from(intervals, ([start]) => start),
    Float64Array.from(intervals, ([, end]) => end),
    ranks,
  );

test('overlapping intervals: each place belongs to the highest rank', () => {
  const random = new Random(77);
  const places = Array.from({ length: 100 }, (_, i) => i);
  for (let round = 0; round < 500; round++) {
    const intervals = Array.from({ length: random.below(12) }, (): [number, number] => {
      const start = random.below(100);
      return [start, start + random.below(30)];
    });
    const ranks = round % 2 === 0 ? (i: number) => i : (i: number) => -i;
    const index = build(intervals, ranks);
    const expected = paint(intervals, ranks);
    assert.deepEqual(ownersOf(index, places), expected);
    const shuffled = places.map((place) => (place * 37) % 100);
    assert.deepEqual(
      ownersOf(index, shuffled),
      shuffled.map((place) => expected[place]),
    );
    for (let i = 1; i < index.length; i++) assert.ok((index.starts[i] as number) >= (index.ends[i - 1] as number));
  }
});

test('intervals that do not overlap: whose a place is, where that ends, and where the next begins', () => {
  const index = IntervalIndex.of([
    { start: 40, end: 50 },
    { start: 10, end: 20 },
    { start: 30, end: 30 },
    { start: 20, end: 25 },
  ]);
  const told = (place: number) => [index.ownerAt(place), index.endOf(place), index.nextStart(place)];
  assert.deepEqual(told(9), [-1, undefined, 10]);
  assert.deepEqual(told(10), [1, 20, 20]);
  assert.deepEqual(told(24), [3, 25, 40]);
  assert.deepEqual(told(25), [-1, undefined, 40]);
  assert.deepEqual(told(49), [0, 50, Number.POSITIVE_INFINITY]);
  assert.deepEqual(told(50), [-1, undefined, Number.POSITIVE_INFINITY]);
});

test('it says whether anything overlapped', () => {
  const rank = (i: number) => i;
  assert.equal(
    build(
      [
        [10, 20],
        [0, 10],
      ],
      rank,
    ).overlapping,
    false,
  );
  assert.equal(
    build(
      [
        [10, 20],
        [0, 11],
      ],
      rank,
    ).overlapping,
    true,
  );
  assert.equal(build([], rank).length, 0);
  assert.equal(build([], rank).at(5), 0);
});

test('a million intervals are indexed in a moment', () => {
  const count = 1_000_000;
  const starts = Float64Array.from({ length: count }, (_, i) => ((i * 7919) % count) * 10);
  const ends = starts.map((start) => start + 15);
  const started = performance.now();
  const index = IntervalIndex.build(starts, ends, (i) => i);
  assert.ok(performance.now() - started < 10_000);
  assert.ok(index.length >= count && index.overlapping);
});
