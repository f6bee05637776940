import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type PhysicalAddress, physicalAddress, type VirtualAddress, virtualAddress } from '../bytes/address.js';
import { isExhumeError } from '../bytes/errors.js';
import { SparseMemory } from '../dump/testing/sparse-memory.js';
import { LinearMemory } from './linear-memory.js';

const BASE = 0xffff_ffff_8000_0000n;

/** Two pages at BASE whose physical pages (3 and 1) do not follow each other, bytes 0, 1, 2 … over both. */
function memory(littleEndian = true): { physical: SparseMemory; virtual: LinearMemory } {
  const physical = new SparseMemory();
  for (const [i, pfn] of [3, 1].entries()) {
    const page = physical.at(pfn);
    for (let at = 0; at < 4096; at++) page[at] = (i * 4096 + at) & 0xff;
  }
  const span = (virtual: bigint, target: number) => ({
    virtual: virtualAddress(virtual),
    physical: physicalAddress(target),
    size: 4096,
  });
  const spans = [span(BASE, 0x3000), span(BASE + 4096n, 0x1000), span(0x1000n, 0x9000)];
  return { physical, virtual: new LinearMemory(physical, littleEndian, spans) };
}

describe('LinearMemory', () => {
  const { virtual } = memory();
  for (const [address, expected] of [
    [BASE, 0x3000],
    [BASE + 4095n, 0x3fff],
    [BASE + 4096n, 0x1000],
    [BASE + 8191n, 0x1fff],
    [BASE + 8192n, undefined],
    [BASE - 1n, undefined],
    [0n, undefined],
  ] as const) {
    it(`0x${address.toString(16)}`, () => {
      assert.equal(virtual.translate(virtualAddress(address)), expected);
    });
  }
});

describe('VirtualMemory', () => {
  it('reads numbers of every size, also across pages', () => {
    const { virtual } = memory();
    assert.equal(virtual.u8(BASE + 0x81n), 0x81);
    assert.equal(virtual.u16(BASE + 0x10n), 0x1110);
    assert.equal(virtual.u32(BASE + 0x10n), 0x1312_1110);
    assert.equal(virtual.i32(BASE + 0xf0n), 0xf3f2_f1f0 | 0);
    assert.equal(virtual.u64(BASE + 0xf0n), 0xf7f6_f5f4_f3f2_f1f0n);
    assert.equal(virtual.i64(BASE + 0xf0n), BigInt.asIntN(64, 0xf7f6_f5f4_f3f2_f1f0n));
    assert.equal(virtual.pointer(BASE), 0x0706_0504_0302_0100n);
    assert.equal(virtual.u64(BASE + 4092n), 0x0302_0100_fffe_fdfcn);
    assert.equal(virtual.u16(BASE + 4095n), 0x00ff);
  });

  it('in big-endian order too', () => {
    const { virtual } = memory(false);
    assert.equal(virtual.u32(BASE + 0x10n), 0x1011_1213);
    assert.equal(virtual.u64(BASE + 4092n), 0xfcfd_feff_0001_0203n);
  });

  it('takes negative addresses as the kernel writes them', () => {
    assert.equal(memory().virtual.u32(BigInt.asIntN(64, BASE)), 0x0302_0100);
  });

  it('reads bytes over pages that lie apart', () => {
    const bytes = memory().virtual.bytes(BASE + 4000n, 200);
    assert.deepEqual(
      [...bytes],
      Array.from({ length: 200 }, (_, i) => (4000 + i) & 0xff),
    );
  });

  it('a string ends at its NUL, at its limit, or where memory does only after that', () => {
    const { physical, virtual } = memory();
    const text = new TextEncoder().encode('größe');
    physical.at(1).set([...text, 0], 4096 - text.length - 1);
    assert.equal(virtual.string(BASE + 8192n - BigInt(text.length) - 1n), 'größe');
    assert.equal(virtual.string(BASE + 0x41n, 3), 'ABC');
    physical.at(1)[4095] = 0x21;
    assert.throws(
      () => virtual.string(BASE + 8190n),
      (error) => isExhumeError(error, 'EXH_NOT_MAPPED'),
    );
  });

  it('names the address that is not mapped, and the page that is not there', () => {
    const { physical, virtual } = memory();
    for (const read of [() => virtual.u64(BASE + 8188n), () => virtual.bytes(BASE + 8000n, 500)]) {
      assert.throws(read, (error) => isExhumeError(error, 'EXH_NOT_MAPPED') && error.data.address === BASE + 8192n);
    }
    const missing = (read: () => unknown, code: 'EXH_PAGE_ABSENT' | 'EXH_PAGE_LOST', address: number): void => {
      assert.throws(read, (error) => isExhumeError(error, code) && error.data.address === address);
    };
    missing(() => virtual.u8(0x1234n), 'EXH_PAGE_ABSENT', 0x9234);
    missing(() => virtual.bytes(0x1ff0n, 1), 'EXH_PAGE_ABSENT', 0x9ff0);
    physical.pages.set(1, 'lost');
    missing(() => virtual.u64(BASE + 4092n), 'EXH_PAGE_LOST', 0x1000);
  });

  it('addresses above 4 GiB keep all their bits', () => {
    const physical = new SparseMemory();
    const high = 2 ** 51 + 5 * 4096;
    physical.at(high / 4096)[0x10] = 7;
    const spans = [{ virtual: 0n as VirtualAddress, physical: high as PhysicalAddress, size: 4096 }];
    assert.equal(new LinearMemory(physical, true, spans).u8(0x10n), 7);
  });
});
