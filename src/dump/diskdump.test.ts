import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import type { Pfn } from '../bytes/address.js';
import { MemorySource } from '../bytes/byte-source.js';
import { isExhumeError } from '../bytes/errors.js';
import type { Container } from './container.js';
import { openDump } from './open.js';
import { writeNote } from './testing/elf-writer.js';
import { recordsOf, writeFlattened } from './testing/flattened-writer.js';
import { type KdumpSpec, type WrittenPage, writeKdump } from './testing/kdump-writer.js';
import { numberedPage } from './testing/sources.js';

const codecFixtures = new URL('../../../src/codecs/fixtures/', import.meta.url);
const bin = new Uint8Array(readFileSync(new URL('pages.bin', codecFixtures)));
type Part = { readonly offset: number; readonly size: number };
const realPages = JSON.parse(readFileSync(new URL('pages.json', codecFixtures), 'utf8')) as Readonly<
  Record<'raw' | 'zlib' | 'lzo1x' | 'snappy' | 'zstd', Part>
>[];
const cut = ({ offset, size }: Part) => bin.slice(offset, offset + size);

const FLAGS = [
  ['raw', 0],
  ['zlib', 1],
  ['lzo1x', 2],
  ['snappy', 4],
  ['zstd', 0x20],
] as const;

const notes = writeNote('CORE', 1, new Uint8Array(336).fill(3));
const vmcoreinfo = new TextEncoder().encode('OSRELEASE=6.1.0\nPAGESIZE=4096\n');

/** Every method, over pages that lie apart; all zero pages share one; one page lost, two excluded. */
function spec(changes: Partial<KdumpSpec> = {}): KdumpSpec {
  const pages = new Map<number, WrittenPage | 'lost'>();
  realPages.forEach((page, i) => {
    const [method, flags] = FLAGS[i % FLAGS.length] as (typeof FLAGS)[number];
    pages.set(16 + i * 7, { flags, data: cut(page[method]) });
  });
  const zero = new Uint8Array(4096);
  for (const pfn of [200, 201, 5000]) pages.set(pfn, { flags: 0, data: zero });
  pages.set(300, 'lost');
  const littleEndian = changes.littleEndian ?? true;
  return {
    layout: '64-bit',
    littleEndian,
    version: 6,
    maxMapnr: 40_000,
    excluded: [400, 39_999],
    pages,
    notes: writeNote('CORE', 1, new Uint8Array(336).fill(3), littleEndian),
    vmcoreinfo,
    physBase: -0x2000000n,
    ...changes,
  };
}

const open = (bytes: Uint8Array, ...more: Uint8Array[]) =>
  openDump([bytes, ...more].map((one, i) => new MemorySource(one, `dump${i}`)));
const state = (container: Container, pfn: number) => container.memory.state(pfn as Pfn);
const page = (container: Container, pfn: number) => container.memory.page(pfn as Pfn);

function checkContent(container: Container): void {
  realPages.forEach((real, i) => {
    assert.equal(state(container, 16 + i * 7), 'present');
    assert.deepEqual(page(container, 16 + i * 7), cut(real.raw), `page ${16 + i * 7}`);
  });
  for (const pfn of [200, 201, 5000]) assert.deepEqual(page(container, pfn), new Uint8Array(4096));
  assert.equal(page(container, 300), 'lost');
  assert.equal(state(container, 300), 'lost');
  for (const pfn of [0, 15, 17, 202, 38_000, 40_000, 2 ** 40])
    assert.equal(page(container, pfn), 'absent', `page ${pfn}`);
}

const LAYOUTS = ['64-bit', '32-bit packed', '32-bit aligned'] as const;
const MACHINES = { '64-bit': 'x86_64', '32-bit packed': 'i686', '32-bit aligned': 'armv7l' } as const;

for (const layout of LAYOUTS) {
  for (const littleEndian of [true, false]) {
    test(`${layout}, ${littleEndian ? 'little' : 'big'}-endian: header versions 1 to 6`, () => {
      for (let version = 1; version <= 6; version++) {
        const container = open(writeKdump(spec({ layout, littleEndian, version, machine: MACHINES[layout] })));
        assert.deepEqual(container.damage, []);
        assert.equal(container.wordBits, layout === '64-bit' ? 64 : 32);
        assert.equal(container.littleEndian, littleEndian);
        assert.equal(container.claimedMachine, MACHINES[layout]);
        assert.equal(container.claimedPhysBase, layout === '64-bit' ? -0x2000000n : 0xfe000000n);
        assert.equal(container.description, `kdump-compressed, header version ${version}, ${container.wordBits}-bit`);
        checkContent(container);
        assert.deepEqual(container.damage, []);
        for (const pfn of [400, 39_999]) assert.equal(page(container, pfn), 'excluded');
        assert.deepEqual(
          container.notes.map((note) => [note.name, note.type, note.description.length]),
          version >= 4 ? [['CORE', 1, 336]] : [],
        );
        assert.deepEqual(container.vmcoreinfo, version >= 3 ? vmcoreinfo : undefined);
        const names = container.facts.map((fact) => fact.name);
        assert.equal(names.includes('dump_level'), true);
        assert.equal(names.includes('split'), version >= 2);
        assert.equal(names.includes('offset_eraseinfo'), version >= 5);
        assert.equal(names.includes('max_mapnr_64'), version >= 6);
      }
    });
  }
}

test('QEMU packs the sub header for all 32-bit machines', () => {
  const container = open(writeKdump(spec({ layout: '32-bit packed', machine: 'armv7l' })));
  assert.deepEqual(container.vmcoreinfo, vmcoreinfo);
  assert.equal(container.facts.find((fact) => fact.name === 'sub header layout')?.value, '32-bit packed');
});

test('the older signature, without a sub header of kdump', () => {
  const container = open(writeKdump(spec({ signature: 'DISKDUMP', version: 1, status: 0 })));
  assert.match(container.description, /^diskdump/);
  assert.equal(container.claimedPhysBase, undefined);
  checkContent(container);
});

test('with one bitmap nothing is known to be excluded', () => {
  const container = open(writeKdump(spec({ bitmaps: 1 })));
  checkContent(container);
  assert.equal(page(container, 400), 'absent');
});

test('pages of 64 KiB', () => {
  const pages = new Map([5, 70, 1000].map((pfn) => [pfn, { flags: 0, data: numberedPage(pfn, 65536) }]));
  const container = open(writeKdump(spec({ blockSize: 65536, maxMapnr: 1200, excluded: [6], pages })));
  assert.equal(container.memory.pageSize, 65536);
  for (const pfn of pages.keys()) assert.deepEqual(page(container, pfn), numberedPage(pfn, 65536));
  assert.equal(page(container, 6), 'excluded');
});

test('ranges: all RAM, and the part of it that is in the file', () => {
  const pages = new Map([1, 2, 3, 5].map((pfn) => [pfn, { flags: 0, data: numberedPage(pfn) }]));
  const { memory } = open(writeKdump(spec({ pages, excluded: [4, 39_999] })));
  const inPages = (ranges: readonly { start: number; end: number }[]) =>
    ranges.map(({ start, end }) => [start / 4096, end / 4096]);
  assert.deepEqual(inPages(memory.ranges()), [
    [1, 6],
    [39_999, 40_000],
  ]);
  assert.deepEqual(inPages(memory.presentRanges()), [
    [1, 4],
    [5, 6],
  ]);
});

test('a bitmap of millions of holes gives ranges that are bounded and cover all of it', () => {
  const bytes = writeKdump(spec({ maxMapnr: 4_000_000, pages: new Map(), excluded: [] }));
  const bitmapBytes = Math.ceil(500_000 / 4096) * 4096;
  bytes.fill(0x55, 8192, 8192 + bitmapBytes);
  const ranges = open(bytes).memory.ranges();
  assert.ok(ranges.length <= 65_536);
  assert.equal(ranges[0]?.start, 0);
  assert.equal(ranges.at(-1)?.end, 3_999_999 * 4096);
});

function splitSet(more: Partial<KdumpSpec> = {}): Uint8Array[] {
  return (
    [
      [0, 60],
      [60, 201],
      [201, 40_000],
    ] as const
  ).map((split) => writeKdump(spec({ ...more, split })));
}

test('a split set opens in any order, and is the dump it was cut from', () => {
  const [first, second, third] = splitSet() as [Uint8Array, Uint8Array, Uint8Array];
  for (const files of [
    [first, second, third],
    [third, first, second],
  ] as const) {
    const container = open(...(files as [Uint8Array, Uint8Array, Uint8Array]));
    assert.deepEqual(container.damage, []);
    assert.equal(container.incomplete, false);
    assert.equal(container.files.length, 3);
    checkContent(container);
    assert.equal(page(container, 400), 'excluded');
  }
});

test('split sets of 32-bit machines and of header version 2', () => {
  for (const layout of LAYOUTS) {
    for (const version of [2, 5, 6]) {
      const files = splitSet({ layout, version, littleEndian: version !== 5 }) as [Uint8Array, ...Uint8Array[]];
      const container = open(...files);
      assert.deepEqual(container.damage, []);
      checkContent(container);
    }
  }
});

test('a missing member of a split set: its pages are lost, the rest is there', () => {
  const [first, , third] = splitSet() as [Uint8Array, Uint8Array, Uint8Array];
  const container = open(third, first);
  assert.equal(container.damage[0]?.part, 'split set');
  assert.equal(container.incomplete, true);
  assert.equal(page(container, 200), 'lost');
  assert.deepEqual(page(container, 201), new Uint8Array(4096));
  assert.equal(page(container, 400), 'excluded');
  assert.equal(page(container, 199), 'absent');
});

test('files that are no set are a usage error', () => {
  const [first, second] = splitSet() as [Uint8Array, Uint8Array];
  const whole = writeKdump(spec());
  const other = writeKdump(spec({ split: [60, 40_000], maxMapnr: 50_000 }));
  for (const files of [
    [first, first],
    [whole, whole],
    [first, whole],
    [first, other],
    [first, new Uint8Array(8192)],
    [second, first, second],
  ] as [Uint8Array, ...Uint8Array[]][]) {
    assert.throws(
      () => open(...files),
      (error) => isExhumeError(error, 'EXH_USAGE'),
    );
  }
});

test('a dump whose writer ran out of space says so', () => {
  const container = open(writeKdump(spec({ status: 0x9 })));
  assert.equal(container.incomplete, true);
  assert.equal(container.damage[0]?.code, 'EXH_TRUNCATED');
  assert.match(String(container.facts.find((fact) => fact.name === 'status')?.note), /incomplete/);
});

test('cut anywhere, every page is right, lost, excluded or absent', () => {
  const whole = writeKdump(spec());
  const reference = open(whole);
  const pfns = [...spec().pages.keys(), 400, 17];
  const states = new Set<string>();
  for (let length = 4200; length < whole.length; length += 997) {
    const container = open(whole.subarray(0, length));
    for (const pfn of pfns) {
      const got = page(container, pfn);
      if (typeof got === 'string') states.add(got);
      else assert.deepEqual(got, page(reference, pfn));
    }
  }
  assert.deepEqual([...states].sort(), ['absent', 'excluded', 'lost']);
});

test('a file that is cut off behind its descriptors says so when it is opened', () => {
  const whole = writeKdump(spec());
  assert.equal(open(whole).incomplete, false);
  for (const length of [whole.length - 1, whole.length - 5000, 8192 + 2 * 8192 + 100]) {
    const container = open(whole.subarray(0, length));
    assert.equal(container.incomplete, true, `cut at ${length}`);
    assert.equal(container.damage[0]?.code, 'EXH_TRUNCATED');
  }
});

test('pages that were given to keep stay as they were when the cache has room for two only', () => {
  const container = openDump([new MemorySource(writeKdump(spec()))], { cacheBytes: 12_000 });
  const kept = realPages.map((_, i) => page(container, 16 + i * 7));
  for (let round = 0; round < 3; round++) {
    realPages.forEach((real, i) => {
      assert.deepEqual(container.memory.peek((16 + i * 7) as Pfn), cut(real.raw), `page ${16 + i * 7}`);
    });
  }
  realPages.forEach((real, i) => {
    assert.deepEqual(kept[i], cut(real.raw), `page ${16 + i * 7}`);
  });
});

test('a descriptor that cannot be is told once', () => {
  const pages = new Map([10, 11].map((pfn) => [pfn, { flags: 0, data: new Uint8Array(9000) }]));
  const container = open(writeKdump(spec({ pages })));
  for (const pfn of [10, 11, 10]) assert.equal(page(container, pfn), 'lost');
  assert.deepEqual(
    container.damage.map(({ code, part }) => [code, part]),
    [['EXH_BAD_PAGE', 'pages']],
  );
});

test('broken pages are lost and told, each once, and the list stays short', () => {
  const junk = new Uint8Array(50).fill(0xee);
  const pages = new Map<number, WrittenPage>();
  for (let pfn = 0; pfn < 300; pfn++) pages.set(pfn, { flags: [1, 2, 4, 0x20, 0][pfn % 5] as number, data: junk });
  for (let pfn = 0; pfn < 300; pfn++)
    pages.set(pfn, { flags: [1, 2, 4, 0x20, 0][pfn % 5] as number, data: junk.slice() });
  const container = open(writeKdump(spec({ pages })));
  for (let pfn = 0; pfn < 300; pfn++) assert.equal(page(container, pfn), 'lost');
  assert.ok(container.damage.length <= 64);
  assert.match(container.damage.at(-1)?.message ?? '', /more like these/);
});

test('flattened around it: the same dump, the same notes', () => {
  const whole = writeKdump(spec());
  const records = recordsOf(whole, 1000).reverse();
  const container = open(writeFlattened(records));
  assert.equal(container.flattened, true);
  assert.deepEqual(container.damage, []);
  checkContent(container);
  assert.deepEqual(container.facts, open(whole).facts);
  assert.deepEqual(container.notes, open(whole).notes);
});

test('flattened and cut off: what its records do not hold is lost, not zero', () => {
  // The zero page is stored as it is, so taking the gap for content would not be noticed by a decoder.
  const pages = new Map([10, 11, 12].map((pfn) => [pfn, { flags: 0, data: numberedPage(pfn) }]));
  const whole = writeKdump(spec({ pages }));
  const records = recordsOf(whole, 4096);
  const last = records.pop();
  assert.ok(last !== undefined);
  const withoutMiddle = [...records.slice(0, -1), last];
  const container = open(writeFlattened(withoutMiddle, { end: false }));
  assert.equal(container.incomplete, true);
  const found = [10, 11, 12].map((pfn) => page(container, pfn));
  assert.ok(found.includes('lost'));
  found.forEach((got, i) => {
    if (typeof got !== 'string') assert.deepEqual(got, numberedPage(10 + i));
  });
});

test('a live list: damage found while reading shows in a flattened dump too', () => {
  const pages = new Map([[10, { flags: 1, data: new Uint8Array(40).fill(1) }]]);
  const container = open(writeFlattened(recordsOf(writeKdump(spec({ pages })), 500), { end: false }));
  const before = container.damage.length;
  assert.equal(page(container, 10), 'lost');
  assert.equal(container.damage.length, before + 1);
});

test('notes that are named to be where they are not', () => {
  const bytes = writeKdump(spec({ notes }));
  new DataView(bytes.buffer).setBigUint64(4096 + 48, BigInt(bytes.length - 10), true);
  const container = open(bytes);
  assert.ok(container.damage.some((damage) => damage.part === 'notes' && damage.code === 'EXH_TRUNCATED'));
  checkContent(container);
});
