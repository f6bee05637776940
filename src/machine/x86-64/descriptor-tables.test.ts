import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { hex, physicalAddress, virtualAddress } from '../../bytes/address.js';
import { Random } from '../../testing/random.js';
import type { Segment } from '../machine.js';
import { KERNELS, loadKernelFixture } from '../testing/node.js';
import { readCpus } from './cpus.js';
import { decodeDescriptors, decodeGates, readDescriptors, readGates } from './descriptor-tables.js';
import { X86PageTable } from './paging.js';

for (const name of KERNELS) {
  describe(`descriptor tables of ${name}`, () => {
    const { container, memory, golden } = loadKernelFixture(name);
    const table = new X86PageTable(memory, physicalAddress(BigInt(golden.root)), golden.levels);
    const { cpus } = readCpus(container);
    const segment = (cpu: number, wanted: string): Segment => {
      const found = cpus[cpu]?.segments.find((one) => one.name === wanted);
      assert.ok(found);
      return found;
    };

    it("every gate leads to the handler that the guest's kallsyms name", () => {
      const gates = readGates(table, segment(0, 'idt'));
      assert.equal(gates?.length, 256);
      for (const [vector, handler] of Object.entries(golden.handlers)) {
        assert.equal(hex(gates?.[Number(vector)]?.handler ?? 0), handler, `vector ${vector}`);
      }
      assert.ok(gates?.every((gate) => gate.present && gate.selector === 0x10 && gate.kind === 'interrupt'));
      // Breakpoint, overflow and the 32-bit system call may be raised by processes; NMI and double fault switch stacks.
      const open = gates?.filter(({ privilege }) => privilege === 3).map(({ vector }) => vector);
      assert.deepEqual(open, [3, 4, 128]);
      assert.equal(gates?.[2]?.stack, 2);
      assert.equal(gates?.[8]?.stack, 1);
    });

    it("the task-state segment of each CPU is the one in its task register, and code segments are Linux's", () => {
      for (const cpu of [0, 1]) {
        const descriptors = readDescriptors(table, segment(cpu, 'gdt'));
        const tss = descriptors?.find(({ kind }) => kind === 'tss');
        const { selector, base, limit } = segment(cpu, 'tr');
        assert.deepEqual([tss?.selector, tss?.base, tss?.limit], [selector, base, limit]);
        const code = descriptors?.filter(({ long }) => long);
        assert.deepEqual(
          code?.map(({ selector, privilege, limit }) => [selector, privilege, limit]),
          [
            [0x10, 0, 0xffff_ffff],
            [0x30, 3, 0xffff_ffff],
          ],
        );
      }
    });

    it('a table that is not in the dump is no table', () => {
      const nowhere: Segment = { ...segment(0, 'idt'), base: virtualAddress(0x1234_5000n) };
      assert.equal(readGates(table, nowhere), undefined);
      assert.equal(readDescriptors(table, nowhere), undefined);
    });
  });
}

describe('bytes of descriptor tables', () => {
  it('a gate that is cut off is left out, and what follows the 256th', () => {
    assert.equal(decodeGates(new Uint8Array(31)).length, 1);
    assert.equal(decodeGates(new Uint8Array(65_536)).length, 256);
  });

  it('an empty gate is not present', () => {
    assert.deepEqual(decodeGates(new Uint8Array(16)), [
      { vector: 0, handler: 0n, selector: 0, stack: 0, kind: 'other', privilege: 0, present: false },
    ]);
  });

  it('a task-state descriptor whose second half is cut off', () => {
    const bytes = Uint8Array.of(0x67, 0, 0x00, 0x30, 0x12, 0x89, 0, 0xff);
    assert.deepEqual(decodeDescriptors(bytes), [
      { selector: 0, base: 0xff12_3000n, limit: 0x67, kind: 'tss', long: false, privilege: 0, present: true },
    ]);
  });

  it('random bytes are descriptors or nothing', () => {
    const random = new Random(7);
    for (let round = 0; round < 100; round++) {
      const bytes = Uint8Array.from({ length: random.below(300) }, () => random.below(256));
      assert.equal(decodeGates(bytes).length, Math.floor(bytes.length / 16));
      assert.ok(decodeDescriptors(bytes).length <= bytes.length / 8);
    }
  });
});
