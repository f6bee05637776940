/**
 * Page classes against what makedumpfile leaves out, page by page, of every /proc/vmcore that the lab has; and free pages
 * against the free lists, on every kernel.
 */

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { pfn } from '../../src/bytes/address.js';
import type { PhysicalMemory } from '../../src/dump/memory.js';
import { openDumpFiles } from '../../src/dump/node.js';
import type { Kernel } from '../../src/kernel/kernel.js';
import { KernelView } from '../../src/kernel/kernel-view.js';
import {
  ALWAYS_DROPPED,
  addToTally,
  newTally,
  PAGE_CLASS,
  PageClassifier,
  type PageTally,
  pagesWith,
  readPageFacts,
} from '../../src/kernel/memory/page-classes.js';
import { PageStructs } from '../../src/kernel/memory/page-map.js';
import { readFreeLists, readZones } from '../../src/kernel/memory/zones.js';
import { openKernels, selectKernel } from '../../src/kernel/open.js';
import { openMachine } from '../../src/machine/open.js';
import { inForky } from '../chroot.js';
import { type Ending, SCENES } from '../scenes.js';
import { run } from '../shell.js';
import { type LabDump, labDumps } from './support.js';

const LEVELS = [0, 1, 2, 4, 8, 16, 30, 31];

interface Classified {
  readonly kernel: Kernel;
  readonly memory: PhysicalMemory;
  /** Class bits by page frame number; 0 where there is no RAM. */
  readonly classes: Uint8Array;
  readonly tally: PageTally;
}

function classified(file: string): Classified {
  const container = openDumpFiles([file]);
  const { memory } = container;
  const kernel = selectKernel(openKernels(openMachine(container)));
  const classifier = new PageClassifier(kernel.memory, readPageFacts(kernel));
  const ranges = memory.ranges().map(({ start, end }) => [Math.floor(start / 4096), Math.ceil(end / 4096)] as const);
  const classes = new Uint8Array(Math.max(...ranges.map(([, end]) => end)));
  const tally = newTally();
  for (const [start, end] of ranges) {
    const span = classes.subarray(start, end);
    classifier.classify(start, span);
    addToTally(tally, span);
  }
  return { kernel, memory, classes, tally };
}

/** What makedumpfile writes of a dump at a level: which pages, and its own count of those that it left out. */
function filtered(dump: LabDump, level: number): { memory: PhysicalMemory; counts: Map<string, number>; end(): void } {
  const directory = mkdtempSync(join(tmpdir(), 'exhume-classes-'));
  const output = join(directory, 'vmcore');
  const options = ['-d', `${level}`, '--message-level', '31', ...dump.files, output];
  const { command, args } = inForky([dump.directory, directory], 'makedumpfile', options);
  const { stdout, stderr } = run(command, args);
  const counts = new Map<string, number>();
  for (const [, name = '', count] of `${stdout}${stderr}`.matchAll(/^ +(\w[\w -]+ pages) +: 0x([0-9a-f]+)$/gm)) {
    counts.set(name.trim(), Number.parseInt(count ?? '', 16));
  }
  const { memory } = openDumpFiles([output]);
  return { memory, counts, end: () => rmSync(directory, { recursive: true }) };
}

/** Those that stopped where no CPU was in the page allocator. */
const QUIET: readonly Ending[] = ['panic', 'hung', 'idle', 'kdump', 'rebooted'];

for (const { name } of SCENES.filter(({ ending }) => QUIET.includes(ending))) {
  const dump = labDumps().find(
    ({ title, cutOff }) => title.startsWith(`${name}/`) && !cutOff && !title.endsWith('.raw'),
  );
  if (dump === undefined) continue;
  test(`${dump.title}: free pages are those that the kernel's free lists have`, () => {
    const container = openDumpFiles(dump.files);
    const kernel = selectKernel(openKernels(openMachine(container)));
    const facts = readPageFacts(kernel);
    assert.deepEqual(facts.layout.untold, []);
    const view = new KernelView(kernel);
    const zones = readZones(view, []).filter(({ spanned }) => spanned > 0);
    assert.notEqual(zones.length, 0);
    for (const zone of zones) {
      const tally = newTally();
      const classes = new Uint8Array(zone.spanned);
      new PageClassifier(kernel.memory, facts).classify(zone.startPfn, classes);
      addToTally(tally, classes);
      const listed = readFreeLists(view, zone, []).reduce((sum, list) => sum + (list.blocks ?? 0) * 2 ** list.order, 0);
      assert.equal(pagesWith(tally, PAGE_CLASS.free), listed, zone.name);
    }
  });
}

/** makedumpfile counts a page once, in the first of these that has it. */
const COUNTED: readonly (readonly [name: string, bits: number, atLevel: number])[] = [
  ['Free pages', PAGE_CLASS.free, PAGE_CLASS.free],
  ['Non-private cache pages', PAGE_CLASS.cache, PAGE_CLASS.cache | PAGE_CLASS.private],
  ['Private cache pages', PAGE_CLASS.private, PAGE_CLASS.private],
  ['User process data pages', PAGE_CLASS.user, PAGE_CLASS.user],
  ['Hwpoison pages', PAGE_CLASS.poisoned, ALWAYS_DROPPED],
  ['Offline pages', PAGE_CLASS.offline, ALWAYS_DROPPED],
];

function countedAs(bits: number, level: number): string | undefined {
  return COUNTED.find(([, has, atLevel]) => (bits & has) !== 0 && (atLevel & (level | ALWAYS_DROPPED)) !== 0)?.[0];
}

for (const dump of labDumps().filter(({ files }) => files[0]?.endsWith('/vmcore.elf'))) {
  const file = dump.files[0] ?? '';

  test(`${dump.title}: the pages that makedumpfile leaves out at each level, and no others`, () => {
    const { kernel, memory, classes } = classified(file);
    const { layout, map } = readPageFacts(kernel);
    const structs = new PageStructs(kernel.memory, map, layout.size);
    const looksAlways = kernel.layouts.number('PG_hwpoison') !== undefined;
    const seesTails = kernel.vmcoreinfo?.offset('page', 'compound_head') !== undefined;
    const partial = new Set(
      memory
        .ranges()
        .filter(({ end }) => end % 4096 !== 0)
        .map(({ end }) => Math.floor(end / 4096)),
    );

    /** A tail page whose counters make makedumpfile take it for an anonymous one. */
    const isMistaken = (frame: number): boolean => {
      const at = structs.address(frame);
      if (seesTails || at === undefined) return false;
      const word = (offset: number): number => kernel.memory.u32(at + BigInt(offset));
      return (word(layout.tail.offset) & 1) === 1 && (word(layout.anonymous.offset) & 1) === 1;
    };

    for (const level of LEVELS) {
      const theirs = filtered(dump, level);
      const expected = new Map(COUNTED.map(([name]) => [name, 0]));
      let mistaken = 0;
      for (let frame = 0; frame < classes.length; frame++) {
        if (memory.state(pfn(frame)) === 'absent') continue;
        const bits = classes[frame] as number;
        const drop = (bits & (level | ALWAYS_DROPPED)) !== 0;
        const dropped = theirs.memory.state(pfn(frame)) !== 'present';
        // Without a class to leave out it looks at no page, unless the kernel can have broken ones.
        if (drop && !dropped && level < 2 && !looksAlways) {
          assert.equal(bits & ~level, PAGE_CLASS.offline, `level ${level}: page ${frame}`);
          continue;
        }
        if (!drop && dropped && partial.has(frame)) continue;
        if (!drop && dropped && (level & PAGE_CLASS.user) !== 0 && isMistaken(frame)) {
          mistaken++;
          continue;
        }
        assert.equal(drop, dropped, `level ${level}: page ${frame} is ${bits}`);
        const counted = drop ? countedAs(bits, level) : undefined;
        if (counted !== undefined) expected.set(counted, (expected.get(counted) ?? 0) + 1);
      }
      for (const [name, count] of expected) {
        const more = name === 'User process data pages' ? mistaken : 0;
        assert.equal(theirs.counts.get(name), count + more, `level ${level}: ${name}`);
      }
      theirs.end();
    }
  });

  if (!dump.title.startsWith('memory-')) continue;
  test(`${dump.title}: has pages of every class that its kernel knows`, () => {
    const { kernel, tally } = classified(file);
    const { cache, private: priv, user, free, poisoned, offline, unknown } = PAGE_CLASS;
    for (const bits of [0, priv, cache | priv, user, free, offline]) {
      assert.ok((tally[bits] ?? 0) > 100, `${tally[bits]} pages are ${bits}`);
    }
    assert.equal(tally[unknown], 0);
    // One of a file, one anonymous, one of a huge page that was split, a whole one of hugetlbfs.
    const broken = kernel.layouts.number('PG_hwpoison') === undefined ? [0, 0] : [1, 514];
    assert.deepEqual([tally[poisoned], tally[poisoned | user]], broken);
  });
}
