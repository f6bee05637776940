import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import type { Pfn } from '../bytes/address.js';
import { MemorySource } from '../bytes/byte-source.js';
import { isExhumeError } from '../bytes/errors.js';
import { openDump } from './open.js';
import { parseRanges } from './raw.js';
import { numberedPage } from './testing/sources.js';

const pages = (...numbers: number[]) => Uint8Array.from(numbers.flatMap((number) => [...numberedPage(number)]));

test('an image named as raw: its offset is its physical address', () => {
  const container = openDump([new MemorySource(pages(0, 1, 2))], { format: 'raw' });
  assert.equal(container.format, 'raw');
  assert.deepEqual(container.damage, []);
  assert.deepEqual(container.memory.page(2 as Pfn), numberedPage(2));
  assert.equal(container.memory.page(3 as Pfn), 'absent');
});

test('an image that ends inside a page says so', () => {
  const container = openDump([new MemorySource(pages(0, 1).subarray(0, 5000))], { format: 'raw' });
  assert.equal(container.incomplete, true);
  assert.equal(container.damage[0]?.code, 'EXH_TRUNCATED');
});

test('with a map of ranges: holes are absent, what the file does not hold is lost', () => {
  const ranges = parseRanges('0x0-0xfff@0x0, 0x100000-0x101fff@4096\n0x100000000-0x100001fff@0x3000');
  const container = openDump([new MemorySource(pages(0, 256, 257, 2 ** 20))], { ranges });
  const page = (pfn: number) => container.memory.page(pfn as Pfn);
  for (const pfn of [0, 256, 257, 2 ** 20]) assert.deepEqual(page(pfn), numberedPage(pfn));
  for (const pfn of [1, 255, 258, 2 ** 20 + 2]) assert.equal(page(pfn), 'absent');
  assert.equal(page(2 ** 20 + 1), 'lost');
  assert.equal(container.incomplete, true);
});

test('ranges that cannot be are a usage error', () => {
  for (const text of [
    '',
    'x',
    '0-1',
    '5-4@0',
    '0x0-0xfffffffffffff0@0',
    '0-99999999999999999999@0',
    '1-2@-3',
    '0-1@0;2-3@0',
  ]) {
    assert.throws(
      () => parseRanges(text),
      (error) => isExhumeError(error, 'EXH_USAGE'),
      text,
    );
  }
  for (const range of [
    { physical: -1, fileOffset: 0, size: 1 },
    { physical: 0.5, fileOffset: 0, size: 1 },
    { physical: 0, fileOffset: 0, size: 0 },
    { physical: 2 ** 52, fileOffset: 0, size: 1 },
    { physical: 0, fileOffset: Number.NaN, size: 1 },
  ]) {
    assert.throws(
      () => openDump([new MemorySource(pages(0))], { ranges: [range] }),
      (error) => isExhumeError(error, 'EXH_USAGE'),
    );
  }
});

test('without a signature, the memory of a PC is known by what its BIOS left, and by nothing less', () => {
  // The first two pages of a real guest stand at 0x14a0 in this dump.
  const dump = new Uint8Array(readFileSync(new URL('../../../src/dump/fixtures/qemu.elf', import.meta.url)));
  const image = new Uint8Array(2 * 1024 * 1024);
  image.set(dump.subarray(0x14a0, 0x14a0 + 8192));
  const container = openDump([new MemorySource(image)]);
  assert.equal(container.format, 'raw');
  assert.match(String(container.facts[0]?.value), /interrupt vectors point into the BIOS/);

  const notADump = (bytes: Uint8Array) =>
    assert.throws(
      () => openDump([new MemorySource(bytes)]),
      (error) => isExhumeError(error, 'EXH_NOT_A_DUMP'),
    );
  notADump(image.subarray(0, image.length - 4096));
  notADump(new Uint8Array(image.length));
  notADump(image.slice().fill(0, 0, 0x400));
  notADump(image.slice().fill(0, 0x400, 0x500));
});
