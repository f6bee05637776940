import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Random } from '../testing/random.js';
import { DamageLog } from './damage-log.js';
import { parseNotes, vmcoreinfoOf } from './notes.js';
import { writeNote } from './testing/elf-writer.js';

const text = (value: string) => new TextEncoder().encode(value);
const join = (...parts: Uint8Array[]) => Uint8Array.from(parts.flatMap((part) => [...part]));

test('notes in both byte orders, with names and descriptions that need padding', () => {
  for (const littleEndian of [true, false]) {
    const bytes = join(
      writeNote('CORE', 1, Uint8Array.of(1, 2, 3, 4, 5), littleEndian),
      writeNote('VMCOREINFO', 0, text('OSRELEASE=6.1\n'), littleEndian),
    );
    const damage = new DamageLog();
    const notes = parseNotes(bytes, 1000, littleEndian, damage);
    assert.deepEqual(
      notes.map(({ name, type, description, offset }) => [name, type, description.length, offset]),
      [
        ['CORE', 1, 5, 1000],
        ['VMCOREINFO', 0, 14, 1028],
      ],
    );
    assert.deepEqual(vmcoreinfoOf(notes), text('OSRELEASE=6.1\n'));
    assert.deepEqual(damage.entries, []);
  }
});

test('the zeros that the kernel leaves behind a note are stepped over', () => {
  const bytes = join(
    new Uint8Array(20),
    writeNote('CORE', 1, text('abcd')),
    new Uint8Array(24),
    writeNote('QEMU', 0, text('x')),
  );
  const damage = new DamageLog();
  assert.deepEqual(
    parseNotes(bytes, 0, true, damage).map((note) => [note.name, note.offset]),
    [
      ['CORE', 20],
      ['QEMU', 68],
    ],
  );
  assert.deepEqual(damage.entries, []);
});

test('a note cut off is damage, and those before it are kept', () => {
  const bytes = join(writeNote('CORE', 1, text('abcd')), writeNote('VMCOREINFO', 0, text('OSRELEASE=6.1\n')));
  for (let length = 25; length < bytes.length - 2; length++) {
    const damage = new DamageLog();
    const notes = parseNotes(bytes.subarray(0, length), 0, true, damage);
    assert.deepEqual(
      notes.map((note) => note.name),
      ['CORE'],
      `cut at ${length}`,
    );
    assert.equal(damage.entries[0]?.code, 'EXH_BAD_NOTE');
  }
});

test('junk gives damage, not an error or an endless parse', () => {
  const random = new Random(4242);
  for (let round = 0; round < 500; round++) {
    const bytes = Uint8Array.from({ length: random.below(400) }, () => random.pick([0, 0, 4, 255, random.below(256)]));
    const damage = new DamageLog();
    const notes = parseNotes(bytes, 0, true, damage);
    assert.ok(notes.every((note) => note.offset + 12 <= bytes.length));
  }
});
