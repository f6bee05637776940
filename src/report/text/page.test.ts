import assert from 'node:assert/strict';
import { test } from 'node:test';
import { counted, digits16, humanBytes, humanDuration, Page, PLAIN, printable, wrap } from './page.js';

test('text from a dump cannot steer the terminal', () => {
  assert.equal(printable('a\x1b[2Jb\rc\x9bd\x00'), 'a\\x1b[2Jb\\x0dc\\x9bd\\x00');
  assert.equal(printable('a\u202eb'), 'a\\u202eb');
  assert.equal(printable('line\nnext\ttab é 漢'), 'line\nnext\ttab é 漢');
});

test('text is wrapped at spaces, and long words are left whole', () => {
  assert.deepEqual(wrap('one two three', 7), ['one two', 'three']);
  assert.deepEqual(wrap('a 0123456789abcdef b', 8), ['a', '0123456789abcdef', 'b']);
  assert.deepEqual(wrap('first\nsecond', 40), ['first', 'second']);
  assert.deepEqual(wrap('', 10), ['']);
});

test('a table aligns its columns and wraps the last one under itself', () => {
  const page = new Page({ color: false, width: 40 });
  const lines = [...page.table([{ cells: ['a', 'one'] }, { cells: ['long', 'word '.repeat(8).trim()] }])];
  assert.deepEqual(lines, ['  a     one', '  long  word word word word word word', '        word word']);
});

test('pairs wrap their values under themselves', () => {
  const page = new Page({ color: false, width: 40 });
  assert.deepEqual(
    [...page.pairs([['label', 'word '.repeat(7).trim()]], 8)],
    ['  label    word word word word word word', '           word'],
  );
});

test('colours only where they are wanted', () => {
  assert.deepEqual([...new Page(PLAIN).heading('Title', 'aside')], ['', 'Title  aside']);
  assert.match([...new Page({ color: true, width: 80 }).heading('Title')][1] ?? '', /^.\[1mTitle/);
});

test('sizes and durations for people', () => {
  assert.deepEqual([0, 1, 1023, 1024, 1536, 100663296, 100925440].map(humanBytes), [
    '0 bytes',
    '1 byte',
    '1023 bytes',
    '1 KiB',
    '1.5 KiB',
    '96 MiB',
    '96.3 MiB',
  ]);
  assert.deepEqual([0.25, 59.94, 61, 3600, 90061].map(humanDuration), [
    '0.3 s',
    '59.9 s',
    '1 min 01 s',
    '1 h 00 min',
    '1 d 01 h 01 min',
  ]);
  assert.equal(counted(1, 'CPU'), '1 CPU');
  assert.equal(counted(2, 'CPU'), '2 CPUs');
  assert.equal(digits16('0x1000'), '0000000000001000');
});
