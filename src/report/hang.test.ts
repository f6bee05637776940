import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fixtureLines } from '../testing/log-fixture.js';
import { crashOfLines, printedCrash } from '../testing/printed-crash.js';
import { openSample } from '../testing/sample.js';
import { hangOf } from './hang.js';
import { Inside } from './inside.js';

const { kernel } = openSample();
/** All that is left of it is its log. */
const gone = new Inside({ ...kernel, types: () => undefined });

test('the log names who holds the lock, whichever task it names last', () => {
  const hang = hangOf(gone, printedCrash('7.2-hung-task'));
  assert.deepEqual([hang?.source, hang?.task.comm, hang?.waiters], ['log', 'exhume_holder', 3]);
  assert.ok(hang?.task.frames.some(({ name, module }) => name === 'lab_holder' && module === 'exhume_lab_crash'));
});

test('without words of a holder the origin is the same in whatever order the log tells of the tasks', () => {
  const lines = fixtureLines('crashes/7.2-hung-task.txt').filter((line) => !line.includes('is blocked on a mutex'));
  const starts = lines.flatMap((line, index) => (line.includes('blocked for more than') ? [index] : []));
  const end = lines.findIndex((line) => line.includes('Kernel panic'));
  const told = starts.map((start, index) => lines.slice(start, starts[index + 1] ?? end));
  assert.equal(told.length, 4);
  const functions = [told, [...told].reverse()].map((order) =>
    hangOf(gone, crashOfLines([...order.flat(), ...lines.slice(end)]))
      ?.task.frames.map(({ name }) => name)
      .join(' '),
  );
  assert.ok(functions[0] !== undefined && functions[0] !== '');
  assert.equal(functions[0], functions[1]);
});

test('tasks in D count where the log has none that is no longer there', () => {
  // None of the sample's tasks is in D.
  assert.equal(hangOf(new Inside(kernel), undefined), undefined);
  assert.equal(hangOf(new Inside(kernel), printedCrash('7.2-hung-task'))?.source, 'log');
});
