import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eventTeller, progressTeller } from './progress.js';

/** Runs through pages, with so many milliseconds between them. */
function tell(style: 'text' | 'json' | 'none', milliseconds: number): string[] {
  const told: string[] = [];
  let now = 0;
  const teller = progressTeller(
    { write: (text) => told.push(text) },
    style,
    () => 4096,
    () => now,
  );
  for (let done = 0; done <= 1000; done += 10) {
    teller.listener({ phase: 'writing', done, total: 1000 });
    now += milliseconds;
  }
  teller.done();
  return told;
}

test('progress is told at most ten times a second, and the line is taken away at the end', () => {
  const told = tell('text', 10);
  assert.equal(told.length, 12);
  assert.equal(told[6], '\r\x1b[Kwriting 60%: 600 of 1000 pages, 4 MiB/s, 0 s left');
  assert.equal(told.at(-1), '\r\x1b[K');
  assert.deepEqual(tell('none', 10), []);
});

test('for programs it is one object a line', () => {
  const told = tell('json', 1000);
  assert.equal(told.length, 101);
  assert.ok(told.every((line) => line.endsWith('}\n')));
  assert.deepEqual(JSON.parse(told[50] ?? ''), {
    phase: 'writing',
    pages: 500,
    totalPages: 1000,
    bytes: 500 * 4096,
    totalBytes: 1000 * 4096,
    seconds: 50,
    bytesPerSecond: 40960,
    secondsLeft: 50,
  });
});

test('of a pipe nobody knows how much is to come', () => {
  const told: string[] = [];
  let now = 0;
  const teller = progressTeller(
    { write: (text) => told.push(text) },
    'text',
    () => 4096,
    () => now,
  );
  teller.listener({ phase: 'receiving', done: 0, total: undefined });
  now = 2000;
  teller.listener({ phase: 'receiving', done: 2 ** 24, total: undefined });
  assert.equal(told[1], '\r\x1b[Kreceiving: 16 MiB, 8 MiB/s');
});

test('of events it tells how many were read, and of how many where that is known', () => {
  const tellEvents = (style: 'text' | 'json' | 'none', total: number | undefined): string[] => {
    const told: string[] = [];
    let now = 0;
    const teller = eventTeller({ write: (text) => told.push(text) }, style, total, () => now);
    for (let events = 1; events <= 3; events++) {
      now += 60;
      teller.listener(events * 1000);
    }
    now += 1000;
    teller.listener(4000);
    teller.done();
    return told;
  };
  assert.deepEqual(tellEvents('text', 8000), [
    '\r\x1b[Kreading 12%: 1000 events, 0 s left',
    '\r\x1b[Kreading 37%: 3000 events, 0 s left',
    '\r\x1b[Kreading 50%: 4000 events, 1 s left',
    '\r\x1b[K',
  ]);
  assert.equal(tellEvents('text', undefined)[2], '\r\x1b[Kreading: 4000 events');
  assert.deepEqual(tellEvents('none', 8000), []);
  assert.deepEqual(JSON.parse(tellEvents('json', 8000)[2] ?? ''), {
    phase: 'reading',
    events: 4000,
    totalEvents: 8000,
    seconds: 1.18,
    eventsPerSecond: 3390,
    secondsLeft: 1,
  });
});
