import assert from 'node:assert/strict';
import { test } from 'node:test';
import { deflateSync } from 'node:zlib';
import { type Pfn, virtualAddress } from '../bytes/address.js';
import { type ByteSink, MemorySink } from '../bytes/byte-sink.js';
import { MemorySource } from '../bytes/byte-source.js';
import { Random } from '../testing/random.js';
import { openSample } from '../testing/sample.js';
import type { Container } from './container.js';
import type { DumpWriter } from './dump-writer.js';
import { ElfWriter } from './elf-writer.js';
import { FlattenedSink } from './flattened-sink.js';
import { KdumpWriter } from './kdump-writer.js';
import type { MissingState, PhysicalMemory } from './memory.js';
import { openDump } from './open.js';
import { PageBitmap } from './page-bitmap.js';
import { type PageChunk, ZERO_PAGE } from './page-chunk.js';
import type { PageSelection } from './page-selection.js';
import { RawWriter } from './raw-writer.js';
import { SplitWriter, splitEvenly } from './split-writer.js';
import { type Compress, copyPages, DESCRIPTION, selectionOf } from './testing/copy-dump.js';
import { numberedPage } from './testing/sources.js';
import { SparseMemory } from './testing/sparse-memory.js';

const zlib: Compress = (page) => {
  const bytes = new Uint8Array(deflateSync(page, { level: 1 }));
  return bytes.length < page.length ? { flag: 1, bytes } : undefined;
};

/** The last page of random memories. */
const LAST = 400;

/** A memory with runs of pages, of zeros, of excluded pages, and holes; some pages do not compress. */
function randomMemory(random: Random): SparseMemory {
  const pages: [number, Uint8Array | MissingState][] = [[LAST, numberedPage(LAST)]];
  let pfn = random.below(5);
  while (pfn < LAST) {
    const kind = random.below(5);
    for (const end = Math.min(LAST, pfn + 1 + random.below(random.pick([3, 70]))); pfn < end; pfn++) {
      if (kind === 1) pages.push([pfn, 'excluded']);
      else if (kind === 2) pages.push([pfn, new Uint8Array(4096)]);
      else if (kind === 3) pages.push([pfn, noise(random)]);
      else if (kind === 4) pages.push([pfn, numberedPage(pfn + 1)]);
    }
  }
  return memoryOf(pages);
}

/** A page that does not compress. */
function noise(random: Random): Uint8Array {
  return new Uint8Array(Uint32Array.from({ length: 1024 }, () => random.below(2 ** 32)).buffer);
}

function memoryOf(pages: readonly (readonly [pfn: number, page: Uint8Array | MissingState])[]): SparseMemory {
  const memory = new SparseMemory();
  for (const [pfn, page] of pages) memory.pages.set(pfn, page);
  return memory;
}

/** What a container holds is what the memory held; what the memory lacked is excluded. */
function assertSame(container: Container, memory: PhysicalMemory): void {
  assert.deepEqual(container.damage, []);
  const after = Math.ceil((memory.ranges().at(-1)?.end ?? 0) / memory.pageSize);
  for (let pfn = 0; pfn < after + 3; pfn++) {
    const expected = memory.page(pfn as Pfn);
    const found = container.memory.page(pfn as Pfn);
    if (typeof expected !== 'string') {
      assert.ok(typeof found !== 'string', `page ${pfn} is ${found}`);
      assert.equal(Buffer.compare(found, expected), 0, `page ${pfn} differs`);
    } else {
      assert.equal(found, expected, `page ${pfn}`);
    }
  }
}

function write(
  memory: PhysicalMemory,
  make: (sink: ByteSink, selection: PageSelection) => DumpWriter,
  options: Parameters<typeof copyPages>[3] = {},
): Uint8Array {
  const sink = new MemorySink();
  const selection = selectionOf(memory);
  copyPages(memory, selection, make(sink, selection), options);
  return sink.bytes;
}

const kdump = (sink: ByteSink, selection: PageSelection) =>
  new KdumpWriter(sink, DESCRIPTION, selection, { compression: 'zlib' });
const elf = (sink: ByteSink, selection: PageSelection) => new ElfWriter(sink, DESCRIPTION, selection);

const open = (...files: Uint8Array[]) => openDump(files.map((bytes, i) => new MemorySource(bytes, `written${i}`)));

test('what is written as kdump, compressed or not, reads as what it was', () => {
  const random = new Random(11);
  for (let round = 0; round < 15; round++) {
    const memory = randomMemory(random);
    const pagesPerChunk = 1 + random.below(64);
    assertSame(open(write(memory, kdump, { compress: zlib, pagesPerChunk })), memory);
    assertSame(open(write(memory, kdump, { pagesPerChunk })), memory);
  }
});

test('what is written as an ELF core reads as what it was', () => {
  const random = new Random(12);
  for (let round = 0; round < 15; round++) {
    const memory = randomMemory(random);
    assertSame(open(write(memory, elf, { pagesPerChunk: 1 + random.below(64) })), memory);
  }
});

test('the flattened form of either reads as what it was', () => {
  const random = new Random(13);
  for (const make of [kdump, elf]) {
    for (let round = 0; round < 10; round++) {
      const memory = randomMemory(random);
      const selection = selectionOf(memory);
      const out = new MemorySink();
      const flattened = new FlattenedSink(out);
      copyPages(memory, selection, make(flattened, selection), { pagesPerChunk: 1 + random.below(64) });
      flattened.finish();
      const container = open(out.bytes);
      assert.ok(container.flattened);
      assertSame(container, memory);
    }
  }
});

test('a raw image holds every page at its address; what was excluded or absent reads as zeros', () => {
  const random = new Random(14);
  const memory = randomMemory(random);
  const bytes = write(memory, (sink, selection) => new RawWriter(sink, DESCRIPTION, selection));
  for (let pfn = 0; pfn < bytes.length / 4096; pfn++) {
    const page = memory.page(pfn as Pfn);
    const expected = typeof page === 'string' ? new Uint8Array(4096) : page;
    assert.equal(Buffer.compare(bytes.subarray(pfn * 4096, pfn * 4096 + 4096), expected), 0, `page ${pfn}`);
  }
  assert.equal(bytes.length, (LAST + 1) * 4096);
});

test('a raw image that ends with excluded pages is as long as memory is', () => {
  const memory = memoryOf([
    [0, numberedPage(0)],
    [9, 'excluded'],
  ]);
  const bytes = write(memory, (sink, selection) => new RawWriter(sink, DESCRIPTION, selection));
  assert.equal(bytes.length, 10 * 4096);
});

test('a split set holds in all what the one file would, about equally much each', () => {
  const random = new Random(15);
  for (let round = 0; round < 20; round++) {
    const memory = randomMemory(random);
    const selection = selectionOf(memory);
    const parts = splitEvenly(selection, 1 + random.below(6));
    const sinks = parts.map(() => new MemorySink());
    const writers = parts.map(
      (split, i) => new KdumpWriter(sinks[i] as MemorySink, DESCRIPTION, selection, { compression: 'zlib', split }),
    );
    copyPages(memory, selection, new SplitWriter(parts, writers), { pagesPerChunk: 1 + random.below(64) });
    const counts = parts.map(({ start, end }) => selection.written.count(start, end));
    assert.equal(
      counts.reduce((sum, count) => sum + count, 0),
      selection.count,
    );
    assert.ok(Math.max(...counts) - Math.min(...counts) <= 1, `${counts}`);
    assertSame(open(...sinks.map(({ bytes }) => bytes).reverse()), memory);
  }
});

test('a set of more files than pages, and a dump of no page at all, can be read', () => {
  const memory = memoryOf([
    [3, numberedPage(3)],
    [4, 'excluded'],
  ]);
  const selection = selectionOf(memory);
  const parts = splitEvenly(selection, 3);
  const sinks = parts.map(() => new MemorySink());
  const writers = parts.map(
    (split, i) => new KdumpWriter(sinks[i] as MemorySink, DESCRIPTION, selection, { compression: undefined, split }),
  );
  copyPages(memory, selection, new SplitWriter(parts, writers));
  assertSame(open(...sinks.map(({ bytes }) => bytes)), memory);

  const nothing = memoryOf([[5, 'excluded']]);
  assertSame(open(write(nothing, kdump)), nothing);
  assertSame(open(write(nothing, elf)), nothing);
});

test('a kdump header says what it is told', () => {
  const memory = randomMemory(new Random(16));
  const container = open(write(memory, kdump));
  const fact = (name: string) => container.facts.find((one) => one.name === name)?.value;
  assert.equal(container.description, 'kdump-compressed, header version 6, 64-bit');
  assert.equal(container.claimedMachine, 'x86_64');
  assert.equal(container.claimedPhysBase, -0x1000000n);
  assert.equal(fact('utsname.sysname'), 'Linux');
  assert.equal(fact('utsname.nodename'), 'host');
  assert.equal(fact('utsname.release'), '6.1.0-56-cloud-amd64');
  assert.equal(fact('utsname.version'), '#1 SMP');
  assert.equal(fact('utsname.domainname'), '(none)');
  assert.equal(fact('timestamp.tv_sec'), 1_780_000_000n);
  assert.equal(fact('timestamp.tv_usec'), 123_456n);
  assert.equal(fact('status'), '0x1');
  assert.equal(fact('nr_cpus'), 2);
  assert.equal(fact('dump_level'), 17);
  assert.equal(fact('split'), 0);
  assert.equal(fact('max_mapnr_64'), LAST + 1);
  assert.deepEqual(
    container.notes.map(({ name, type, description }) => ({ name, type, description })),
    DESCRIPTION.notes,
  );
  assert.deepEqual(container.vmcoreinfo, DESCRIPTION.vmcoreinfo);
});

test('an ELF core says what it is told, with the kernel in its own map first', () => {
  const memory = memoryOf(Array.from({ length: 20 }, (_, pfn) => [pfn, numberedPage(pfn + 1)]));
  const container = open(write(memory, elf));
  assert.deepEqual(
    container.notes.map(({ name, type, description }) => ({ name, type, description })),
    DESCRIPTION.notes,
  );
  const [text, ram, ...others] = container.spans;
  assert.deepEqual(others, []);
  assert.deepEqual(
    { virtual: text?.virtual, physical: text?.physical, size: text?.size },
    { virtual: virtualAddress(0xffffffff81000000n), physical: 0x5000, size: 0x4000 },
  );
  assert.deepEqual(
    { virtual: ram?.virtual, physical: ram?.physical, size: ram?.size },
    { virtual: virtualAddress(0xffff888000000000n), physical: 0, size: 20 * 4096 },
  );
  assert.equal((ram?.fileOffset ?? 1) % 4096, 0);
  assert.equal(text?.fileOffset, (ram?.fileOffset ?? 0) + 0x5000);
  assert.equal(container.facts.find(({ name }) => name === 'e_phoff')?.value, 64);
});

test('more program headers than e_phnum can count are counted in section header 0', () => {
  const runs = 70_000;
  const described = PageBitmap.empty(2 * runs);
  const written = PageBitmap.empty(2 * runs);
  described.addRange(0, 2 * runs);
  for (let pfn = 0; pfn < 2 * runs; pfn += 2) written.add(pfn);
  const sink = new MemorySink();
  const writer = new ElfWriter(sink, { ...DESCRIPTION, kernelText: undefined }, { described, written, count: runs });
  writer.begin();
  const zeros = (count: number, first: number): PageChunk => ({
    pfns: Float64Array.from({ length: count }, (_, i) => (first + i) * 2),
    sizes: new Uint32Array(count),
    flags: new Uint32Array(count).fill(ZERO_PAGE),
    data: new Uint8Array(),
  });
  writer.write(zeros(runs, 0));
  writer.end();
  const container = open(sink.bytes);
  assert.deepEqual(container.damage, []);
  assert.equal(container.facts.find(({ name }) => name === 'e_phnum')?.value, 0xffff);
  assert.equal(container.memory.state((2 * runs - 2) as Pfn), 'present');
  assert.equal(container.memory.state((2 * runs - 1) as Pfn), 'excluded');
});

test('pages other than those selected are refused: the dump would lie', () => {
  const memory = randomMemory(new Random(17));
  const selection = selectionOf(memory);
  const chunk = (pfns: readonly number[], flag = ZERO_PAGE): PageChunk => ({
    pfns: Float64Array.from(pfns),
    sizes: new Uint32Array(pfns.length),
    flags: new Uint32Array(pfns.length).fill(flag),
    data: new Uint8Array(),
  });
  const first = selection.written.next(0);
  const second = selection.written.next(first + 1);
  for (const make of [kdump, elf]) {
    const begun = () => {
      const writer = make(new MemorySink(), selection);
      writer.begin();
      return writer;
    };
    assert.throws(() => begun().write(chunk([second])), /must come/);
    assert.throws(() => begun().write(chunk([first, first])), /must come/);
    assert.throws(() => begun().end(), /was not/);
    assert.throws(() => begun().write({ ...chunk([first]), data: new Uint8Array(1) }), /has 1/);
  }
  const writer = elf(new MemorySink(), selection);
  writer.begin();
  assert.throws(() => writer.write(chunk([first], 1)), /compressed/);
});

test('a real dump survives the way through every form', () => {
  const { container } = openSample();
  const first = open(write(container.memory, elf));
  assertSame(first, container.memory);
  const second = open(write(first.memory, kdump, { compress: zlib, pagesPerChunk: 1000 }));
  assertSame(second, container.memory);
});
