import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { physicalAddress, type VirtualAddress, virtualAddress } from '../../bytes/address.js';
import { isExhumeError } from '../../bytes/errors.js';
import { SparseMemory, TableWriter } from '../../dump/testing/sparse-memory.js';
import { Random } from '../../testing/random.js';
import type { Mapping } from '../machine.js';
import { KERNELS, loadKernelFixture } from '../testing/node.js';
import { kernelRoots, X86PageTable } from './paging.js';

const P = 0x1n;
const RW = 0x2n;
const US = 0x4n;
const PS = 0x80n;
const PAT_LARGE = 0x1000n;
const NX = 1n << 63n;
const TABLE = P | RW | US;
const PAGE = 4096;
const MIB2 = 2 * 2 ** 20;
const GIB = 2 ** 30;

const LAST = virtualAddress(0xffff_ffff_ffff_ffffn);

/** Root at pfn 1; page directory pointer at 2, page directory at 3, last level at 4, all reached by address 0. */
function smallTables(): {
  memory: SparseMemory;
  pgd: TableWriter;
  pud: TableWriter;
  pmd: TableWriter;
  pte: TableWriter;
} {
  const memory = new SparseMemory();
  const [pgd, pud, pmd, pte] = [1, 2, 3, 4].map((pfn) => new TableWriter(memory, pfn)) as [
    TableWriter,
    TableWriter,
    TableWriter,
    TableWriter,
  ];
  pgd.set(0, 2 * PAGE, TABLE);
  pud.set(0, 3 * PAGE, TABLE);
  pmd.set(0, 4 * PAGE, TABLE);
  return { memory, pgd, pud, pmd, pte };
}

function open(memory: SparseMemory, levels = 4, encryptionMask = 0n): X86PageTable {
  return new X86PageTable(memory, physicalAddress(PAGE), levels, { encryptionMask });
}

function spans(table: X86PageTable, from = 0n, to: bigint = LAST, limit?: number): string[] {
  return [...table.mappings(virtualAddress(from), virtualAddress(to), limit)].map(spanText);
}

function spanText({ virtual, physical, size, writable, executable, user }: Mapping): string {
  const rights = `${writable ? 'w' : '-'}${executable ? 'x' : '-'}${user ? 'u' : '-'}`;
  return `${virtual.toString(16)} ${physical.toString(16)} ${size.toString(16)} ${rights}`;
}

describe('page tables of real kernels', () => {
  for (const name of KERNELS) {
    const { memory, golden } = loadKernelFixture(name);
    const table = new X86PageTable(memory, physicalAddress(BigInt(golden.root)), golden.levels);

    it(`${name}: translates as drgn and crash do`, () => {
      assert.ok(golden.translations.some(([, physical]) => physical === null));
      for (const [virtual, physical] of golden.translations) {
        const expected = physical === null ? undefined : Number(physical);
        const address = virtualAddress(BigInt(virtual));
        assert.equal(table.translate(address), expected, virtual);
        assert.equal(table.translate(address), expected, `${virtual} once more`);
        assert.equal(table.walk(address).physical, expected, `walk to ${virtual}`);
      }
    });

    it(`${name}: lists every mapping that a translation meets, in order, with its own distance`, () => {
      const mappings = [...table.mappings(virtualAddress(1n << 63n), LAST)];
      let end = 0n;
      for (const { virtual, size } of mappings) {
        assert.ok(virtual >= end);
        end = virtual + BigInt(size);
      }
      for (const [virtual, physical] of golden.translations) {
        const address = BigInt(virtual);
        const hit = mappings.find((span) => address >= span.virtual && address < span.virtual + BigInt(span.size));
        const expected = physical === null ? undefined : Number(physical);
        assert.equal(hit && hit.physical + Number(address - hit.virtual), expected, virtual);
      }
    });

    it(`${name}: the same from tables in pages of another size`, () => {
      const large = new SparseMemory(16_384);
      for (const [pfn, page] of memory.pages) {
        large.at(Math.floor(pfn / 4)).set(page as Uint8Array, (pfn % 4) * PAGE);
      }
      const same = new X86PageTable(large, table.root, golden.levels);
      for (const [virtual, physical] of golden.translations) {
        const expected = physical === null ? undefined : Number(physical);
        assert.equal(same.translate(virtualAddress(BigInt(virtual))), expected, virtual);
      }
    });
  }

  it('page-table isolation: the root of user mode lacks the linear map, the one before it has it', () => {
    const { memory, golden } = loadKernelFixture('linux-6.1-pti');
    const [kernel, user] = kernelRoots(BigInt(golden.userRoots[0] ?? 0) | 0x7n);
    assert.ok(kernel !== undefined && user !== undefined && user === kernel + PAGE);
    const address = virtualAddress(BigInt(golden.directMap) + 0x10_0000n);
    assert.equal(new X86PageTable(memory, kernel, 4).translate(address), 0x10_0000);
    assert.equal(new X86PageTable(memory, user, 4).translate(address), undefined);
  });
});

describe('translate and walk', () => {
  const { memory, pgd, pud, pmd, pte } = smallTables();
  pte
    .set(0, 0x5000, P | RW)
    .set(1, 0x6000, P | NX)
    .set(2, 0x7000, 0n);
  pmd.set(1, 8 * MIB2, P | RW | PS | PAT_LARGE);
  pud.set(1, 3 * GIB, P | PS | PAT_LARGE | US);
  pud.set(511, 0xf_ffff_c000_0000n, P | PS);
  pgd.set(1, 0, P | PS);
  pgd.set(2, 0x77_0000, TABLE);
  const table = open(memory);

  for (const [what, address, expected] of [
    ['a 4 KiB page', 0xfffn, 0x5fff],
    ['the next one', 0x1000n, 0x6000],
    ['an entry that is not present', 0x2000n, undefined],
    ['the start of a 2 MiB page; bit 12 of its entry is no address', 0x20_0000n, 8 * MIB2],
    ['the end of a 2 MiB page', 0x3f_ffffn, 9 * MIB2 - 1],
    ['the start of a 1 GiB page', 0x4000_0000n, 3 * GIB],
    ['inside a 1 GiB page', 0x4000_0000n + 0x1234_5678n, 3 * GIB + 0x1234_5678],
    ['the end of a 1 GiB page', 0x7fff_ffffn, 4 * GIB - 1],
    ['the highest physical address', 0x7f_ffff_ffffn, 2 ** 52 - 1],
    ['a top-level entry with the page-size bit', 0x80_0000_0000n, undefined],
    ['a table outside the dump', 0x100_0000_0000n, undefined],
    ['the first address of the hole', 0x8000_0000_0000n, undefined],
    ['the last address of the hole', 0xffff_7fff_ffff_ffffn, undefined],
    ['an address that has the low 48 bits of a mapped one', 0x1_0000_0000_0000n, undefined],
    ['the same with all bits above set', 0xffff_0000_0000_0000n, undefined],
  ] as const) {
    it(what, () => {
      assert.equal(table.translate(virtualAddress(address)), expected);
      assert.equal(table.walk(virtualAddress(address)).physical, expected);
    });
  }

  it('walk tells each step, its flags, and the size of the page', () => {
    const walk = table.walk(virtualAddress(0x1000n));
    assert.deepEqual(
      walk.steps.map(({ level, entryAddress, flags }) => [level, entryAddress, flags.join('|')]),
      [
        ['PGD', 0x1000, 'PRESENT|RW|USER'],
        ['PUD', 0x2000, 'PRESENT|RW|USER'],
        ['PMD', 0x3000, 'PRESENT|RW|USER'],
        ['PTE', 0x4008, 'PRESENT|NX'],
      ],
    );
    assert.equal(walk.pageSize, PAGE);
    assert.equal(table.walk(virtualAddress(0x20_0000n)).pageSize, MIB2);
    assert.equal(table.walk(virtualAddress(0x4000_0000n)).pageSize, GIB);
    assert.deepEqual(table.walk(virtualAddress(0x20_0000n)).steps.at(-1)?.flags, ['PRESENT', 'RW', 'PSE']);
  });

  it('walk tells why it stopped', () => {
    const stopped = (address: bigint): string | undefined => table.walk(virtualAddress(address)).stopped;
    assert.equal(stopped(0x2000n), 'the PTE entry is not present');
    assert.match(stopped(0x80_0000_0000n) ?? '', /PGD entry has its page-size bit/);
    assert.equal(stopped(0x100_0000_0000n), 'the PUD table at 0x770000 is absent in the dump');
    assert.match(stopped(0x8000_0000_0000n) ?? '', /not a canonical address: bits 63 to 47/);
    memory.pages.set(0x770, 'excluded');
    assert.equal(
      open(memory).walk(virtualAddress(0x100_0000_0000n)).stopped,
      'the PUD table at 0x770000 is excluded in the dump',
    );
  });

  it('reading an unmapped address says at which level the walk ended', () => {
    assert.throws(
      () => table.u64(0x2000n),
      (error) => isExhumeError(error, 'EXH_NOT_MAPPED') && /0x2000 is not mapped: the PTE/.test(error.message),
    );
  });

  it('an address above 2^64 is taken modulo', () => {
    assert.equal(table.translate((1n << 64n) as VirtualAddress), 0x5000);
  });

  it('the encryption bit is no address', () => {
    const mask = 1n << 47n;
    const encrypted = smallTables();
    encrypted.pgd.set(0, 2 * PAGE, TABLE | mask);
    encrypted.pmd.set(0, 4 * PAGE, TABLE | mask).set(1, MIB2, P | PS | mask);
    encrypted.pte.set(0, 0x5000, P | mask);
    const decrypted = open(encrypted.memory, 4, mask);
    assert.equal(decrypted.translate(virtualAddress(0x10n)), 0x5010);
    assert.equal(decrypted.translate(virtualAddress(0x20_0010n)), MIB2 + 0x10);
    assert.equal(decrypted.walk(virtualAddress(0x20_0010n)).physical, MIB2 + 0x10);
    assert.equal([...decrypted.mappings(virtualAddress(0), LAST)][0]?.physical, 0x5000);
    assert.equal(open(encrypted.memory).translate(virtualAddress(0x10n)), undefined);
  });

  it('five levels: one more table, and addresses of 57 bits', () => {
    const five = smallTables();
    // The five-level root is at pfn 9 and leads to the four-level one at entries 0 and 256.
    new TableWriter(five.memory, 9).set(0, PAGE, TABLE).set(256, PAGE, TABLE);
    five.pte.set(0, 0x5000, P);
    const top = new X86PageTable(five.memory, physicalAddress(9 * PAGE), 5);
    assert.equal(top.translate(virtualAddress(0x123n)), 0x5123);
    assert.equal(top.translate(virtualAddress(0xff00_0000_0000_0123n)), 0x5123);
    assert.equal(top.translate(virtualAddress(0x0100_0000_0000_0123n)), undefined);
    assert.deepEqual(
      top.walk(virtualAddress(0xff00_0000_0000_0123n)).steps.map(({ level }) => level),
      ['PGD', 'P4D', 'PUD', 'PMD', 'PTE'],
    );
    assert.deepEqual(spans(top), ['0 5000 1000 -x-', 'ff00000000000000 5000 1000 -x-']);
  });

  it('other numbers of levels are refused', () => {
    for (const levels of [0, 2, 3, 6]) {
      assert.throws(
        () => open(memory, levels),
        (error) => isExhumeError(error, 'EXH_USAGE'),
      );
    }
  });

  it('nor do addresses that differ above their low 32 bits', () => {
    const memory = new SparseMemory();
    const pgd = new TableWriter(memory, 1);
    const pages = new Map<bigint, number>();
    for (let i = 0; i < 16; i++) {
      const pud = new TableWriter(memory, 16 + i);
      pgd.set(i, (16 + i) * PAGE, TABLE);
      for (let k = 0; k < 512; k += 4) {
        const page = (i * 512 + k) * GIB;
        pud.set(k, page, P | PS);
        pages.set((BigInt(i) << 39n) | (BigInt(k) << 30n), page);
      }
    }
    const table = open(memory);
    for (let round = 0; round < 2; round++) {
      for (const [address, page] of pages) {
        assert.equal(table.translate(virtualAddress(address + 0x5123n)), page + 0x5123);
        assert.equal(table.translate(virtualAddress(address + 0x6123n)), page + 0x6123);
      }
    }
  });

  it('keeps at most 1024 table pages, whatever a table leads to', () => {
    const { memory, pmd, pud } = smallTables();
    const second = new TableWriter(memory, 5);
    pud.set(1, 5 * PAGE, TABLE);
    for (let i = 0; i < 512; i++) {
      pmd.set(i, (100 + i) * PAGE, TABLE);
      second.set(i, (700 + i) * PAGE, TABLE);
      for (const pfn of [100 + i, 700 + i]) new TableWriter(memory, pfn).set(0, pfn * PAGE, P);
    }
    const table = open(memory);
    let reads = 0;
    const page = memory.page.bind(memory);
    memory.page = (pfn) => {
      reads++;
      return page(pfn);
    };
    const visit = (from: number): void => {
      for (let i = 0; i < 512; i++) table.translate(virtualAddress(from + i * MIB2));
    };
    visit(0);
    assert.equal(reads, 3 + 512);
    visit(0);
    assert.equal(reads, 3 + 512);
    visit(GIB);
    assert.ok(reads >= 4 + 1024);
    const before = reads;
    // Other pages of the first tables: those were given up meanwhile.
    for (let i = 0; i < 512; i++) table.translate(virtualAddress(i * MIB2 + PAGE));
    assert.ok(reads > before);
  });

  it('entries of one slot of the translation cache do not stand in for each other', () => {
    const { memory, pmd, pte } = smallTables();
    for (let i = 0; i < 512; i++) pte.set(i, (0x100 + i) * PAGE, P);
    for (let i = 1; i < 512; i++) pmd.set(i, i * MIB2, P | PS);
    const random = new Random(1);
    const table = open(memory);
    for (let i = 0; i < 20_000; i++) {
      const address = random.below(GIB);
      const expected = address < MIB2 ? address + 0x10_0000 : address;
      assert.equal(table.translate(virtualAddress(address)), expected);
    }
  });
});

describe('mappings', () => {
  it('joins what is contiguous with equal rights, across levels and tables', () => {
    const { memory, pud, pmd, pte } = smallTables();
    for (let i = 0; i < 512; i++) pte.set(i, GIB - MIB2 + i * PAGE, P | RW);
    pmd
      .set(1, GIB, P | RW | PS)
      .set(2, GIB + MIB2, P | RW | PS)
      .set(3, GIB + 2 * MIB2, P | RW | PS | NX);
    pud.set(1, 4 * GIB, P | US | PS);
    assert.deepEqual(spans(open(memory)), [
      '0 3fe00000 600000 wx-',
      '600000 40400000 200000 w--',
      '40000000 100000000 40000000 -xu',
    ]);
  });

  it('rights are what all levels allow', () => {
    const { memory, pgd, pmd, pte } = smallTables();
    pte.set(0, 0x5000, P | RW | US);
    assert.deepEqual(spans(open(memory)), ['0 5000 1000 wxu']);
    pmd.set(0, 4 * PAGE, P | US);
    assert.deepEqual(spans(open(memory)), ['0 5000 1000 -xu']);
    pmd.set(0, 4 * PAGE, P | RW);
    assert.deepEqual(spans(open(memory)), ['0 5000 1000 wx-']);
    pgd.set(0, 2 * PAGE, TABLE | NX);
    assert.deepEqual(spans(open(memory)), ['0 5000 1000 w--']);
  });

  it('cuts to the asked addresses, both inclusive', () => {
    const { memory, pmd } = smallTables();
    pmd.set(0, MIB2, P | PS);
    const table = open(memory);
    assert.deepEqual(spans(table, 0x1801n, 0x2800n), ['1801 201801 1000 -x-']);
    assert.deepEqual(spans(table, 0x1f_ffffn, 0x1f_ffffn), ['1fffff 3fffff 1 -x-']);
    assert.deepEqual(spans(table, 0x20_0000n, LAST), []);
    assert.deepEqual(spans(table, 0x10n, 0xfn), []);
  });

  it('goes over the hole: the halves are not joined, and ends inside it are moved to its edges', () => {
    const { memory, pgd, pud, pmd, pte } = smallTables();
    // The last page of the lower half and the first of the upper, physically contiguous.
    pgd
      .set(255, 2 * PAGE, TABLE)
      .set(256, 12 * PAGE, TABLE)
      .set(0, 0, 0n);
    pud.set(511, 3 * PAGE, TABLE).set(0, 0, 0n);
    pmd.set(511, 4 * PAGE, TABLE).set(0, 0, 0n);
    pte.set(511, 0x5000, P).set(0, 0x9000, P);
    new TableWriter(memory, 12).set(0, 13 * PAGE, TABLE);
    new TableWriter(memory, 13).set(0, 14 * PAGE, TABLE);
    new TableWriter(memory, 14).set(0, 0x6000, P);
    const table = open(memory);
    const all = ['7fffffe00000 9000 1000 -x-', '7ffffffff000 5000 1000 -x-', 'ffff800000000000 6000 1000 -x-'];
    assert.deepEqual(spans(table), all);
    assert.deepEqual(spans(table, 0x7fff_ffff_f000n, 0xffff_8000_0000_0fffn), all.slice(1));
    assert.deepEqual(spans(table, 0x8000_0000_0000n, 0xffff_8000_0000_0fffn), all.slice(2));
    assert.deepEqual(spans(table, 0x7fff_ffff_f000n, 0xffff_0000_0000_0000n), all.slice(1, 2));
    assert.deepEqual(spans(table, 0x8000_0000_0000n, 0xffff_0000_0000_0000n), []);
  });

  it('stops after the limit', () => {
    const { memory, pte } = smallTables();
    for (let i = 0; i < 512; i += 2) pte.set(i, i * PAGE, P);
    assert.equal(spans(open(memory)).length, 256);
    assert.equal(spans(open(memory), 0n, LAST, 10).length, 10);
  });

  it('enters 16 table pages for each span of the limit, and no more', () => {
    const { memory, pud, pmd } = smallTables();
    // 5 * 512 empty last-level tables, then one page.
    for (let i = 0; i < 6; i++) {
      pud.set(i, (10 + i) * PAGE, TABLE);
      const directory = new TableWriter(memory, 10 + i);
      for (let k = 0; k < 512; k++) directory.set(k, (100 + i * 512 + k) * PAGE, TABLE);
    }
    for (let pfn = 100; pfn < 100 + 6 * 512; pfn++) memory.at(pfn);
    pmd.set(0, 0, 0n);
    new TableWriter(memory, 100 + 5 * 512).set(0, 0x5000, P);
    const expected = ['140000000 5000 1000 -x-'];
    assert.deepEqual(spans(open(memory)), expected);
    assert.deepEqual(spans(open(memory), 0n, LAST, 170), expected);
    assert.deepEqual(spans(open(memory), 0n, LAST, 1), []);
  });

  for (const levels of [4, 5]) {
    it(`${levels} levels that all lead to themselves end, in bounded work`, () => {
      const memory = new SparseMemory();
      const loop = new TableWriter(memory, 1);
      for (let i = 0; i < 512; i++) loop.set(i, PAGE, TABLE);
      const table = open(memory, levels);
      assert.equal(table.translate(virtualAddress(0x1234_5678n)), 0x1678);
      const count = spans(table, 0n, LAST, 1_000_000).length;
      // Sixteen visits of the last level, 512 pages each, no two of them contiguous.
      assert.equal(count, 16 * 512);
    });
  }
});

describe('hostile page tables', () => {
  it('random entries: translate, walk and mappings agree, and end', () => {
    const random = new Random(2);
    for (let round = 0; round < 40; round++) {
      const memory = new SparseMemory();
      const tables = 1 + random.below(12);
      for (let pfn = 1; pfn <= tables; pfn++) {
        const writer = new TableWriter(memory, pfn);
        for (let n = random.below(512); n > 0; n--) {
          // Mostly to another of these tables, else anywhere up to the last physical page.
          const target = random.below(4) > 0 ? 1 + random.below(tables) : random.below(2 ** 40);
          const flags = BigInt(random.below(0x1000)) | (random.below(2) === 0 ? NX : 0n);
          writer.set(random.below(512), BigInt(target) << 12n, flags);
        }
      }
      const levels = 4 + random.below(2);
      const table = open(memory, levels);
      for (let n = 0; n < 200; n++) {
        const address = virtualAddress(BigInt(random.below(2 ** 32)) * 2n ** 32n + BigInt(random.below(2 ** 32)));
        const canonical = virtualAddress(BigInt.asIntN(levels === 5 ? 57 : 48, address));
        for (const at of [address, canonical]) {
          const { physical, steps, stopped } = table.walk(at);
          assert.equal(table.translate(at), physical);
          assert.equal(physical === undefined, stopped !== undefined);
          assert.ok(steps.length <= levels);
        }
      }
      let end = -1n;
      for (const { virtual, physical, size } of table.mappings(virtualAddress(0), LAST, 500)) {
        assert.ok(virtual > end && size > 0);
        assert.equal(table.translate(virtual), physical);
        end = virtual + BigInt(size) - 1n;
        assert.equal(table.translate(virtualAddress(end)), physical + size - 1);
      }
    }
  });

  it('a real table with random bytes in it does no worse than not to answer', () => {
    const { memory, golden } = loadKernelFixture('linux-7.2');
    const random = new Random(3);
    const frames = [...memory.pages.keys()];
    for (let round = 0; round < 20; round++) {
      for (let n = 0; n < 200; n++) random.mutate(memory.at(frames[random.below(frames.length)] ?? 0));
      const table = new X86PageTable(memory, physicalAddress(BigInt(golden.root)), 4);
      for (const [virtual] of golden.translations) {
        const address = virtualAddress(BigInt(virtual));
        assert.equal(table.translate(address), table.walk(address).physical);
      }
      assert.ok(spans(table, 0n, LAST, 1000).length <= 1000);
    }
  });
});

describe('kernelRoots', () => {
  for (const [cr3, roots] of [
    [0x1000_2000n, [0x1000_2000]],
    [0x1000_2fffn, [0x1000_2000]],
    [0x1000_3801n, [0x1000_2000, 0x1000_3000]],
    [0x8000_0000_1000_2000n, [0x1000_2000]],
    [0n, [0]],
  ] as const) {
    it(`CR3 0x${cr3.toString(16)}`, () => {
      assert.deepEqual(kernelRoots(cr3), roots);
    });
  }
});
