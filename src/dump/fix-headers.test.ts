import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Pfn } from '../bytes/address.js';
import { MemorySink } from '../bytes/byte-sink.js';
import { MemorySource } from '../bytes/byte-source.js';
import { isExhumeError } from '../bytes/errors.js';
import { Random } from '../testing/random.js';
import type { Container } from './container.js';
import { ELF64_HEADER } from './elf-header.js';
import { fixHeaders } from './fix-headers.js';
import { openDump } from './open.js';
import { DESCRIPTION } from './testing/copy-dump.js';
import { type ElfSpec, writeElf, writeNote } from './testing/elf-writer.js';
import { type KdumpSpec, writeKdump } from './testing/kdump-writer.js';
import { numberedPage } from './testing/sources.js';

const open = (bytes: Uint8Array): Container => openDump([new MemorySource(bytes, 'fixed')]);

/** The file with its headers fixed. */
function fixed(bytes: Uint8Array, memoryEnd?: number, description = DESCRIPTION): Uint8Array {
  const sink = new MemorySink();
  sink.write(0, bytes);
  for (const write of fixHeaders(new MemorySource(bytes, 'in'), description, memoryEnd).writes) {
    sink.write(write.offset, write.bytes);
  }
  return sink.bytes;
}

function assertSamePages(after: Container, before: Container, end: number): void {
  for (let pfn = 0; pfn < end; pfn++) {
    assert.deepEqual(after.memory.page(pfn as Pfn), before.memory.page(pfn as Pfn), `page ${pfn}`);
  }
}

/** As many bytes of notes as QEMU writes for two CPUs. */
const QEMU_NOTES = new Uint8Array([
  ...writeNote('CORE', 1, new Uint8Array(336)),
  ...writeNote('QEMU', 0, new Uint8Array(440)),
]);
const LONG = {
  ...DESCRIPTION,
  notes: [...DESCRIPTION.notes, { name: 'LONG', type: 9, description: new Uint8Array(20_000).fill(7) }],
};

/** Some pages, some excluded, and a firmware's ROM far behind them. */
function kdumpWithRom(spec: Partial<KdumpSpec> = {}): Uint8Array {
  const pfns = [1, 2, 7, 8, 9, 40_000, 300_000, 300_001];
  return writeKdump({
    layout: '64-bit',
    littleEndian: true,
    version: 6,
    machine: 'Unknown',
    maxMapnr: 300_002,
    excluded: [3, 4, 40_001],
    pages: new Map(pfns.map((pfn) => [pfn, { flags: 0, data: numberedPage(pfn) }])),
    notes: QEMU_NOTES,
    physBase: 0x16777216n,
    ...spec,
  });
}

function assertDescribed(container: Container): void {
  assert.deepEqual(container.damage, []);
  assert.equal(container.claimedMachine, 'x86_64');
  assert.equal(container.claimedPhysBase, DESCRIPTION.physBase);
  assert.deepEqual(container.vmcoreinfo, DESCRIPTION.vmcoreinfo);
  assert.deepEqual(
    container.notes.slice(0, 4).map(({ name, type, description }) => ({ name, type, description })),
    DESCRIPTION.notes,
  );
}

test('a kdump file gets a right header, and every page stays where it is', () => {
  const bytes = kdumpWithRom();
  const after = fixed(bytes);
  assertDescribed(open(after));
  assert.equal(after.length, bytes.length);
  assertSamePages(open(after), open(bytes), 300_010);
  const field = (container: Container, name: string) => container.facts.find((fact) => fact.name === name)?.value;
  for (const name of ['page descriptors', 'status', 'dump_level', 'bitmaps']) {
    assert.equal(field(open(after), name), field(open(bytes), name), name);
  }
});

test('notes that have no room before the bitmaps go to the end', () => {
  const bytes = kdumpWithRom();
  const after = fixed(bytes, undefined, LONG);
  assertDescribed(open(after));
  assert.equal(open(after).notes.length, 5);
  assertSamePages(open(after), open(bytes), 300_010);
});

test('what lies behind the memory that the kernel knows is not described any more', () => {
  const bytes = kdumpWithRom();
  const after = fixed(bytes, 65_536);
  const container = open(after);
  assertDescribed(container);
  assert.equal(container.memory.ranges().at(-1)?.end, 40_002 * 4096);
  assert.equal(container.facts.find(({ name }) => name === 'max_mapnr_64')?.value, 40_002);
  assertSamePages(container, open(bytes), 65_536);
  // Both bitmaps in two blocks each, which is where makedumpfile looks for the second one.
  assert.equal(container.facts.find(({ name }) => name === 'bitmap_blocks')?.value, 4);
});

test('bitmaps are left alone where nothing would be gained: no end known, behind it nothing, one bitmap only', () => {
  for (const [bytes, end] of [
    [kdumpWithRom(), undefined],
    [kdumpWithRom(), 300_002],
    [kdumpWithRom(), 299_000],
    [kdumpWithRom({ bitmaps: 1 }), 65_536],
  ] as const) {
    const before = open(bytes).facts.find(({ name }) => name === 'bitmap_blocks')?.value;
    assert.equal(open(fixed(bytes, end)).facts.find(({ name }) => name === 'bitmap_blocks')?.value, before);
  }
});

test('a member of a split set stays one, and keeps its pages', () => {
  const bytes = kdumpWithRom({ split: [2, 40_000] });
  const container = open(fixed(bytes, 65_536));
  const field = (name: string) => container.facts.find((fact) => fact.name === name)?.value;
  assert.deepEqual([field('split'), field('start_pfn_64'), field('end_pfn_64')], [1, 2, 40_000]);
  assertSamePages(container, open(bytes), 300_010);
});

/** As QEMU writes them: memory at an odd offset right behind the notes, two segments, no virtual addresses. */
function qemuElf(spec: Partial<ElfSpec> = {}): Uint8Array {
  const memory = new Uint8Array(20 * 4096);
  for (let pfn = 0; pfn < 20; pfn++) memory.set(numberedPage(pfn), pfn * 4096);
  return writeElf({
    wordBits: 64,
    littleEndian: true,
    machine: 62,
    segments: [
      { type: 4, physical: 0n, data: QEMU_NOTES },
      { type: 1, physical: 0n, data: memory },
      { type: 1, physical: 0xfffc0000n, data: numberedPage(9), memorySize: 8192 },
    ],
    ...spec,
  });
}

for (const [what, description, moved] of [
  ['notes that fit', { ...DESCRIPTION, notes: DESCRIPTION.notes.slice(0, 1) }, 0],
  ['notes that do not fit', DESCRIPTION, 1],
  ['long notes', LONG, 6],
] as const) {
  test(`an ELF core gets right headers: ${what}`, () => {
    const bytes = qemuElf();
    const container = open(fixed(bytes, undefined, description));
    assert.deepEqual(container.damage, []);
    assert.equal(container.notes.length, description.notes.length);
    assertSamePages(container, open(bytes), 25);
    for (const pfn of [0xfffc0, 0xfffc1, 0xfffc2] as Pfn[]) {
      assert.deepEqual(container.memory.page(pfn), open(bytes).memory.page(pfn));
    }
    const image = container.spans.filter(({ virtual }) => virtual >= 0xffffffff80000000n);
    const ram = container.spans.filter((span) => !image.includes(span));
    assert.equal(
      image.reduce((sum, { size }) => sum + size, 0),
      0x4000,
    );
    for (const { virtual, physical } of image)
      assert.equal(virtual, 0xffffffff81000000n + BigInt((physical ?? 0) - 0x5000));
    for (const { virtual, physical } of ram) assert.equal(virtual, 0xffff888000000000n + BigInt(physical ?? -1));
    // makedumpfile looks for program headers behind the ELF header, crash for notes before all memory.
    const { e_phoff } = ELF64_HEADER.read(new DataView(fixed(bytes).buffer));
    assert.equal(e_phoff, 64);
    const first = Math.min(...container.spans.map(({ fileOffset }) => fileOffset));
    assert.ok(container.notes.every(({ offset, description: { length } }) => offset + 20 + length <= first));
    const low = container.spans.find((span) => span.physical === 0);
    assert.equal(low?.size, moved === 0 ? 20 * 4096 : moved * 4096);
  });
}

test('fixing what is fixed changes nothing that is read', () => {
  for (const bytes of [kdumpWithRom(), qemuElf()]) {
    const once = fixed(bytes, 65_536);
    const twice = fixed(once, 65_536);
    assert.deepEqual(open(twice).spans, open(once).spans);
    assert.deepEqual(open(twice).facts, open(once).facts);
    assert.equal(twice.length, once.length);
  }
});

test('files whose headers cannot be fixed alone are refused', () => {
  const shared = qemuElf({
    segments: [
      { type: 4, physical: 0n, data: QEMU_NOTES },
      { type: 1, physical: 0n, data: numberedPage(1) },
      { type: 1, physical: 4096n, data: new Uint8Array(8), offset: BigInt(64 + 3 * 56 + QEMU_NOTES.length) },
    ],
  });
  for (const bytes of [
    qemuElf({ wordBits: 32, machine: 3 }),
    qemuElf({ littleEndian: false }),
    kdumpWithRom({ littleEndian: false }),
    kdumpWithRom({ layout: '32-bit packed' }),
    shared,
    new Uint8Array(8192),
  ]) {
    assert.throws(
      () => fixed(bytes),
      (error) => isExhumeError(error, 'EXH_USAGE') && error.data.hint !== undefined,
    );
  }
});

test('broken headers are errors of ours, or fixed; never anything else', () => {
  const random = new Random(61);
  for (const bytes of [kdumpWithRom({ maxMapnr: 50_000, pages: new Map(), excluded: [3] }), qemuElf()]) {
    for (let round = 0; round < 300; round++) {
      const broken = bytes.slice();
      random.mutate(broken.subarray(0, random.pick([256, 4300])), 6);
      try {
        fixHeaders(new MemorySource(broken, 'broken'), DESCRIPTION, random.pick([32_768, 4096]));
      } catch (error) {
        assert.ok(isExhumeError(error), String(error));
      }
    }
  }
});
