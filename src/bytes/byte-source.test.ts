import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { hex, hex16, pfn, physicalAddress, virtualAddress } from './address.js';
import { type ByteSource, MemorySource, readExactly, readUpTo, SliceSource } from './byte-source.js';
import { ExhumeError, isExhumeError } from './errors.js';
import { FileSource } from './node.js';
import { bytesOf, find, findAll } from './search.js';

const CONTENT = Uint8Array.from({ length: 100 }, (_, i) => i);

function checkSource(source: ByteSource): void {
  assert.equal(source.size, 100);
  assert.deepEqual(readExactly(source, 10, 5, 'five bytes'), CONTENT.subarray(10, 15));
  assert.deepEqual(readUpTo(source, 95, 50), CONTENT.subarray(95));
  assert.equal(readUpTo(source, 200, 5).length, 0);
  assert.equal(source.read(100, new Uint8Array(1)), 0);
  for (const [offset, length] of [
    [99, 2],
    [-1, 1],
    [0, -1],
    [2 ** 53, 1],
  ] as const) {
    assert.throws(
      () => readExactly(source, offset, length, 'too much'),
      (error) => isExhumeError(error, 'EXH_TRUNCATED'),
    );
  }
}

test('memory, slices and files read alike, and never past their end', () => {
  checkSource(new MemorySource(CONTENT));
  const around = new Uint8Array(300);
  around.set(CONTENT, 150);
  checkSource(new SliceSource(new MemorySource(around), 150, 100));
  assert.equal(new SliceSource(new MemorySource(CONTENT), 90, 500).size, 10);
  const directory = mkdtempSync(join(tmpdir(), 'exhume-'));
  try {
    const path = join(directory, 'file');
    writeFileSync(path, CONTENT);
    const file = FileSource.open(path);
    checkSource(file);
    file.close();
    assert.throws(
      () => FileSource.open(directory),
      (error) => isExhumeError(error, 'EXH_IO'),
    );
    assert.throws(() => FileSource.open(join(directory, 'none')), /cannot open/);
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test('searching finds every place, also overlapping ones and at the edges', () => {
  assert.deepEqual([...findAll(bytesOf('aaabaa'), bytesOf('aa'))], [0, 1, 4]);
  assert.equal(find(bytesOf('xyz'), bytesOf('z')), 2);
  assert.equal(find(bytesOf('xyz'), bytesOf('zz')), -1);
  assert.equal(find(bytesOf('xyz'), bytesOf('')), -1);
  assert.equal(find(bytesOf('abab'), bytesOf('ab'), 1), 2);
});

test('addresses are checked, branded and printed', () => {
  assert.equal(physicalAddress(0x1000n), 0x1000);
  assert.throws(() => physicalAddress(-1), ExhumeError);
  assert.throws(() => physicalAddress(2 ** 52), ExhumeError);
  assert.throws(() => pfn(1.5), ExhumeError);
  assert.equal(virtualAddress(-1n), 0xffffffffffffffffn);
  assert.equal(hex(-0x39200000n), '-0x39200000');
  assert.equal(hex16(0xfff), '0000000000000fff');
});
