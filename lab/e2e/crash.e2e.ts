import assert from 'node:assert/strict';
import { test } from 'node:test';
import { deaths, lines, peerAnswer } from './deaths.js';
import { exhume, type LabDump } from './support.js';

/** Spaces between columns and empty lines say nothing. */
const words = (text: string): string[] => lines(text.replace(/[ \t]+/g, ' ').replace(/^ | $/gm, ''));

const asked = deaths().filter((dump) => peerAnswer(dump, 'crash-ps') !== undefined);

function ours(dump: LabDump, command: string, options: readonly string[]): string[] {
  const { stdout, stderr } = exhume(dump, command, ...options);
  assert.notEqual(stdout, '', stderr);
  return words(stdout);
}

/** Commands that print what crash prints, word by word. */
const SAME: readonly (readonly [answer: string, command: string, ...options: string[]])[] = [
  ['ps', 'ps'],
  ['ps-a', 'ps', '-a'],
  ['ps-r', 'ps', '-r'],
  ['mount', 'mount'],
  ['kmem-s', 'kmem', '-s'],
  ['swap', 'swap'],
  ['ipcs', 'ipcs'],
  ['runq', 'runq'],
  ['irq', 'irq'],
  ['timer', 'timer'],
  ['bt-FF', 'bt', '2', '-F'],
];

for (const dump of asked) {
  for (const [name, command, ...options] of SAME) {
    const answer = peerAnswer(dump, `crash-${name}`);
    // Of nothing crash prints the heads of the columns, and exhume a sentence.
    const silent = words(answer ?? '').length < 2;
    test(`${dump.title}: ${[command, ...options].join(' ')} is what crash prints`, {
      skip: silent,
    }, () => {
      const expected = words(answer ?? '');
      // How long a task has been in D state is told behind crash's columns.
      const found = ours(dump, command, options).map((line) => line.replace(/ \(blocked for .*\)$/, ''));
      const wrong = expected.findIndex((line, index) => line !== found[index]);
      assert.equal(wrong < 0 ? '' : found[wrong], wrong < 0 ? '' : expected[wrong], `line ${wrong + 1}`);
      assert.equal(found.length, expected.length);
    });
  }

  const vmalloc = peerAnswer(dump, 'crash-kmem-v');
  test(`${dump.title}: the areas of vmalloc are crash's`, { skip: vmalloc === undefined }, () => {
    const expected = words(vmalloc ?? '').slice(1);
    const found = ours(dump, 'kmem', ['-v']).slice(1);
    assert.ok(expected.length > 50);
    // Behind crash's columns exhume tells who asked for it.
    const columns = (line: string): string => line.split(' ').slice(0, 6).join(' ');
    assert.deepEqual(found.map(columns), expected.map(columns));
  });

  // exhume adds paths and names where crash has none, and leaves out tasks that have nothing.
  for (const [name, pattern, least] of [
    ['files', /^\d+ [0-9a-f]{16} [0-9a-f]{16} /, 3],
    ['vm', /^[0-9a-f]{16} [0-9a-f]+ [0-9a-f]+ [0-9a-f]+/, 10],
  ] as const) {
    const answer = peerAnswer(dump, `crash-${name}`);
    test(`${dump.title}: ${name} has each line of crash's`, { skip: answer === undefined }, () => {
      // Where a bind mount or a file without a name is meant, crash tells another path or none.
      const columns = (text: string): string =>
        text
          .split(' ')
          .slice(0, name === 'files' ? 5 : 4)
          .join(' ');
      // Of the threads of a process, crash tells each time what they share.
      const distinct = (all: readonly string[]): string[] =>
        [...new Set(all.filter((line) => pattern.test(line)).map(columns))].sort();
      const expected = distinct(words(answer ?? ''));
      assert.ok(expected.length >= least, `${expected.length} lines`);
      assert.deepEqual(distinct(ours(dump, name, [])), expected);
    });
  }

  test(`${dump.title}: modules are where crash finds them`, () => {
    const expected = words(peerAnswer(dump, 'crash-mod') ?? '').slice(1);
    const found = ours(dump, 'mod', []).slice(1);
    const short = (text: string): string => text.split(' ').slice(0, 4).join(' ');
    assert.ok(expected.length >= 5);
    // crash has them the other way round.
    assert.deepEqual(found.map(short).sort(), expected.map(short).sort());
  });
}

test('crash was asked', { skip: asked.length === 0 ? 'npm run lab -- --peers' : false }, () => {
  assert.ok(asked.every(({ truth }) => truth.kernelRelease?.startsWith('6.1')));
});
