/** Reading many pages at once gives what reading each by itself gives. */

import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import type { Pfn } from '../bytes/address.js';
import { MemorySource } from '../bytes/byte-source.js';
import { nodeDecoders } from '../codecs/node.js';
import { Random } from '../testing/random.js';
import { openSample } from '../testing/sample.js';
import { CachedSource } from './cached-source.js';
import { PAGE_STATES, type PhysicalMemory, PRESENT } from './memory.js';
import { openDump } from './open.js';
import { SegmentMemory } from './segment-memory.js';
import { type WrittenPage, writeKdump } from './testing/kdump-writer.js';
import { numberedPage } from './testing/sources.js';

/** @param exact are the states those that pages prove to have when they are read? */
function check(memory: PhysicalMemory, first: number, count: number, exact = true): void {
  const { pageSize } = memory;
  const states = new Uint8Array(count).fill(0xff);
  memory.states(first, states);
  const into = new Uint8Array(count * pageSize);
  const page = new Uint8Array(pageSize);
  for (let i = 0; i < count; i++) {
    const pfn = (first + i) as Pfn;
    const one = memory.page(pfn);
    const state = typeof one === 'string' ? one : 'present';
    const said = PAGE_STATES[states[i] as number];
    if (said !== state)
      assert.ok(!exact && said === 'present' && state === 'lost', `page ${pfn}: ${said}, not ${state}`);
    assert.equal(memory.readPages(pfn, page), typeof one === 'string' ? 0 : 1, `page ${pfn}`);
    if (typeof one !== 'string') assert.deepEqual(page, one);
  }
  for (let done = 0; done < count; done++) {
    const got = memory.readPages(first + done, into.subarray(done * pageSize));
    for (let i = done; i < done + got; i++) {
      assert.deepEqual(into.subarray(i * pageSize, (i + 1) * pageSize), memory.page((first + i) as Pfn));
    }
    done += got;
    if (done < count) assert.equal(typeof memory.page((first + done) as Pfn), 'string', `page ${first + done}`);
  }
}

test('segments that overlap, begin inside pages, are in the file in part, or are cut off', () => {
  const random = new Random(11);
  for (let round = 0; round < 60; round++) {
    const pages = 24;
    const count = 1 + random.below(6);
    const column = (value: () => number) => Float64Array.from({ length: count }, value);
    const grain = random.pick([4096, 4096, 1024]);
    const memorySize = column(() => random.below((8 * 4096) / grain) * grain);
    const bytes = Uint8Array.from({ length: 12 * 4096 + random.below(4096) }, () => random.below(256));
    const memory = new SegmentMemory(
      new CachedSource(new MemorySource(bytes), 1 << 20),
      {
        physical: column(() => random.below((16 * 4096) / grain) * grain),
        fileOffset: column(() => random.below(bytes.length)),
        fileSize: memorySize.map((size) => random.pick([size, size, Math.floor(size / 2), 0])),
        memorySize,
      },
      4096,
    );
    check(memory, 0, pages);
    check(memory, 3, pages - 5);
  }
});

test('a kdump file, with pages that are shared, lost, excluded or broken', () => {
  const zero = new Uint8Array(4096);
  const bytes = writeKdump({
    layout: '64-bit',
    littleEndian: true,
    version: 6,
    maxMapnr: 70,
    excluded: [9, 10, 60],
    pages: new Map<number, WrittenPage | 'lost'>([
      ...[3, 4, 5, 20, 64, 69].map((pfn) => [pfn, { flags: 0, data: numberedPage(pfn) }] as const),
      ...[6, 7, 21].map((pfn) => [pfn, { flags: 0, data: zero }] as const),
      [22, 'lost'],
      [23, { flags: 1, data: Uint8Array.of(1, 2, 3) }],
      [24, { flags: 0, data: new Uint8Array(100) }],
    ]),
  });
  const { memory } = openDump([new MemorySource(bytes)]);
  check(memory, 0, 90, false);
  check(memory, 5, 17, false);
  const stored = memory.storedPage(20 as Pfn);
  assert.deepEqual(stored, { method: undefined, bytes: numberedPage(20) });
  assert.equal(memory.storedPage(22 as Pfn), 'lost');
  assert.equal(memory.storedPage(9 as Pfn), 'excluded');
});

test('a set of which a file is missing has lost pages there', () => {
  const pages = new Map(Array.from({ length: 30 }, (_, pfn) => [pfn, { flags: 0, data: numberedPage(pfn) }]));
  const member = (start: number, end: number) =>
    new MemorySource(
      writeKdump({ layout: '64-bit', littleEndian: true, version: 6, maxMapnr: 30, pages, split: [start, end] }),
    );
  check(openDump([member(0, 9), member(20, 30)]).memory, 0, 32);
  check(openDump([member(0, 9), member(9, 20), member(20, 30)]).memory, 4, 20);
});

test('the sample, and every fixture of a dump', () => {
  const { memory } = openSample().container;
  let present = 0;
  for (const { start, end } of memory.ranges()) {
    const states = new Uint8Array((end - start) / 4096);
    memory.states(start / 4096, states);
    present += states.filter((state) => state === PRESENT).length;
  }
  assert.equal(present * 4096, memory.presentBytes());
  check(memory, 0, 400);
  check(memory, 4000, 300);
  const fixtures = new URL('../../../src/dump/fixtures/', import.meta.url);
  let opened = 0;
  for (const name of readdirSync(fixtures)) {
    if (name.endsWith('.json')) continue;
    try {
      const source = new MemorySource(new Uint8Array(readFileSync(new URL(name, fixtures))), name);
      const dump = openDump([source], { decoders: nodeDecoders });
      for (const { start } of dump.memory.ranges().slice(0, 4)) check(dump.memory, Math.floor(start / 4096), 40, false);
      opened++;
    } catch (error) {
      assert.match(String(error), /EXH|ExhumeError/);
    }
  }
  assert.ok(opened > 3, `${opened} opened`);
});
