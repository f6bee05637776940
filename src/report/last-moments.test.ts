import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { DamagedView } from '../testing/damaged-view.js';
import { damagedView } from '../testing/damaged-view.js';
import { fill, ringOf } from '../testing/kernel-rings.js';
import { openSample } from '../testing/sample.js';
import { RecordWriter } from '../testing/sub-buffers.js';
import { isAbsence } from './absence.js';
import { Inside } from './inside.js';
import { lastMomentsReport } from './last-moments.js';

const MICROSECOND = 1000n;

/** Markers of a task, one a microsecond. */
function markers(damaged: DamagedView, cpu: number, pid: number, from: bigint, texts: readonly string[]): void {
  const { ring, reader, pages } = ringOf(damaged, cpu);
  const writer = new RecordWriter(from);
  texts.forEach((text, index) => {
    const ip = new Uint8Array(BigUint64Array.of(damaged.view.address('schedule')).buffer);
    const payload = Uint8Array.from([...ip, ...new TextEncoder().encode(`${text}\n\0`)]);
    assert.ok(writer.event(from + BigInt(index) * MICROSECOND, 5, pid, payload));
  });
  const [page] = pages;
  assert.ok(page);
  // In the ring or, with an empty ring, in the reader's page.
  fill(damaged, cpu === 0 ? page : reader, writer.done());
  damaged.set(ring, 'commit_page', cpu === 0 ? page.address : reader.address);
  damaged.set(ring, 'entries.a.counter', texts.length);
}

test('a kernel that traced nothing has no last moments', () => {
  assert.equal(lastMomentsReport(new Inside(openSample().kernel), 1), null);
});

test('the last events of each CPU are told by time, and what the task did before', () => {
  const damaged = damagedView();
  const texts = (name: string, count: number) => Array.from({ length: count }, (_, index) => `${name} ${index}`);
  markers(damaged, 0, 1, 1_000_000n, texts('zero', 20));
  markers(damaged, 1, 77, 1_016_500n, texts('one', 3));
  const found = lastMomentsReport(new Inside(damaged.view.kernel), 1);
  assert.ok(found !== null && !isAbsence(found));
  assert.deepEqual(
    { ...found, last: [], task: null },
    {
      buffer: 'top',
      tracer: 'nop',
      clock: 'local',
      recording: true,
      entries: 23,
      last: [],
      task: null,
    },
  );
  assert.deepEqual(
    found.last.map(({ cpu, pid, text, before }) => `${cpu} ${pid} ${text} ${before}`),
    [
      '0 1 schedule: zero 16 0.000003',
      '1 77 schedule: one 0 0.0000025',
      '0 1 schedule: zero 17 0.000002',
      '1 77 schedule: one 1 0.0000015',
      '0 1 schedule: zero 18 0.000001',
      '1 77 schedule: one 2 5e-7',
      '0 1 schedule: zero 19 0',
    ],
  );
  assert.deepEqual(
    found.task?.events.map(({ text }) => text),
    texts('schedule: zero', 20).slice(-8),
  );
});

test('a ring that is broken is told, and the report goes on', () => {
  const damaged = damagedView();
  markers(damaged, 0, 1, 1_000_000n, ['only']);
  damaged.set(ringOf(damaged).ring, 'commit_page', 8n);
  const inside = new Inside(damaged.view.kernel);
  const found = lastMomentsReport(inside, null);
  assert.ok(found !== null && !isAbsence(found));
  assert.deepEqual(found.last, []);
  assert.match(inside.damage.map(({ part }) => part).join(), /trace of CPU 0/);
});
