import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { virtualAddress } from '../../bytes/address.js';
import { SparseMemory, TableWriter } from '../../dump/testing/sparse-memory.js';
import type { MemoryArea } from '../../kernel/memory/address-space.js';
import { Random } from '../../testing/random.js';
import { ProcessAreas } from './process-areas.js';
import { isSwapped, PAGE, ProcessPages, swapPlace } from './process-pages.js';

const ROOT = 1;
const TABLE = 0x067n;
const LEAF = 0x867n;
const HUGE = 0x8e7n;
/** In pages: where the tests' memory lies, at the start of a chunk. */
const AT = 0x7f12_3400_0000 / 4096;
const MASK = (1n << 64n) - 1n;

function area(first: number, pages: number, more: Partial<MemoryArea> = {}): MemoryArea {
  return {
    address: virtualAddress(0x1000n),
    start: virtualAddress(BigInt(first) << 12n),
    end: BigInt(first + pages) << 12n,
    flags: 0x73n,
    permissions: 'rw-p',
    offset: 0n,
    inode: 0n,
    device: undefined,
    file: undefined,
    name: undefined,
    ...more,
  };
}

/** A process with a table for the GiB around AT, whose entries the test sets: of the level above, and of the last. */
function processWith(
  areas: readonly MemoryArea[],
  filePages = (): number => PAGE.lost,
): { host: SparseMemory; pages: ProcessPages; upper: TableWriter; last: TableWriter } {
  const host = new SparseMemory();
  const index = (shift: number): number => Math.floor(AT / 512 ** shift) % 512;
  new TableWriter(host, ROOT).set(index(3), 2 << 12, TABLE);
  new TableWriter(host, 2).set(index(2), 3 << 12, TABLE);
  const upper = new TableWriter(host, 3).set(index(1), 4 << 12, TABLE);
  const last = new TableWriter(host, 4);
  return { host, pages: new ProcessPages(host, ROOT, 4, new ProcessAreas(areas, filePages)), upper, last };
}

describe('pages of a process', () => {
  it('are where the last level of the page table says', () => {
    const { pages, last } = processWith([area(AT, 512)]);
    last.set(0, 0x1234_5000, LEAF).set(511, 0x9000, LEAF);
    assert.equal(pages.at(AT), 0x12345);
    assert.equal(pages.at(AT + 511), 9);
  });

  it('are in one piece where a huge page maps them', () => {
    const { pages, upper } = processWith([area(AT, 1024)]);
    const slot = (Math.floor(AT / 512) + 1) % 512;
    upper.set(slot, 0x4020_0000, HUGE);
    assert.equal(pages.at(AT + 512), 0x40200);
    assert.equal(pages.at(AT + 512 + 77), 0x40200 + 77);
  });

  it('are 2 MiB of a page of 1 GiB, too', () => {
    const { host, pages } = processWith([area(AT, 2 ** 19)]);
    new TableWriter(host, 2).set(Math.floor(AT / 2 ** 18) % 512, 0x1_4000_0000, HUGE);
    assert.equal(pages.at(AT + 600), 0x140000 + (AT % 2 ** 18) + 600);
  });

  it('are found where they have no access rights for the moment, small and huge', () => {
    const { pages, last, upper } = processWith([area(AT, 1024)]);
    // Linux inverts the address of such an entry.
    last.set(3, 0, (~(0x7777n << 12n) & 0x000f_ffff_ffff_f000n) | 0x160n);
    upper.set((Math.floor(AT / 512) + 1) % 512, 0, (~(0x40200n << 12n) & 0x000f_ffff_ffff_f000n) | 0x1e0n);
    assert.equal(pages.at(AT + 3), 0x7777);
    assert.equal(pages.at(AT + 512 + 5), 0x40205);
  });

  it('are in swap where the entry says so', () => {
    const { pages, last } = processWith([area(AT, 512)]);
    // Type 2, offset 0x1234: SWP_TYPE_BITS 5, the offset inverted in bits 58:9.
    last.set(7, 0, (2n << 59n) | ((~0x1234n << 9n) & ((1n << 59n) - 1n) & ~0x1ffn & MASK));
    const at = pages.at(AT + 7);
    assert.ok(isSwapped(at));
    assert.deepEqual(swapPlace(at), { type: 2, offset: 0x1234 });
  });

  it('that were never touched are known as such, where memory of their own is mapped and nowhere else', () => {
    const areas = [area(AT, 4), area(AT + 4, 4, { flags: 0x273n }), area(AT + 8, 4, { file: '/a', inode: 7n })];
    const { pages } = processWith(areas, () => 0x55);
    assert.equal(pages.at(AT + 1), PAGE.untouched);
    assert.equal(pages.at(AT + 5), PAGE.lost);
    assert.equal(pages.at(AT + 9), 0x55);
    assert.equal(pages.at(AT + 12), PAGE.absent);
  });

  it('are told to be untouched by whole chunks without a table', () => {
    const { pages } = processWith([area(AT, 2048)]);
    assert.equal(pages.isUntouched(AT / 512), false);
    assert.equal(pages.isUntouched(AT / 512 + 2), true);
    assert.equal(pages.isUntouched(AT / 512 + 4), false);
    assert.equal(pages.at(AT + 1025), PAGE.untouched);
  });

  it('are as missing as the table that led to them', () => {
    for (const [state, expected] of [
      ['excluded', PAGE.excluded],
      ['lost', PAGE.lost],
      ['absent', PAGE.lost],
    ] as const) {
      for (const table of [2, 3, 4]) {
        const { host, pages } = processWith([area(AT, 512)]);
        host.pages.set(table, state);
        assert.equal(pages.at(AT), expected);
      }
    }
  });

  it('do not hang or fail on tables of any content', () => {
    const random = new Random(6);
    for (let round = 0; round < 300; round++) {
      const { host, pages } = processWith([area(AT, 4096)]);
      for (let table = 1; table <= 4; table++) {
        const view = new DataView(host.at(table).buffer, host.at(table).byteOffset, 4096);
        for (let i = 0; i < 512; i++) {
          if (random.below(3) > 0) view.setUint32(i * 8, random.below(2 ** 32), true);
          if (random.below(3) > 0) view.setUint32(i * 8 + 4, random.below(2 ** 32), true);
        }
      }
      for (let i = 0; i < 200; i++) {
        const at = pages.at(AT + random.below(4096));
        assert.ok(Number.isInteger(at) && at < 2 ** 40);
      }
    }
  });
});
