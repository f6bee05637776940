import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { Pfn } from '../bytes/address.js';
import { MemorySource } from '../bytes/byte-source.js';
import { isExhumeError } from '../bytes/errors.js';
import { Random } from '../testing/random.js';
import type { Container } from './container.js';
import { openDump } from './open.js';
import { writeElf, writeNote } from './testing/elf-writer.js';
import { recordsOf, writeFlattened } from './testing/flattened-writer.js';
import { type KdumpSpec, writeKdump } from './testing/kdump-writer.js';
import { numberedPage } from './testing/sources.js';

/** An attempt that takes longer hangs: it is far more than the slowest needs, also on machines with much else to do. */
const PATIENCE = 20_000;
/** What all attempts together may leave in memory. */
const BUDGET = 64 * 1024 * 1024;

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

/** Bytes of arrays that are in use, without what only waits for the garbage collector. */
function heldBytes(): number {
  // What one collection frees is swept while the next one runs.
  for (let i = 0; i < 3; i++) collectGarbage();
  return process.memoryUsage().arrayBuffers;
}

const fixtures = new URL('../../../src/dump/fixtures/', import.meta.url);
const read = (name: string) => new Uint8Array(readFileSync(new URL(name, fixtures)));
/** The beginning of the real dump in the repository: its headers, bitmaps, the first descriptors. */
const sample = new Uint8Array(
  readFileSync(new URL('../../../samples/linux-7.2-panic.kdump', import.meta.url)).subarray(0, 400_000),
);

/** Layouts of which there is no real sample. */
const written = (layout: KdumpSpec['layout'], littleEndian: boolean, version: number, machine: string) =>
  writeKdump({
    layout,
    littleEndian,
    version,
    machine,
    maxMapnr: 50_000,
    excluded: [7, 8],
    pages: new Map([1, 2, 3, 30_000].map((pfn) => [pfn, { flags: 0, data: numberedPage(pfn) }])),
    notes: writeNote('CORE', 1, new Uint8Array(144), littleEndian),
    vmcoreinfo: new TextEncoder().encode('OSRELEASE=4.19\n'),
  });

const INPUTS: readonly (readonly [name: string, bytes: Uint8Array])[] = [
  ...['qemu.elf', 'qemu-paging.elf', 'vmcore.elf', 'kcore.elf', 'makedumpfile-incomplete.elf'].map(
    (name) => [name, read(name)] as const,
  ),
  ...['qemu.kdump', 'makedumpfile.kdump', 'makedumpfile-split.kdump'].map((name) => [name, read(name)] as const),
  ['32-bit packed, version 6', written('32-bit packed', true, 6, 'i686')],
  ['32-bit aligned, big-endian, version 5', written('32-bit aligned', false, 5, 'ppc')],
  ['64-bit, big-endian, version 3', written('64-bit', false, 3, 's390x')],
  [
    'ELF32, big-endian',
    writeElf({
      wordBits: 32,
      littleEndian: false,
      machine: 20,
      extended: true,
      segments: [
        { type: 4, physical: 0n, data: writeNote('CORE', 1, new Uint8Array(268), false) },
        { type: 1, physical: 0n, data: numberedPage(0) },
        { type: 1, physical: 0x10000n, data: numberedPage(16), memorySize: 20_000 },
      ],
    }),
  ],
  ['sample', sample],
  ['flattened sample', writeFlattened(recordsOf(sample, 16_368))],
  ['flattened ELF', writeFlattened(recordsOf(read('qemu.elf'), 1000).reverse())],
];

/** Opens a broken file and uses all of it. An error of ours, or an answer; anything else fails the test. */
function use(bytes: Uint8Array, random: Random, what: string): 'refused' | 'damaged' | 'whole' {
  const started = performance.now();
  let container: Container;
  try {
    container = openDump([new MemorySource(bytes, 'broken')], { cacheBytes: 1024 * 1024 });
  } catch (error) {
    assert.ok(isExhumeError(error), `${what}: ${String(error)}`);
    return 'refused';
  }
  const { memory } = container;
  for (const range of memory.ranges()) assert.ok(range.end > range.start, what);
  for (const range of memory.presentRanges()) assert.ok(range.end > range.start, what);
  const pfns = [
    0,
    1,
    159,
    160,
    2 ** 20 - 1,
    2 ** 20,
    2 ** 40 - 1,
    ...Array.from({ length: 20 }, () => random.below(30_000)),
  ];
  for (const pfn of pfns) {
    const page = memory.page(pfn as Pfn);
    if (typeof page !== 'string') assert.equal(page.length, memory.pageSize, what);
    assert.ok(['present', 'excluded', 'lost', 'absent'].includes(memory.state(pfn as Pfn)), what);
  }
  assert.ok(container.facts.every((fact) => fact.value !== undefined) && container.structures.length < 2000, what);
  assert.ok(performance.now() - started < PATIENCE, `${what}: ${performance.now() - started} ms`);
  return container.damage.length > 0 || container.incomplete ? 'damaged' : 'whole';
}

function withinBudget(run: () => void): void {
  run();
  const held = heldBytes();
  assert.ok(held < BUDGET, `${held} bytes are held`);
}

for (const [name, bytes] of INPUTS) {
  test(`${name}: every header field at 0, 1, its highest value, and at random`, () => {
    const random = new Random(0xf1e1d);
    const flattened = name.startsWith('flattened');
    const fields = flattened
      ? [16, 24, 4096, 4104, 4096 + 16 + 1000, 4104 + 16 + 1000].map((offset) => ({ name: 'record', offset, size: 8 }))
      : openDump([new MemorySource(bytes)])
          .structures.slice(0, 8)
          .flatMap((struct) => struct.fields);
    assert.ok(fields.length >= 6);
    withinBudget(() => {
      for (const { name: field, offset, size } of fields) {
        const values = [
          new Uint8Array(size),
          new Uint8Array(size).fill(1, 0, 1),
          new Uint8Array(size).fill(1, size - 1),
          new Uint8Array(size).fill(0xff),
          new Uint8Array(size).fill(0xff).fill(0x7f, size - 1),
          Uint8Array.from({ length: size }, () => random.below(256)),
          Uint8Array.from({ length: size }, () => random.below(256)),
        ];
        for (const value of values) {
          const broken = bytes.slice();
          broken.set(value, offset);
          use(broken, random, `${field} = ${Buffer.from(value).toString('hex')}`);
        }
      }
    });
  });

  test(`${name}: cut at every structure, and anywhere`, () => {
    const random = new Random(0xc07);
    const cuts = new Set(Array.from({ length: 150 }, () => random.below(bytes.length)));
    for (let at = 0; at < Math.min(bytes.length, 1024); at += 4) cuts.add(at);
    for (let at = 4096; at < bytes.length; at += 4096)
      cuts
        .add(at)
        .add(at - 1)
        .add(at + 1);
    const container = openDump([new MemorySource(bytes)]);
    for (const { offset, size } of container.structures)
      cuts
        .add(offset)
        .add(offset + size)
        .add(offset + size - 1);
    for (const note of container.notes) cuts.add(note.offset).add(note.offset + 12);
    const outcomes = new Set<string>();
    withinBudget(() => {
      for (const cut of cuts) {
        if (cut < bytes.length) outcomes.add(use(bytes.subarray(0, cut), random, `cut at ${cut}`));
      }
    });
    assert.ok(outcomes.has('refused') && outcomes.has('damaged'), [...outcomes].join());
  });

  test(`${name}: random changes in the first blocks`, () => {
    const random = new Random(0xb10c);
    const rounds = bytes.length > 100_000 ? 300 : 1000;
    withinBudget(() => {
      for (let round = 0; round < rounds; round++) {
        const broken = bytes.slice();
        const from = random.pick([0, 0, 4096, 8192]);
        const area = broken.subarray(
          Math.min(from, broken.length - 1),
          Math.min(from + random.pick([64, 512, 8192]), broken.length),
        );
        random.mutate(area, random.pick([1, 4, 40]));
        use(broken, random, `round ${round}`);
      }
    });
  });
}
