import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import type { Pfn } from '../bytes/address.js';
import { MemorySource } from '../bytes/byte-source.js';
import { isExhumeError } from '../bytes/errors.js';
import type { Container } from './container.js';
import { openDump } from './open.js';
import { type ElfSpec, type WrittenSegment, writeElf, writeNote } from './testing/elf-writer.js';
import { recordsOf, writeFlattened } from './testing/flattened-writer.js';
import { numberedPage } from './testing/sources.js';

const open = (bytes: Uint8Array, options = {}) => openDump([new MemorySource(bytes, 'core')], options);
const page = (container: Container, pfn: number) => container.memory.page(pfn as Pfn);
const state = (container: Container, pfn: number) => container.memory.state(pfn as Pfn);

function pagesFrom(first: number, count: number): Uint8Array {
  return Uint8Array.from(Array.from({ length: count }, (_, i) => [...numberedPage(first + i)]).flat());
}

function load(first: number, count: number, more: Partial<WrittenSegment> = {}): WrittenSegment {
  return { type: 1, physical: BigInt(first) * 4096n, data: pagesFrom(first, count), ...more };
}

const vmcoreinfo = new TextEncoder().encode('OSRELEASE=6.1.0\nPAGESIZE=4096\n');

function spec(segments: readonly WrittenSegment[], more: Partial<ElfSpec> = {}): ElfSpec {
  return { wordBits: 64, littleEndian: true, machine: 62, segments, ...more };
}

for (const wordBits of [64, 32] as const) {
  for (const littleEndian of [true, false]) {
    test(`ELF${wordBits}, ${littleEndian ? 'little' : 'big'}-endian: pages, notes and absent memory`, () => {
      const note: WrittenSegment = {
        type: 4,
        physical: 0n,
        data: Uint8Array.from([
          ...writeNote('CORE', 1, new Uint8Array(336), littleEndian),
          ...writeNote('VMCOREINFO', 0, vmcoreinfo, littleEndian),
        ]),
      };
      // A note of odd length makes the offsets of what follows unaligned, as in QEMU's files.
      const odd = { ...note, data: Uint8Array.from([...note.data, 0, 0]) };
      const machine = wordBits === 64 ? 62 : 3;
      const container = open(writeElf(spec([odd, load(0, 3), load(0xfffc0, 2)], { wordBits, littleEndian, machine })));
      assert.deepEqual(container.damage, []);
      assert.equal(container.claimedMachine, wordBits === 64 ? 'x86_64' : 'i686');
      assert.equal(container.littleEndian, littleEndian);
      assert.deepEqual(container.vmcoreinfo, vmcoreinfo);
      for (const pfn of [0, 1, 2, 0xfffc0, 0xfffc1]) assert.deepEqual(page(container, pfn), numberedPage(pfn));
      for (const pfn of [3, 0xfffbf, 0xfffc2]) assert.equal(page(container, pfn), 'absent');
      assert.deepEqual(container.memory.ranges(), [
        { start: 0, end: 3 * 4096 },
        { start: 0xfffc0000, end: 0xfffc2000 },
      ]);
      assert.deepEqual(container.spans, []);
    });
  }
}

test('the tail that is in memory but not in the file is excluded', () => {
  const container = open(
    writeElf(spec([load(10, 2, { memorySize: 5 * 4096 }), load(20, 0, { memorySize: 4096, offset: 1n << 40n })])),
  );
  assert.deepEqual(container.damage, []);
  assert.deepEqual(page(container, 11), numberedPage(11));
  for (const pfn of [12, 14, 20]) assert.equal(page(container, pfn), 'excluded');
  assert.equal(page(container, 15), 'absent');
  assert.deepEqual(container.memory.presentRanges(), [{ start: 10 * 4096, end: 12 * 4096 }]);
});

test('segments behind the end of the file are lost', () => {
  const whole = writeElf(spec([load(0, 2), load(100, 2)]));
  const container = open(whole.subarray(0, whole.length - 4096 - 1));
  assert.equal(container.incomplete, true);
  assert.equal(container.damage[0]?.code, 'EXH_TRUNCATED');
  assert.deepEqual(page(container, 1), numberedPage(1));
  for (const pfn of [100, 101]) assert.equal(page(container, pfn), 'lost');
  assert.equal(state(container, 101), 'lost');
});

test('overlapping segments: bytes in the file win over bytes that are not, then the earlier segment', () => {
  const second = load(2, 3, { data: pagesFrom(1002, 3) });
  const container = open(writeElf(spec([load(0, 4, { memorySize: 8 * 4096 }), second])));
  for (const pfn of [0, 1, 2, 3]) assert.deepEqual(page(container, pfn), numberedPage(pfn));
  assert.deepEqual(page(container, 4), numberedPage(1004));
  assert.equal(page(container, 5), 'excluded');
  assert.match(String(container.facts.find((fact) => fact.name === 'PT_LOAD')?.note), /overlapping/);
});

test('a page of which a part is RAM has zeros in the rest; a page of two segments is put together', () => {
  const half = pagesFrom(7, 1).subarray(0, 0xc00);
  const container = open(
    writeElf(
      spec([
        { type: 1, physical: 7n * 4096n, data: half },
        { type: 1, physical: 9n * 4096n, data: half },
        { type: 1, physical: 9n * 4096n + 0xc00n, data: pagesFrom(8, 1).subarray(0, 0x400) },
        { type: 1, physical: 11n * 4096n, data: half, memorySize: 4096 },
      ]),
    ),
  );
  const expected = new Uint8Array(4096);
  expected.set(half);
  assert.deepEqual(page(container, 7), expected);
  expected.set(pagesFrom(8, 1).subarray(0, 0x400), 0xc00);
  assert.deepEqual(page(container, 9), expected);
  assert.equal(page(container, 11), 'excluded');
});

test('more than 65,535 segments, counted in section header 0', () => {
  const one = new Uint8Array(16).fill(0x5a);
  const segments = Array.from(
    { length: 70_000 },
    (_, i): WrittenSegment => ({ type: 1, physical: BigInt(i) * 8192n, data: one, memorySize: 4096 }),
  );
  segments[69_999] = load(200_000, 1);
  const bytes = writeElf(spec(segments, { extended: true }));
  const started = performance.now();
  const container = open(bytes);
  assert.ok(performance.now() - started < 20_000);
  assert.deepEqual(container.damage, []);
  assert.deepEqual(page(container, 200_000), numberedPage(200_000));
  assert.equal(page(container, 2 * 69_998), 'excluded');
  assert.equal(page(container, 2 * 69_998 + 1), 'absent');
  assert.equal(container.facts.find((fact) => fact.name === 'PT_LOAD')?.value, 70_000);
  assert.ok(container.structures.length <= 1002);
  assert.ok(container.structures.some((struct) => struct.name === 'Elf64_Shdr'));
});

test('program headers that the file does not hold are damage', () => {
  const bytes = writeElf(spec([load(0, 1), load(5, 1)]));
  new DataView(bytes.buffer).setUint16(56, 400, true);
  const container = open(bytes);
  assert.ok(container.damage.some((damage) => damage.part === 'program headers'));
  assert.equal(container.incomplete, true);
  assert.deepEqual(page(container, 5), numberedPage(5));
});

test('makedumpfile’s mark of an incomplete file', () => {
  const container = open(writeElf(spec([load(0, 1), { type: 0, physical: 0n, data: new Uint8Array() }], { flags: 1 })));
  assert.equal(container.incomplete, true);
  assert.match(container.damage[0]?.message ?? '', /1 segments of memory are not even described/);
});

test('virtual addresses of the file are kept as spans; a p_paddr of all ones is none', () => {
  const container = open(
    writeElf(
      spec([
        load(1, 1, { virtual: 0xffff888000001000n }),
        { type: 1, physical: -1n, virtual: 0xffffc90000000000n, data: new Uint8Array(4096) },
      ]),
    ),
  );
  assert.deepEqual(
    container.spans.map(({ virtual, physical }) => [virtual, physical]),
    [
      [0xffff888000001000n, 4096],
      [0xffffc90000000000n, undefined],
    ],
  );
  assert.deepEqual(container.memory.ranges(), [{ start: 4096, end: 8192 }]);
});

test('an old kcore without physical addresses: the direct map tells them', () => {
  const container = open(
    writeElf(
      spec([
        { type: 1, physical: 0n, virtual: 0xffffffff81000000n, data: new Uint8Array(4096) },
        { type: 1, physical: 0n, virtual: 0xffffc90000000000n, data: new Uint8Array(), memorySize: 2 ** 45 },
        { type: 1, physical: 0n, virtual: 0xffff880000001000n, data: pagesFrom(1, 2) },
        { type: 1, physical: 0n, virtual: 0xffff880000100000n, data: pagesFrom(256, 2) },
      ]),
    ),
  );
  for (const pfn of [1, 2, 256, 257]) assert.deepEqual(page(container, pfn), numberedPage(pfn));
  assert.equal(page(container, 3), 'absent');
  assert.equal(container.facts.find((fact) => fact.name === 'direct map')?.value, '0xffff880000000000');
});

test('ELF files that are no cores of kernels are named', () => {
  const cases: [string, Uint8Array][] = [
    ['ELF file that is no core', writeElf(spec([load(0, 1)], { type: 2 }))],
    ['Xen core', writeElf(spec([]))],
    [
      'process core',
      writeElf(
        spec([
          { type: 4, physical: 0n, data: writeNote('CORE', 6, new Uint8Array(320)) },
          { type: 1, physical: 0n, virtual: 0x400000n, data: new Uint8Array(4096) },
          { type: 1, physical: 0n, virtual: 0x7f0000000000n, data: new Uint8Array(4096) },
        ]),
      ),
    ],
  ];
  for (const [format, bytes] of cases) {
    assert.throws(
      () => open(bytes),
      (error) => isExhumeError(error, 'EXH_UNSUPPORTED_FORMAT') && error.data['format'] === format,
    );
  }
});

test('the size of a page is taken from VMCOREINFO', () => {
  const note = writeNote('VMCOREINFO', 0, new TextEncoder().encode('PAGESIZE=65536\n'));
  const container = open(writeElf(spec([{ type: 4, physical: 0n, data: note }, load(0, 16)], { machine: 183 })));
  assert.equal(container.memory.pageSize, 65536);
  assert.deepEqual(page(container, 0), pagesFrom(0, 16));
});

test('flattened around an ELF core whose header comes last', () => {
  const whole = writeElf(spec([load(0, 3)]));
  const container = open(writeFlattened(recordsOf(whole, 777).reverse()));
  assert.equal(container.flattened, true);
  assert.deepEqual(page(container, 2), numberedPage(2));
});

test('a live source is named, and never cached', () => {
  const bytes = writeElf(spec([load(0, 1)]));
  const container = open(bytes, { live: true });
  assert.deepEqual(page(container, 0), numberedPage(0));
  bytes.fill(0x77, bytes.length - 4096);
  assert.deepEqual(page(container, 0), new Uint8Array(4096).fill(0x77));
  const special = {
    name: 'special',
    size: Number.MAX_SAFE_INTEGER,
    read: (at: number, into: Uint8Array) => new MemorySource(bytes).read(at, into),
  };
  assert.throws(
    () => openDump([special]),
    (error) => isExhumeError(error, 'EXH_USAGE'),
  );
});

test('the real headers of /proc/kcore: RAM is found where its segments say, vmalloc is no physical memory', () => {
  const head = new Uint8Array(readFileSync(new URL('../../../src/dump/fixtures/kcore.elf', import.meta.url)));
  // From the program headers: the kernel's text, RAM at 0x1000 and 0x100000, and where kcore shows them.
  const ram = [
    { physical: 0x5400000, size: 0x2830000, offset: 0x7fff9b003000 },
    { physical: 0x1000, size: 0x9e000, offset: 0xd9100004000 },
    { physical: 0x100000, size: 0xfedd000, offset: 0xd9100103000 },
  ];
  const kcore = {
    name: '/proc/kcore',
    size: 140_737_471_590_400,
    read(offset: number, into: Uint8Array): number {
      if (offset < head.length) return new MemorySource(head).read(offset, into);
      const area = ram.find((one) => offset >= one.offset && offset + into.length <= one.offset + one.size);
      assert.ok(area !== undefined, `read of ${into.length} at ${offset.toString(16)}`);
      into.set(numberedPage((area.physical + offset - area.offset) / 4096));
      return into.length;
    },
  };
  const container = openDump([kcore], { live: true });
  assert.match(container.description, /of the running kernel/);
  assert.deepEqual(container.damage, []);
  for (const pfn of [1, 0x9e, 0x100, 0x5000, 0x5400, 0xffdc]) assert.deepEqual(page(container, pfn), numberedPage(pfn));
  for (const pfn of [0, 0x9f, 0xff, 0xffdd]) assert.equal(page(container, pfn), 'absent');
  assert.equal(container.spans.filter((span) => span.physical === undefined).length, 4);
});

test('with five levels of page tables, offsets in /proc/kcore have 56 bits: they are exact, being of whole pages', () => {
  // Where a guest had its memory: 0x262ad740103000 and, beyond, the kernel's own text at 0xffffff81c03000.
  const pages = [
    { first: 0x100, offset: 0x262ad740103000n },
    { first: 0x25000, offset: 0xffffff81c03000n },
  ];
  const head = writeElf(spec(pages.map(({ first }) => load(first, 16))));
  const view = new DataView(head.buffer, head.byteOffset);
  pages.forEach(({ offset }, index) => {
    view.setBigUint64(64 + index * 56 + 8, offset, true);
  });
  const kcore = {
    name: '/proc/kcore',
    size: 72_057_594_021_163_010,
    read(offset: number, into: Uint8Array): number {
      if (offset < 4096) return new MemorySource(head).read(offset, into);
      const area = pages.find((one) => BigInt(offset) >= one.offset && BigInt(offset) < one.offset + 65536n);
      assert.ok(area !== undefined && into.length === 4096, `read of ${into.length} at ${offset.toString(16)}`);
      into.set(numberedPage(area.first + Number((BigInt(offset) - area.offset) / 4096n)));
      return into.length;
    },
  };
  const container = openDump([kcore], { live: true });
  assert.deepEqual(container.damage, []);
  for (const pfn of [0x100, 0x101, 0x10f, 0x25000, 0x2500f]) assert.deepEqual(page(container, pfn), numberedPage(pfn));
});
