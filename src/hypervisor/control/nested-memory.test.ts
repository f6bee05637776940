import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Pfn, PhysicalAddress } from '../../bytes/address.js';
import { ExhumeError } from '../../bytes/errors.js';
import { PAGE_STATES } from '../../dump/memory.js';
import { SparseMemory, TableWriter } from '../../dump/testing/sparse-memory.js';
import { Random } from '../../testing/random.js';
import { eptRoot, NestedMemory } from './nested-memory.js';

const MIB = 2 ** 20;

/** Rights that make an entry lead somewhere; the last level and a large page have more. */
const FLAGS = { NPT: 0x7n, EPT: 0x7n } as const;
const LARGE = 0x80n;
const PAGE_BYTE = 4096;

/** A host with a guest of `kind`: 4 KiB pages 0, 1 and 5, 2 MiB at 4 MiB, and the page at 3 GiB. */
function guest(kind: 'NPT' | 'EPT', levels: 4 | 5): { host: SparseMemory; memory: NestedMemory; last: TableWriter } {
  const host = new SparseMemory();
  const flags = FLAGS[kind];
  let top = 1;
  if (levels === 5) new TableWriter(host, top++).set(0, 2 * PAGE_BYTE, flags);
  new TableWriter(host, top).set(0, 10 * PAGE_BYTE, flags);
  new TableWriter(host, 10).set(0, 11 * PAGE_BYTE, flags).set(3, 12 * PAGE_BYTE, flags);
  new TableWriter(host, 11).set(0, 13 * PAGE_BYTE, flags).set(2, 4 * MIB, flags | LARGE);
  new TableWriter(host, 12).set(0, 14 * PAGE_BYTE, flags);
  const last = new TableWriter(host, 13);
  last
    .set(0, 100 * PAGE_BYTE, flags)
    .set(1, 101 * PAGE_BYTE, flags)
    .set(5, 102 * PAGE_BYTE, flags);
  new TableWriter(host, 14).set(0, 103 * PAGE_BYTE, flags);
  for (const pfn of [100, 101, 102, 103, 1024, 1025, 1535]) host.at(pfn).fill(pfn & 0xff);
  for (let pfn = 1024; pfn < 1536; pfn++) host.at(pfn);
  return { host, memory: new NestedMemory(host, PAGE_BYTE, kind, { levels }), last };
}

for (const kind of ['NPT', 'EPT'] as const) {
  for (const levels of [4, 5] as const) {
    describe(`a guest's memory through ${kind}, ${levels} levels`, () => {
      const { memory } = guest(kind, levels);

      it('has the ranges that are mapped', () => {
        assert.deepEqual(
          memory.ranges().map(({ start, end }) => [start, end]),
          [
            [0, 2 * PAGE_BYTE],
            [5 * PAGE_BYTE, 6 * PAGE_BYTE],
            [4 * MIB, 6 * MIB],
            [3072 * MIB, 3072 * MIB + PAGE_BYTE],
          ],
        );
        assert.deepEqual(memory.damage, []);
      });

      it("has the host's pages", () => {
        const first = (pfn: number): number | undefined => {
          const page = memory.page(pfn as Pfn);
          return typeof page === 'string' ? undefined : page[0];
        };
        assert.deepEqual([0, 1, 2, 5, 786_432].map(first), [100, 101, undefined, 102, 103]);
        assert.equal(first(1024), 0);
        assert.equal(first(1025), 1);
        assert.equal(first(1535), 1535 & 0xff);
        assert.equal(memory.state(3 as Pfn), 'absent');
        assert.equal(memory.state((2 ** 36 + 7) as Pfn), 'absent');
      });

      it('is read in bulk as page by page', () => {
        const bulk = new Uint8Array(600 * PAGE_BYTE);
        assert.equal(memory.readPages(0, bulk), 2);
        assert.equal(memory.readPages(1024, bulk), 512);
        assert.equal(bulk[PAGE_BYTE], 1);
        assert.equal(memory.readPages(2, bulk), 0);
        const states = new Uint8Array(8);
        memory.states(0, states);
        assert.deepEqual(
          [...states].map((state) => PAGE_STATES[state]).join(' '),
          'present present absent absent absent present absent absent',
        );
      });
    });
  }
}

describe('nested page tables', () => {
  it("do not lead where a device is: KVM's markers", () => {
    const npt = guest('NPT', 4);
    npt.last.set(1, 101 * PAGE_BYTE, (1n << 51n) | 7n);
    assert.equal(npt.memory.state(1 as Pfn), 'absent');
    const ept = guest('EPT', 4);
    ept.last.set(1, 101 * PAGE_BYTE, 6n);
    assert.equal(ept.memory.state(1 as Pfn), 'absent');
  });

  it('lead to pages that KVM watches for being used', () => {
    const { last, memory } = guest('EPT', 4);
    last.set(7, 101 * PAGE_BYTE, 0x800n | (5n << 54n)).set(8, 101 * PAGE_BYTE, 0x800n);
    assert.equal(memory.state(7 as Pfn), 'present');
    assert.equal(memory.state(8 as Pfn), 'absent');
  });

  it("are read without AMD's encryption bit", () => {
    const { host, last } = guest('NPT', 4);
    last.set(1, 101 * PAGE_BYTE, (1n << 51n) | 7n).set(2, 102 * PAGE_BYTE, (1n << 47n) | 7n);
    const at51 = new NestedMemory(host, PAGE_BYTE, 'NPT', { levels: 4, encryptionMask: 1n << 51n });
    assert.equal(at51.hostFrame(1), 101);
    const at47 = new NestedMemory(host, PAGE_BYTE, 'NPT', { levels: 4, encryptionMask: 1n << 47n });
    assert.equal(at47.hostFrame(2), 102);
  });

  it('that the dump lacks make their pages as missing as they are', () => {
    const { host, memory } = guest('EPT', 4);
    host.pages.set(13, 'excluded');
    host.pages.set(12, 'lost');
    assert.equal(memory.state(0 as Pfn), 'excluded');
    assert.equal(memory.page(300 as Pfn), 'excluded');
    assert.deepEqual(
      memory.damage.map(({ code }) => code),
      ['EXH_PAGE_EXCLUDED', 'EXH_PAGE_LOST'],
    );
    assert.equal(memory.ranges()[0]?.end, (2 * MIB) as PhysicalAddress);
  });

  it('tell pages of the guest that the host dump does not have from those that it never had', () => {
    const { host, memory } = guest('NPT', 4);
    host.pages.set(101, 'excluded');
    host.pages.delete(102);
    assert.equal(memory.page(1 as Pfn), 'excluded');
    assert.equal(memory.page(5 as Pfn), 'absent');
  });

  it('that refer to themselves end', () => {
    const host = new SparseMemory();
    const root = new TableWriter(host, 1);
    for (let i = 0; i < 512; i++) root.set(i, PAGE_BYTE, 7n);
    const memory = new NestedMemory(host, PAGE_BYTE, 'EPT', { levels: 5 });
    assert.deepEqual(memory.ranges(), []);
    assert.match(memory.damage[0]?.message ?? '', /more than one place/);
    assert.ok(memory.damage.length <= 20);
  });

  it('do not map more large pages than the host has memory', () => {
    const host = new SparseMemory();
    new TableWriter(host, 1).set(0, 2 * PAGE_BYTE, 7n);
    const gigabytes = new TableWriter(host, 2);
    for (let i = 0; i < 512; i++) gigabytes.set(i, i * 1024 * MIB, 7n | LARGE);
    const memory = new NestedMemory(host, PAGE_BYTE, 'NPT', { levels: 4 });
    assert.ok(memory.describedBytes() <= host.describedBytes());
    assert.match(memory.damage[0]?.message ?? '', /more large pages than the host has memory/);
  });

  it('have 4 or 5 levels and 4 KiB pages', () => {
    const usage = (error: unknown): boolean => error instanceof ExhumeError && error.code === 'EXH_USAGE';
    assert.throws(() => new NestedMemory(new SparseMemory(), 0, 'NPT', { levels: 3 }), usage);
    assert.throws(
      () => new NestedMemory(new SparseMemory(8192), 0, 'NPT', { levels: 4 }),
      (error: unknown) => error instanceof ExhumeError && error.code === 'EXH_UNSUPPORTED_FORMAT',
    );
  });

  it('may hold anything', () => {
    const random = new Random(99);
    for (let round = 0; round < 300; round++) {
      const { host, memory } = guest(random.pick(['NPT', 'EPT']), random.pick([4, 5]));
      for (const pfn of [1, 2, 10, 11, 12, 13]) random.mutate(host.at(pfn), 20);
      assert.ok(memory.describedBytes() >= 0);
      for (const { start, end } of memory.ranges())
        assert.notEqual(memory.state((start / PAGE_BYTE) as Pfn), undefined, `${end}`);
      memory.readPages(random.below(2000), new Uint8Array(20 * PAGE_BYTE));
    }
  });
});

describe('an EPT pointer', () => {
  it('says where the tables begin and how many levels they have', () => {
    assert.deepEqual(eptRoot(0x2fd0_605en), { root: 0x2fd0_6000, levels: 4 });
    assert.deepEqual(eptRoot(0x1_0000_0066n), { root: 0x1_0000_0000, levels: 5 });
  });
});
