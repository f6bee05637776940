import assert from 'node:assert/strict';
import { test } from 'node:test';
import { damagedView } from '../../testing/damaged-view.js';
import { Random } from '../../testing/random.js';
import { openSample } from '../../testing/sample.js';
import type { Kernel } from '../kernel.js';
import { KernelView } from '../kernel-view.js';
import { readTasks } from '../tasks/task-list.js';
import { readMemoryAreas } from './address-space.js';
import {
  addToTally,
  classTotals,
  newTally,
  PAGE_CLASS,
  PageClassifier,
  pagesWith,
  readPageFacts,
} from './page-classes.js';
import { PageStructs, pageArrayBase, readPageMap } from './page-map.js';
import { readSlabCaches } from './slabs.js';
import { readFreeLists, readZones } from './zones.js';

const sample = openSample().kernel;
const sampleFacts = readPageFacts(sample);
/** The first page frame after RAM; firmware is far above. */
const lastPfn = Math.max(
  ...readZones(new KernelView(sample), []).map(({ spanned, startPfn }) => (spanned > 0 ? startPfn + spanned : 0)),
);
/** The whole of its memory, and a little more. */
const sampleClasses = classesOf(sample, 0, lastPfn + 100);

function classesOf(kernel: Kernel, firstPfn: number, count: number, facts = sampleFacts): Uint8Array {
  const classes = new Uint8Array(count).fill(0xff);
  new PageClassifier(kernel.memory, facts).classify(firstPfn, classes);
  return classes;
}

function classAt(physical: number | undefined): number | undefined {
  assert.ok(physical !== undefined);
  return sampleClasses[Math.floor(physical / 4096)];
}

test('free pages are those that the free lists have', () => {
  const view = new KernelView(sample);
  let listed = 0;
  for (const zone of readZones(view, []).filter(({ spanned }) => spanned > 0)) {
    for (const { order, blocks } of readFreeLists(view, zone, [])) listed += (blocks ?? 0) * 2 ** order;
  }
  const tally = newTally();
  addToTally(tally, sampleClasses);
  assert.ok(listed > 1000);
  assert.equal(tally[PAGE_CLASS.free], listed);
  assert.equal(pagesWith(tally, PAGE_CLASS.free), listed);
});

test('a process’s stack is user data, its program is page cache, the kernel’s own are neither', () => {
  const view = new KernelView(sample);
  const init = readTasks(view).tasks.find(({ pid }) => pid === 1);
  assert.ok(init);
  const mm = view.struct('mm_struct', init.mm);
  const directory = sample.memory.translate(mm.pointer('pgd'));
  assert.ok(directory !== undefined);
  const table = sample.machine.pageTable(directory, sample.pageTable.levels);
  const areas = readMemoryAreas(view, mm, []);
  const stack = areas.find(({ name }) => name === '[stack]');
  const program = areas.find(({ file, permissions }) => file !== undefined && permissions === 'r-xp');
  assert.ok(stack !== undefined && program !== undefined);
  const classesIn = ({ start, end }: typeof stack): number[] =>
    [...table.mappings(start, (end - 1n) as typeof start)].map(({ physical }) => classAt(physical) ?? -1);
  assert.deepEqual([...new Set(classesIn(stack))], [PAGE_CLASS.user]);
  assert.deepEqual([...new Set(classesIn(program))], [PAGE_CLASS.cache | PAGE_CLASS.private]);
  for (const address of [view.address('_text'), view.address('init_task'), init.address, mm.pointer('pgd')]) {
    assert.equal(classAt(sample.memory.translate(address)), 0);
  }
});

test('slab pages are kept: those that the caches’ own structures lie in', () => {
  const caches = readSlabCaches(new KernelView(sample), []);
  assert.ok(caches.length > 100);
  for (const { address } of caches) assert.equal(classAt(sample.memory.translate(address)), 0);
});

test('totals: each class by itself, and what a level drops, each page once', () => {
  const { zero, cache, private: priv, free, poisoned } = PAGE_CLASS;
  const tally = newTally();
  addToTally(tally, Uint8Array.of(0, 0, zero, zero | free, free, cache | priv, cache | priv, priv, priv | poisoned));
  const pages = (level: number): [string, number][] =>
    classTotals(tally, level, 4096)
      .classes.filter(({ dropped }) => dropped)
      .map(({ name, pages }) => [name, pages]);
  assert.deepEqual(pages(0), [
    ['poisoned', 1],
    ['offline', 0],
  ]);
  assert.deepEqual(pages(zero | cache | priv), [
    ['zero', 2],
    ['cache', 2],
    ['private', 4],
    ['poisoned', 1],
    ['offline', 0],
  ]);
  for (const [level, dropped] of [
    [0, 1],
    [1, 3],
    [2, 3],
    [4, 4],
    [16, 3],
    [17, 4],
    [31, 7],
  ] as const) {
    const totals = classTotals(tally, level, 4096);
    assert.deepEqual(totals.dropped, { pages: dropped, bytes: dropped * 4096 }, `level ${level}`);
    assert.deepEqual(totals.kept, { pages: 9 - dropped, bytes: (9 - dropped) * 4096 });
  }
});

test('where RAM ends there is nothing to know', () => {
  // The last section’s array goes on to where sections end; beyond it there is none.
  const section = Math.ceil(lastPfn / 32_768) * 32_768;
  assert.deepEqual(new Set(classesOf(sample, section, 1000)), new Set([PAGE_CLASS.unknown]));
});

test('any span gives what the whole gives', () => {
  const random = new Random(4);
  const classifier = new PageClassifier(sample.memory, sampleFacts);
  for (let round = 0; round < 300; round++) {
    const first = random.below(lastPfn);
    const part = new Uint8Array(1 + random.below(random.pick([3, 100, 2000])));
    classifier.classify(first, part);
    const whole = sampleClasses.subarray(first, first + part.length);
    assert.deepEqual(part.subarray(0, whole.length), whole, `from ${first}`);
  }
});

test('a kernel without a word on vmemmap is asked for its sections, or for its variable', () => {
  const { vmcoreinfo } = sample;
  assert.ok(vmcoreinfo);
  const silent = (...names: string[]): Kernel => {
    const symbol = (name: string): bigint | undefined => (names.includes(name) ? undefined : vmcoreinfo.symbol(name));
    return Object.create(sample, { vmcoreinfo: { value: Object.create(vmcoreinfo, { symbol: { value: symbol } }) } });
  };
  const bySections = readPageMap(silent('vmemmap'));
  const byVariable = readPageMap(silent('vmemmap', 'mem_section'));
  assert.deepEqual([sampleFacts.map.kind, bySections.kind, byVariable.kind], ['vmemmap', 'sections', 'vmemmap']);
  const { size } = sampleFacts.layout;
  const [told, sections, variable] = [sampleFacts.map, bySections, byVariable].map(
    (map) => new PageStructs(sample.memory, map, size),
  );
  for (const pfn of [0, 1, 511, 4096, lastPfn - 1]) {
    assert.equal(sections?.address(pfn), told?.address(pfn));
    assert.equal(variable?.address(pfn), told?.address(pfn));
  }
  // As one array it is the same, whichever way it was found; without the variable the sections do not tell of one.
  const base = (kernel: Kernel) => pageArrayBase(kernel, size);
  assert.ok(base(sample) !== undefined);
  assert.deepEqual([base(silent('vmemmap')), base(silent('vmemmap', 'mem_section'))], [base(sample), base(sample)]);
  const symbols = Object.create(sample.symbols, { address: { value: () => undefined } });
  assert.equal(base(Object.create(silent('vmemmap'), { symbols: { value: symbols } })), undefined);
  // No section there, no root there, and none that the table has room for.
  for (const pfn of [32_768 * 200, 2 ** 34 - 1, 2 ** 40]) assert.equal(sections?.address(pfn), undefined);
});

test('pages whose structures are not in the dump are unknown, and the others what they were', () => {
  const { view, exclude } = damagedView();
  const structs = new PageStructs(sample.memory, sampleFacts.map, sampleFacts.layout.size);
  // 64 structures share a page; the first of these is no head that another block is under.
  const first = 64 * Math.floor(lastPfn / 3 / 64);
  const address = structs.address(first);
  assert.ok(address !== undefined);
  exclude(address);
  const classes = classesOf(view.kernel, 0, lastPfn + 100);
  let unknown = 0;
  for (const [pfn, bits] of classes.entries()) {
    if (bits === sampleClasses[pfn]) continue;
    assert.ok(bits === PAGE_CLASS.unknown || bits === 0, `page ${pfn} is ${bits}`);
    if (pfn >= first && pfn < first + 64) unknown++;
    // A head that is gone leaves the rest of its block as if they were pages of their own.
    else assert.ok(sampleClasses[pfn] === PAGE_CLASS.free && bits === 0);
  }
  assert.ok(unknown > 0);
});

test('nothing that stands in the structures makes it fail', () => {
  const random = new Random(20);
  const structs = new PageStructs(sample.memory, sampleFacts.map, sampleFacts.layout.size);
  for (let round = 0; round < 20; round++) {
    const { view, writeBytes } = damagedView();
    for (let change = 0; change < 50; change++) {
      const address = structs.address(random.below(lastPfn));
      const bytes = Uint8Array.from({ length: 64 }, () => random.pick([0, 1, 0xff, 0xf0, 0x40, random.below(256)]));
      if (address !== undefined && sample.memory.translate(address as never) !== undefined) writeBytes(address, bytes);
    }
    const classes = classesOf(view.kernel, 0, lastPfn);
    const tally = newTally();
    addToTally(tally, classes);
    assert.equal(
      tally.reduce((sum, count) => sum + count),
      lastPfn,
    );
  }
});
