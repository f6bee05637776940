import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Pfn } from '../bytes/address.js';
import { MemorySource } from '../bytes/byte-source.js';
import { COMPRESSION_METHODS } from '../codecs/codec.js';
import { nodeDecoders, nodeEncoder } from '../codecs/node.js';
import { PAGE_COMPRESSION } from '../dump/diskdump-memory.js';
import type { PhysicalMemory } from '../dump/memory.js';
import { openDump } from '../dump/open.js';
import { PageBitmap } from '../dump/page-bitmap.js';
import { ZERO_PAGE } from '../dump/page-chunk.js';
import { type WrittenPage, writeKdump } from '../dump/testing/kdump-writer.js';
import { numberedPage } from '../dump/testing/sources.js';
import { Random } from '../testing/random.js';
import { openSample } from '../testing/sample.js';
import { PageWorker } from './page-worker.js';
import { FOUND, type Packed, type PackSettings, packBufferBytes, packedChunk, runsOf, type Scanned } from './tasks.js';

const PLAIN: PackSettings = { method: undefined, level: undefined, passThrough: false, blank: new Float64Array() };

function pack(memory: PhysicalMemory, settings: PackSettings, ...runs: number[]) {
  const worker = new PageWorker(memory);
  worker.configure(settings, settings.method === undefined ? undefined : nodeEncoder(settings.method, settings.level));
  const buffer = new ArrayBuffer(packBufferBytes(256, 4096));
  const packed = worker.run({ kind: 'pack', runs: Float64Array.from(runs), buffer }) as Packed;
  const chunk = packedChunk(packed, 4096);
  let at = 0;
  const pages = Array.from(chunk.pfns, (pfn, i) => {
    const bytes = chunk.data.subarray(at, at + (chunk.sizes[i] as number));
    at += bytes.length;
    return { pfn, flags: chunk.flags[i] as number, bytes };
  });
  return { pages, lost: packed.lost };
}

function unpacked({ flags, bytes }: { flags: number; bytes: Uint8Array }): Uint8Array {
  const page = new Uint8Array(4096);
  if (flags === ZERO_PAGE) return page;
  const method = PAGE_COMPRESSION.find(([flag]) => flag === flags)?.[1];
  if (method === undefined) return bytes;
  nodeDecoders[method](bytes, page);
  return page;
}

/** Pages 3 to 8, of which 5 is zero, 6 not in the file, and 7 broken. */
function smallDump(): PhysicalMemory {
  const random = new Random(1);
  const noise = Uint8Array.from({ length: 4096 }, () => random.below(256));
  const bytes = writeKdump({
    layout: '64-bit',
    littleEndian: true,
    version: 6,
    maxMapnr: 10,
    pages: new Map<number, WrittenPage | 'lost'>([
      [3, { flags: 0, data: numberedPage(3) }],
      [4, { flags: 0, data: noise }],
      [5, { flags: 0, data: new Uint8Array(4096) }],
      [6, 'lost'],
      [7, { flags: 1, data: Uint8Array.of(9, 9, 9) }],
      [8, { flags: 0, data: numberedPage(8) }],
    ]),
  });
  return openDump([new MemorySource(bytes)]).memory;
}

for (const method of [undefined, ...COMPRESSION_METHODS]) {
  test(`pages are packed so that they can be unpacked: ${method ?? 'not compressed'}`, () => {
    const { memory } = openSample().container;
    const { pages, lost } = pack(memory, { ...PLAIN, method }, 256, 100, 9216, 50);
    assert.deepEqual(lost, []);
    assert.deepEqual(
      pages.map(({ pfn }) => pfn),
      [...Array.from({ length: 100 }, (_, i) => 256 + i), ...Array.from({ length: 50 }, (_, i) => 9216 + i)],
    );
    for (const page of pages) assert.deepEqual(unpacked(page), memory.page(page.pfn as Pfn), `page ${page.pfn}`);
  });
}

test('what cannot be compressed stays as it is, zeros have no bytes, what cannot be read is told', () => {
  const { pages, lost } = pack(smallDump(), { ...PLAIN, method: 'zlib' }, 3, 6);
  assert.deepEqual(lost, [6, 7]);
  assert.deepEqual(
    pages.map(({ pfn, flags }) => [pfn, flags]),
    [
      [3, 1],
      [4, 0],
      [5, ZERO_PAGE],
      [8, 1],
    ],
  );
});

test('a page that is stored as wanted is passed on as it is, and only such a page', () => {
  const { memory } = openSample().container;
  const { pages } = pack(memory, { ...PLAIN, method: 'zlib', passThrough: true }, 9300, 200);
  let passed = 0;
  for (const page of pages) {
    const stored = memory.storedPage(page.pfn as Pfn);
    assert.deepEqual(unpacked(page), memory.page(page.pfn as Pfn));
    if (page.flags === ZERO_PAGE || typeof stored !== 'object') continue;
    if (stored.bytes.length > 256) {
      assert.deepEqual(page.bytes, stored.bytes);
      passed++;
    }
  }
  assert.ok(passed > 50, `${passed}`);
  const { pages: others } = pack(smallDump(), { ...PLAIN, passThrough: true }, 3, 6);
  assert.deepEqual(
    others.map(({ pfn, flags }) => [pfn, flags]),
    [
      [3, 0],
      [4, 0],
      [5, ZERO_PAGE],
      [8, 0],
    ],
  );
});

test('what is to be blank is zeros in the new dump, and nothing beside it', () => {
  for (const passThrough of [false, true]) {
    const blank = Float64Array.of(0, 4096, 3 * 4096 + 100, 4 * 4096 + 10, 8 * 4096, 9 * 4096);
    const { pages } = pack(smallDump(), { ...PLAIN, passThrough, blank }, 3, 2, 8, 1);
    const expected = numberedPage(3);
    expected.fill(0, 100);
    assert.deepEqual(pages[0]?.bytes, expected);
    assert.deepEqual([...(pages[1]?.bytes.subarray(0, 10) ?? [])], Array(10).fill(0));
    assert.deepEqual(pages[1]?.bytes.subarray(10), (smallDump().page(4 as Pfn) as Uint8Array).subarray(10));
    assert.equal(pages[2]?.flags, ZERO_PAGE);
  }
});

test('a scan finds zeros and lost pages; a thorough one broken data, too', () => {
  const scan = (memory: PhysicalMemory, thorough: boolean, ...runs: number[]) =>
    (new PageWorker(memory).run({ kind: 'scan', runs: Float64Array.from(runs), thorough }) as Scanned).findings;
  const { content, zero, lost } = FOUND;
  assert.deepEqual([...scan(smallDump(), true, 3, 6)], [content, content, zero, lost, lost, content]);
  assert.deepEqual([...scan(smallDump(), false, 3, 3, 8, 1)], [content, content, zero, content]);
  const { memory } = openSample().container;
  for (const thorough of [false, true]) {
    const findings = scan(memory, thorough, 4096, 600);
    for (let i = 0; i < findings.length; i++) {
      const page = memory.page((4096 + i) as Pfn);
      if (typeof page !== 'string')
        assert.equal(
          findings[i] === zero,
          page.every((byte) => byte === 0),
        );
    }
  }
});

test('tasks have the pages of a bitmap, in order, each once', () => {
  const bitmap = PageBitmap.empty(1000);
  bitmap.addRange(3, 10);
  bitmap.addRange(20, 400);
  bitmap.add(999);
  const tasks = [...runsOf(bitmap, 100)];
  assert.deepEqual(tasks[0], Float64Array.of(3, 7, 20, 93));
  assert.deepEqual(tasks.at(-1), Float64Array.of(313, 87, 999, 1));
  assert.equal(tasks.length, 4);
  assert.deepEqual([...runsOf(bitmap, 100, 5, 25)], [Float64Array.of(5, 5, 20, 5)]);
});
