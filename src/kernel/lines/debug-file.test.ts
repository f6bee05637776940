import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { MemorySource } from '../../bytes/byte-source.js';
import { isExhumeError } from '../../bytes/errors.js';
import { viewOf } from '../../bytes/struct-table.js';
import { portableDecoders } from '../../codecs/decoders.js';
import { Random } from '../../testing/random.js';
import { DebugFile, type LinesFound } from './debug-file.js';
import { ElfSections } from './elf-sections.js';

const fixtures = new URL('../../../../src/kernel/lines/fixtures/', import.meta.url);
const read = (name: string) => new Uint8Array(readFileSync(new URL(name, fixtures)));
const open = (bytes: Uint8Array, name = 'test') => new DebugFile(new MemorySource(bytes, name), portableDecoders);

const SECTIONS = new Map([
  ['.text', 0xffffffff81001000n],
  ['.init.text', 0xffffffff83000000n],
]);
const sectionAddress = (name: string) => SECTIONS.get(name);

/** What addr2line says of every byte of code. */
function truth(name: string): Map<bigint, string> {
  const lines = readFileSync(new URL(name, fixtures), 'utf8').trimEnd().split('\n');
  return new Map(lines.map((line) => [BigInt(line.split(' ')[0] ?? ''), line.split(' ')[1] ?? '']));
}

const COMPILED_IN = '/build/lines/';

/** As addr2line writes it, with the directory of the build that older line tables do not have. */
function said({ lines }: LinesFound): Map<bigint, string> {
  return new Map(
    [...lines].map(([address, { file, line }]) => [
      address,
      `${file.startsWith('/') ? '' : COMPILED_IN}${file}:${line}`,
    ]),
  );
}

for (const [file, answers] of [
  ['v3.elf', 'v3.addr2line'],
  ['v4.elf', 'v4.addr2line'],
  ['v5.elf', 'v5.addr2line'],
  ['v5.o', 'v5.addr2line'],
  ['mixed.elf', 'mixed.addr2line'],
  ['mixed-zlib.elf', 'mixed.addr2line'],
  ['mixed-zstd.elf', 'mixed.addr2line'],
] as const) {
  test(`${file}: every byte of code has the line that addr2line gives it`, () => {
    const expected = truth(answers);
    const debug = open(read(file));
    const found = debug.lines(expected.keys(), sectionAddress);
    assert.deepEqual(found.damage, []);
    assert.deepEqual(said(found), expected);
    assert.ok(expected.size > 90);
    for (const [address, line] of expected) {
      assert.equal(said(debug.lines([address], sectionAddress)).get(address), line);
    }
  });
}

test('paths have the directory of the build in front from DWARF 5 on, and before they are as the compiler was given them', () => {
  const address = 0xffffffff81001000n;
  const file = (name: string) => open(read(name)).lines([address], sectionAddress).lines.get(address)?.file;
  assert.equal(file('v5.elf'), '/build/lines/lines.c');
  assert.equal(file('v4.elf'), 'lines.c');
});

test('DWARF 2 has the line tables of DWARF 3', () => {
  const bytes = read('v3.elf');
  viewOf(bytes).setUint16(lineSection(bytes).offset + 4, 2, true);
  assert.deepEqual(said(open(bytes).lines(truth('v3.addr2line').keys(), sectionAddress)), truth('v3.addr2line'));
});

test('outside of the code there are no lines', () => {
  const around = [0n, 0xffffffff81000fffn, 0xffffffff81001fffn, 0xffffffff82ffffffn, 0xffffffff83000031n];
  assert.deepEqual(open(read('v5.elf')).lines(around, sectionAddress).lines, new Map());
  assert.deepEqual(open(read('v5.elf')).lines([], sectionAddress).lines, new Map());
});

test('sections of a module that are not in memory have no lines, the others have', () => {
  const inMemory = (name: string) => (name === '.text' ? 0xffffffffc0000000n : undefined);
  const found = open(read('v5.o')).lines([0xffffffffc0000000n, 0xffffffff83000000n], inMemory);
  assert.deepEqual([...found.lines], [[0xffffffffc0000000n, { file: '/build/lines/lines.c', line: 6 }]]);
});

test('the build id is told, and a file without one or without a line table says so', () => {
  assert.match(open(read('v5.elf')).buildId ?? '', /^[0-9a-f]{40}$/);
  assert.equal(open(read('v5.o')).buildId, undefined);
  assert.equal(open(read('v5.o')).hasLines, true);
  const bytes = read('v5.elf');
  // No section headers at all: e_shoff is 0.
  viewOf(bytes).setBigUint64(40, 0n, true);
  assert.equal(open(bytes).hasLines, false);
  assert.equal(open(bytes).buildId, undefined);
});

test('a unit of an unknown version is told, and the others are read', () => {
  const bytes = read('mixed.elf');
  viewOf(bytes).setUint16(lineSection(bytes).offset + 4, 6, true);
  const { lines, damage } = open(bytes).lines(truth('mixed.addr2line').keys(), sectionAddress);
  assert.deepEqual(
    damage.map(({ code, message }) => [code, message]),
    [['EXH_BAD_STRUCTURE', 'at 0: version 6 of the line table is not known']],
  );
  assert.deepEqual(new Set([...lines.values()].map(({ file }) => file)), new Set(['other.c']));
});

test('a compressed section that promises to grow beyond reason is refused before memory is taken', () => {
  const bytes = read('mixed-zstd.elf');
  viewOf(bytes).setBigUint64(lineSection(bytes).offset + 8, 1n << 40n, true);
  assert.throws(
    () => open(bytes).lines([0xffffffff81001000n], sectionAddress),
    (error) => isExhumeError(error, 'EXH_BAD_HEADER'),
  );
});

function lineSection(bytes: Uint8Array): { offset: number; size: number } {
  const section = new ElfSections(new MemorySource(bytes), portableDecoders).find('.debug_line');
  assert.ok(section);
  return section;
}

test('broken line tables and broken files end, with errors of ours or lines of those that were asked for', () => {
  const random = new Random(20);
  const originals = ['v3.elf', 'v4.elf', 'v5.elf', 'v5.o', 'mixed.elf', 'mixed-zlib.elf', 'mixed-zstd.elf'] as const;
  const wanted = [...truth('mixed.addr2line').keys()];
  let answered = 0;
  let refused = 0;
  for (let round = 0; round < 4000; round++) {
    const bytes = read(random.pick(originals));
    const { offset, size } = lineSection(bytes);
    // Mostly the table itself: few of the other bytes matter.
    random.mutate(round % 4 === 0 ? bytes : bytes.subarray(offset, offset + size));
    const cut = round % 16 === 0 ? bytes.subarray(0, random.below(bytes.length)) : bytes;
    try {
      const { lines } = open(cut).lines(wanted, sectionAddress);
      for (const address of lines.keys()) assert.ok(wanted.includes(address));
      answered++;
    } catch (error) {
      if (!isExhumeError(error)) throw error;
      refused++;
    }
  }
  assert.ok(answered > 1000 && refused > 100, `${answered} answered, ${refused} refused`);
});
