import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Pfn } from '../bytes/address.js';
import type { MissingState, PhysicalMemory } from '../dump/memory.js';
import { SparseMemory } from '../dump/testing/sparse-memory.js';
import { layoutOf, memoryOf } from './guest-layout.js';
import { PAGE, swappedPage } from './kvm/process-pages.js';
import { SlotMemory } from './kvm/slot-memory.js';

const SWAP = {
  read: (_type: number, offset: number): Uint8Array | MissingState => new Uint8Array(4096).fill(offset),
};

function hostOf(): SparseMemory {
  const host = new SparseMemory();
  for (let pfn = 100; pfn < 110; pfn++) host.at(pfn).fill(pfn);
  host.pages.set(105, 'excluded');
  return host;
}

/** A guest with these pages from page 0 on, and from page 32 on again. */
function guestIn(host: PhysicalMemory, places: readonly number[]): SlotMemory {
  const pagesOf = { at: (page: number) => places[page] ?? PAGE.absent, isUntouched: () => false };
  const slots = [0, 32].map((first) => ({ first, pages: places.length, processPage: 0, pagesOf }));
  return new SlotMemory(host, slots, SWAP);
}

const PLAIN = [100, 101, 102, PAGE.untouched, PAGE.untouched, 105, 108, 107, PAGE.lost, PAGE.excluded, 0];
const SWAPPED = [...PLAIN, swappedPage(0, 5n), swappedPage(0, 6n)];

function contents(memory: PhysicalMemory): unknown[] {
  return Array.from({ length: 64 }, (_, pfn) => {
    const page = memory.page(pfn as Pfn);
    return [memory.state(pfn as Pfn), typeof page === 'string' ? page : page[4095]];
  });
}

describe("where a guest's pages lie", () => {
  it('makes the same memory again', () => {
    const host = hostOf();
    const memory = guestIn(host, PLAIN);
    const layout = layoutOf(memory, host);
    assert.ok(layout);
    assert.equal(layout.swapped, false);
    // Three in a row, two that were never touched, six more; twice.
    assert.equal(layout.starts.length, 16);
    const again = memoryOf(structuredClone(layout), host, SWAP);
    assert.deepEqual(contents(again), contents(memory));
    assert.deepEqual(again.ranges(), memory.ranges());
  });

  it('keeps places in swap, each by itself', () => {
    const host = hostOf();
    const memory = guestIn(host, SWAPPED);
    const layout = layoutOf(memory, host);
    assert.ok(layout);
    assert.equal(layout.swapped, true);
    assert.deepEqual(contents(memoryOf(layout, host, SWAP)), contents(memory));
  });

  it("goes through a guest to its guest's pages, but not into the swap between them", () => {
    const host = hostOf();
    const outer = guestIn(host, PLAIN);
    const inner = guestIn(outer, [2, 1, 3, 8, 5, 99]);
    const layout = layoutOf(inner, host);
    assert.ok(layout);
    assert.deepEqual(contents(memoryOf(layout, host, SWAP)), contents(inner));
    assert.equal(layoutOf(guestIn(guestIn(host, SWAPPED), [11]), host)?.swapped, true);
    assert.equal(layoutOf(guestIn(outer, [swappedPage(0, 5n)]), host), undefined);
  });

  it('is not known of memory of another kind', () => {
    assert.equal(layoutOf(hostOf(), hostOf()), undefined);
  });
});
