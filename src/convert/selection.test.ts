import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Pfn } from '../bytes/address.js';
import { MemorySource } from '../bytes/byte-source.js';
import { isExhumeError } from '../bytes/errors.js';
import { openDump } from '../dump/open.js';
import { writeElf } from '../dump/testing/elf-writer.js';
import { openSample } from '../testing/sample.js';
import { inputPages } from './selection.js';

test('the pages of a dump are those that it says it has', () => {
  const { memory } = openSample().container;
  const { described, written, excluded, lost } = inputPages(memory);
  for (let pfn = 0; pfn < described.length; pfn += 7) {
    const state = memory.state(pfn as Pfn);
    assert.equal(described.has(pfn), state !== 'absent', `page ${pfn}`);
    assert.equal(written.has(pfn), state === 'present', `page ${pfn}`);
  }
  assert.equal(described.count() - written.count(), excluded + lost);
  assert.equal(described.count() * 4096, memory.describedBytes());
});

test('what lies beyond an end that is given is counted, and nothing else', () => {
  const { memory } = openSample().container;
  const [all, below] = [inputPages(memory), inputPages(memory, 5000)];
  assert.equal(below.described.length, 5000);
  assert.equal(below.written.count(), all.written.count(0, 5000));
  assert.equal(below.beyond, all.described.count(5000));
  assert.equal(below.excluded + below.lost + below.written.count(), below.described.count());
});

test('a page that two ranges share counts once', () => {
  const load = (physical: number, size: number) => ({
    type: 1,
    physical: BigInt(physical),
    data: new Uint8Array(size).fill(1),
  });
  const bytes = writeElf({
    wordBits: 64,
    littleEndian: true,
    machine: 62,
    segments: [load(0, 0x1400), load(0x1800, 0x1000)],
  });
  const { described, written } = inputPages(openDump([new MemorySource(bytes)]).memory);
  assert.deepEqual([described.count(), written.count()], [3, 3]);
});

test('addresses that no machine has are an error, and take no memory', () => {
  const bytes = writeElf({
    wordBits: 64,
    littleEndian: true,
    machine: 62,
    segments: [{ type: 1, physical: 1n << 51n, data: new Uint8Array(4096) }],
  });
  assert.throws(
    () => inputPages(openDump([new MemorySource(bytes)]).memory),
    (error) => isExhumeError(error, 'EXH_BAD_HEADER'),
  );
});

test('a dump without memory is an error: there is nothing to write', () => {
  const bytes = writeElf({
    wordBits: 64,
    littleEndian: true,
    machine: 62,
    segments: [{ type: 1, physical: 0n, data: new Uint8Array() }],
  });
  assert.throws(
    () => inputPages(openDump([new MemorySource(bytes)]).memory),
    (error) => isExhumeError(error, 'EXH_BAD_HEADER'),
  );
});
