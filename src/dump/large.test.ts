import assert from 'node:assert/strict';
import { closeSync, ftruncateSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { Pfn } from '../bytes/address.js';
import { FileSource } from '../bytes/node.js';
import { Random } from '../testing/random.js';
import { openDump } from './open.js';
import { writeKdump } from './testing/kdump-writer.js';
import { CountingSource, numberedPage } from './testing/sources.js';

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

/** Bytes of arrays that are in use, without what only waits for the garbage collector. */
function heldBytes(): number {
  // What one collection frees is swept while the next one runs.
  for (let i = 0; i < 3; i++) collectGarbage();
  return process.memoryUsage().arrayBuffers;
}

const TEBIBYTE = 2 ** 40;
const PAGES = TEBIBYTE / 4096;
const BITMAP_BYTES = PAGES / 8;
const DESCRIPTORS_AT = 8192 + 2 * BITMAP_BYTES;
const BITMAPS_BLOCKS = (2 * BITMAP_BYTES) / 4096;

/**
 * A sparse file: the dump of 1 TiB of memory of which every page is in the file.
 * Only the descriptors and data of a few pages are written; the rest of the file is holes, so those pages are lost.
 */
function writeLarge(path: string, pfns: readonly number[]): void {
  const descriptor = openSync(path, 'w');
  const head = writeKdump({ layout: '64-bit', littleEndian: true, version: 6, maxMapnr: 8, pages: new Map() }).slice(
    0,
    8192,
  );
  const view = new DataView(head.buffer);
  view.setUint32(436, BITMAPS_BLOCKS, true);
  view.setUint32(440, PAGES, true);
  view.setBigUint64(4096 + 96, BigInt(PAGES), true);
  writeSync(descriptor, head, 0, head.length, 0);
  const piece = new Uint8Array(1024 * 1024).fill(0xff);
  for (let at = 0; at < 2 * BITMAP_BYTES; at += piece.length) writeSync(descriptor, piece, 0, piece.length, 8192 + at);
  const dataAt = DESCRIPTORS_AT + PAGES * 24;
  pfns.forEach((pfn, i) => {
    const description = new DataView(new ArrayBuffer(24));
    description.setBigUint64(0, BigInt(dataAt + i * 4096), true);
    description.setUint32(8, 4096, true);
    writeSync(descriptor, description, 0, 24, DESCRIPTORS_AT + pfn * 24);
    writeSync(descriptor, numberedPage(pfn), 0, 4096, dataAt + i * 4096);
  });
  ftruncateSync(descriptor, dataAt + TEBIBYTE / 4);
  closeSync(descriptor);
}

test('a page of a 1 TiB dump is found in three short reads, and in megabytes', () => {
  const directory = mkdtempSync(join(tmpdir(), 'exhume-large-'));
  try {
    const path = join(directory, 'dump');
    const random = new Random(1024);
    const pfns = [0, 1, PAGES - 1, ...Array.from({ length: 200 }, () => random.below(PAGES))];
    writeLarge(path, pfns);
    const file = FileSource.open(path);
    const source = new CountingSource(file);
    const container = openDump([source]);
    assert.deepEqual(container.damage, []);
    assert.ok(source.bytes < 512 * 1024, `opening read ${source.bytes} bytes`);

    // The first search for a page at the end counts the bitmap once, and keeps a count for 16 MiB of memory each.
    const before = heldBytes();
    source.reset();
    assert.deepEqual(container.memory.page((PAGES - 1) as Pfn), numberedPage(PAGES - 1));
    assert.ok(source.bytes < BITMAP_BYTES + 512 * 1024, `the count read ${source.bytes} bytes`);

    for (const pfn of pfns) {
      source.reset();
      assert.deepEqual(container.memory.page(pfn as Pfn), numberedPage(pfn));
      assert.ok(source.reads <= 3, `${source.reads} reads`);
      assert.ok(source.bytes <= 3 * 64 * 1024, `${source.bytes} bytes`);
      source.reset();
      assert.equal(container.memory.state(pfn as Pfn), 'present');
      assert.equal(source.reads, 0, 'what was read is kept');
    }
    for (let i = 0; i < 5000; i++) container.memory.state(random.below(PAGES) as Pfn);
    const grown = heldBytes() - before;
    assert.ok(grown < 40 * 1024 * 1024, `${grown} bytes more are held`);
    assert.equal(container.memory.page(2 as Pfn), 'lost');
    assert.deepEqual(container.memory.ranges(), [{ start: 0, end: TEBIBYTE }]);
    file.close();
  } finally {
    rmSync(directory, { recursive: true });
  }
});
