import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Pfn } from '../../bytes/address.js';
import { type MissingState, PAGE_STATES } from '../../dump/memory.js';
import { SparseMemory } from '../../dump/testing/sparse-memory.js';
import { PAGE, swappedPage } from './process-pages.js';
import { SlotMemory, type SlotRange } from './slot-memory.js';

const SWAP = {
  read: (_type: number, offset: number): Uint8Array | MissingState =>
    offset === 5 ? new Uint8Array(4096).fill(0x55) : 'lost',
};

/** A guest whose pages 0 to 7 and 16 to 23 are what the list says, the same for both: an alias. */
function guestOf(places: readonly number[]): { host: SparseMemory; memory: SlotMemory } {
  const host = new SparseMemory();
  for (let pfn = 100; pfn < 108; pfn++) host.at(pfn).fill(pfn);
  const pagesOf = { at: (page: number) => places[page] ?? PAGE.absent, isUntouched: () => false };
  const slots: SlotRange[] = [
    { first: 0, pages: 8, processPage: 0, pagesOf },
    { first: 16, pages: 8, processPage: 0, pagesOf },
  ];
  return { host, memory: new SlotMemory(host, slots, SWAP) };
}

const MIXED = [100, 101, PAGE.untouched, PAGE.untouched, swappedPage(0, 5n), swappedPage(0, 6n), PAGE.lost, 107];
const STATES = ['present', 'present', 'present', 'present', 'present', 'lost', 'lost', 'present'];

describe("a guest's memory by slots", () => {
  it('has each page as it is kept', () => {
    const { memory } = guestOf(MIXED);
    const states = Array.from({ length: 9 }, (_, pfn) => memory.state(pfn as Pfn));
    assert.deepEqual(states, [...STATES, 'absent']);
    assert.deepEqual(
      MIXED.map((_, pfn) => {
        const page = memory.page(pfn as Pfn);
        return typeof page === 'string' ? page : page[4095];
      }),
      [100, 101, 0, 0, 0x55, 'lost', 'lost', 107],
    );
  });

  it('tells the same of many pages as of each', () => {
    const { memory } = guestOf(MIXED);
    const states = new Uint8Array(26);
    memory.states(0, states);
    assert.deepEqual(
      [...states].map((state) => PAGE_STATES[state]),
      Array.from({ length: 26 }, (_, pfn) => memory.state(pfn as Pfn)),
    );
  });

  it('reads up to the first page that is not there', () => {
    const { memory } = guestOf(MIXED);
    const into = new Uint8Array(8 * 4096).fill(0xff);
    assert.equal(memory.readPages(0, into), 5);
    assert.deepEqual(
      Array.from({ length: 6 }, (_, i) => into[i * 4096]),
      [100, 101, 0, 0, 0x55, 0xff],
    );
    assert.equal(memory.readPages(6, into), 0);
    assert.equal(memory.readPages(23, into), 1);
  });

  it('shows a page that two slots have in both places', () => {
    const { memory } = guestOf(MIXED);
    assert.deepEqual(memory.page(16 as Pfn), memory.page(0 as Pfn));
    assert.equal(memory.page(17 as Pfn)[0], 101);
  });

  it('has what the host lacks as the host lacks it', () => {
    const { host, memory } = guestOf(MIXED);
    host.pages.set(101, 'excluded');
    assert.equal(memory.state(1 as Pfn), 'excluded');
    assert.equal(memory.page(1 as Pfn), 'excluded');
    assert.equal(memory.readPages(0, new Uint8Array(8192)), 1);
  });

  it('counts its pages', () => {
    const { host, memory } = guestOf(MIXED);
    host.pages.set(101, 'excluded');
    assert.deepEqual(memory.occupancy(), {
      described: 16,
      present: 10,
      untouched: 4,
      swapped: 2,
      excluded: 2,
      lost: 4,
    });
  });

  it('leaves chunks that were never touched out of what is searched', () => {
    const pagesOf = { at: () => PAGE.untouched, isUntouched: (chunk: number) => chunk !== 1 };
    const memory = new SlotMemory(new SparseMemory(), [{ first: 10, pages: 2000, processPage: 100, pagesOf }], SWAP);
    assert.deepEqual(memory.ranges(), [{ start: 10 * 4096, end: 2010 * 4096 }]);
    assert.deepEqual(memory.presentRanges(), [{ start: (10 + 412) * 4096, end: (10 + 924) * 4096 }]);
  });
});
