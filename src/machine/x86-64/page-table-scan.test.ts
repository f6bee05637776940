import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { hex, physicalAddress } from '../../bytes/address.js';
import { SparseMemory, TableWriter } from '../../dump/testing/sparse-memory.js';
import { Random } from '../../testing/random.js';
import type { JudgedRoot } from '../machine.js';
import { KERNELS, loadKernelFixture } from '../testing/node.js';
import { readCpus, rootsOf } from './cpus.js';
import { judgeRoot, scanForRoots } from './page-table-scan.js';

function certain(roots: Iterable<JudgedRoot>): JudgedRoot[] {
  return [...roots].filter((root) => root.certain);
}

describe('page-table roots found by scanning', () => {
  for (const name of KERNELS) {
    const { container, memory, golden } = loadKernelFixture(name);

    it(`${name}: exactly one is the kernel's own, with the guest's own phys_base, image and linear map`, () => {
      const [found, ...others] = certain(scanForRoots(memory));
      assert.ok(found);
      assert.deepEqual(others, []);
      assert.equal(hex(found.root), golden.root);
      assert.equal(found.levels, golden.levels);
      assert.equal(hex(found.physBase), golden.physBase);
      assert.equal(hex(found.image.virtual), golden.image.virtual);
      assert.equal(hex(found.image.physical), golden.image.physical);
      assert.equal(hex(found.directMap ?? 0), golden.directMap);
      assert.equal(found.evidence.length, 3);
    });

    it(`${name}: what the CPUs' registers name is judged the same kernel`, () => {
      for (const cpu of readCpus(container).cpus) {
        const judged = rootsOf(cpu)
          .map((root) => judgeRoot(memory, root))
          .find((root) => root !== undefined);
        assert.equal(hex(judged?.physBase ?? 0), golden.physBase);
        assert.equal(hex(judged?.directMap ?? 0), golden.directMap);
      }
    });
  }

  it("a table of user mode under page-table isolation is worth less than the kernel's beside it", () => {
    const { container, memory } = loadKernelFixture('linux-6.1-pti');
    const [cpu] = readCpus(container).cpus;
    assert.ok(cpu);
    const [kernel, user] = rootsOf(cpu).map((root) => judgeRoot(memory, root));
    assert.ok(kernel !== undefined && user !== undefined);
    assert.ok(kernel.score > user.score);
    assert.equal(user.directMap, undefined);
    assert.equal(kernel.certain, false);
    const scanned = [...scanForRoots(memory)].map(({ root }) => root);
    assert.ok(scanned.includes(kernel.root));
    assert.ok(!scanned.includes(user.root));
  });

  it('with too few levels or too many there is no image', () => {
    for (const [name, levels] of [
      ['linux-7.2', 5],
      ['linux-7.2-la57', 4],
    ] as const) {
      const { memory, golden } = loadKernelFixture(name);
      const root = physicalAddress(BigInt(golden.root));
      const judged = judgeRoot(memory, { root, levels, method: 'wrong' });
      assert.ok(judged === undefined || !judged.certain);
    }
  });

  it('looks at no more pages than told, counted over all ranges', () => {
    const { memory, golden } = loadKernelFixture('linux-7.2');
    const before = [...memory.pages.keys()].filter((pfn) => pfn * 4096 < Number(golden.root)).length;
    assert.equal(certain(scanForRoots(memory, { pages: before })).length, 0);
    assert.equal(certain(scanForRoots(memory, { pages: before + 1 })).length, 1);
  });

  it('without the tables below, the root is not one', () => {
    const { memory, golden } = loadKernelFixture('linux-7.2');
    for (const pfn of memory.pages.keys()) if (pfn * 4096 !== Number(golden.root)) memory.pages.set(pfn, 'excluded');
    assert.deepEqual([...scanForRoots(memory)], []);
  });
});

describe('what is no kernel page table', () => {
  it('random pages', () => {
    const random = new Random(5);
    const memory = new SparseMemory();
    for (let pfn = 0; pfn < 256; pfn++) {
      const page = memory.at(pfn);
      for (let i = 0; i < page.length; i++) page[i] = random.below(256);
    }
    assert.deepEqual([...scanForRoots(memory)], []);
  });

  const MIB2 = 0x20_0000;
  const NX = 1n << 63n;

  /** A linear map, and a kernel image of `size` pages from 0xffffffff81000000 + `skip` pages on; root at 0x1000. */
  function imageOf(size: number, target: number, flags: bigint, skip = 0): SparseMemory {
    const memory = new SparseMemory();
    new TableWriter(memory, 1).set(511, 0x2000, 3n).set(256, 0x6000, 3n);
    new TableWriter(memory, 6).set(0, 0, 0x83n | NX);
    new TableWriter(memory, 2).set(510, 0x3000, 3n);
    new TableWriter(memory, 3).set(8, 0x4000, 3n).set(9, 0x5000, 3n);
    for (let i = 0; i < size; i++) {
      const at = skip + i;
      new TableWriter(memory, at < 512 ? 4 : 5).set(at % 512, target + i * 4096, flags);
    }
    return memory;
  }
  for (const [what, memory, count] of [
    ['an image of 2 MiB: a kernel', imageOf(512, MIB2, 1n), 1],
    ['a smaller one', imageOf(511, MIB2, 1n), 0],
    ['one that is not executable', imageOf(512, MIB2, 1n | NX), 0],
    ['one at an odd physical address', imageOf(512, MIB2 + 4096, 1n), 0],
    ['one at an odd virtual address', imageOf(512, MIB2, 1n, 1), 0],
  ] as const) {
    it(what, () => {
      assert.equal([...scanForRoots(memory)].length, count);
    });
  }

  it('a root that is mapped anywhere but in a linear map, which begins at a multiple of 1 GiB', () => {
    const rootAt = (virtualPage: number): JudgedRoot | undefined => {
      const memory = imageOf(512, MIB2, 1n);
      new TableWriter(memory, 6).set(0, 0x7000, 3n);
      new TableWriter(memory, 7).set(0, 0x8000, 3n);
      new TableWriter(memory, 8).set(virtualPage, 0x1000, 3n | NX);
      return judgeRoot(memory, { root: physicalAddress(0x1000), levels: 4, method: 'made' });
    };
    assert.equal(rootAt(1)?.directMap, 0xffff_8000_0000_0000n);
    assert.equal(rootAt(2)?.directMap, undefined);
  });

  it("a copy of the kernel's table elsewhere in its image, as in freed parts of it", () => {
    const { memory, golden } = loadKernelFixture('linux-7.2');
    const root = Number(golden.root) / 4096;
    for (const copy of [Number(golden.image.physical) / 4096, root + 64]) {
      memory.pages.set(copy, memory.at(root).slice());
    }
    const roots = [...scanForRoots(memory)];
    assert.deepEqual(
      certain(roots).map((found) => found.root / 4096),
      [root],
    );
    assert.ok(roots.length > 2);
  });

  it('entries with the encryption bit are followed only when that bit is told', () => {
    const memory = imageOf(512, MIB2, 1n);
    const encryptionMask = 1n << 47n;
    for (const page of memory.pages.values()) {
      const entries = new DataView((page as Uint8Array).buffer);
      for (let at = 0; at < 4096; at += 8) {
        const entry = entries.getBigUint64(at, true);
        if ((entry & 1n) !== 0n) entries.setBigUint64(at, entry | encryptionMask, true);
      }
    }
    assert.deepEqual([...scanForRoots(memory)], []);
    assert.equal([...scanForRoots(memory, { encryptionMask })].length, 1);
  });

  it('made-up tables by the thousand: ends after 16,384 of them', () => {
    const memory = imageOf(512, MIB2, 1n);
    const root = memory.at(1);
    for (let pfn = 0x1000; pfn < 0x1000 + 16_400; pfn++) memory.pages.set(pfn, root);
    assert.equal([...scanForRoots(memory)].length, 16_384);
  });

  it('tables that lead to themselves', () => {
    const memory = new SparseMemory();
    for (let pfn = 1; pfn < 64; pfn++) {
      const table = new TableWriter(memory, pfn);
      for (let i = 0; i < 512; i++) table.set(i, ((pfn + i) % 64) * 4096, 3n);
    }
    assert.equal(certain(scanForRoots(memory)).length, 0);
  });

  it('a real kernel with random bytes in its tables: no error, and no answer but the true one', () => {
    const random = new Random(6);
    for (const name of KERNELS) {
      const { memory, golden } = loadKernelFixture(name);
      const frames = [...memory.pages.keys()];
      for (let round = 0; round < 10; round++) {
        for (let n = 0; n < 4; n++) random.mutate(memory.at(frames[random.below(frames.length)] ?? 0));
        for (const { root } of certain(scanForRoots(memory))) assert.equal(hex(root), golden.root);
      }
    }
  });
});
