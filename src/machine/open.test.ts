import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { hex } from '../bytes/address.js';
import { isExhumeError } from '../bytes/errors.js';
import type { Container, Note } from '../dump/container.js';
import { SparseMemory } from '../dump/testing/sparse-memory.js';
import { openMachine } from './open.js';
import { containerOf, loadFixture, loadKernelFixture } from './testing/node.js';

/** A fixture's container with some parts changed. */
function changed(name: string, parts: Partial<Container>): Container {
  return { ...loadFixture(name).container, ...parts };
}

function answers(container: Container): string[] {
  return openMachine(container).architectureEvidence.map(({ method, answer }) => `${method}: ${answer}`);
}

function note(name: string, type: number, length: number): Note {
  return { name, type, offset: 0, description: new Uint8Array(length) };
}

/** What is said when no architecture can be told. */
function refusal(container: Container): string {
  try {
    openMachine(container);
  } catch (error) {
    assert.ok(isExhumeError(error, 'EXH_UNKNOWN_ARCHITECTURE'));
    assert.ok(Array.isArray(error.data['evidence']));
    return error.message;
  }
  throw new Error('it was told');
}

describe('the architecture', () => {
  it('by the header, and the rest agrees', () => {
    assert.deepEqual(answers(loadFixture('linux-7.2').container), [
      'e_machine in the ELF header: x86_64',
      '336-byte NT_PRSTATUS with 440-byte QEMU note: x86_64',
    ]);
  });

  it("by the notes, where a kdump header says nothing, as QEMU's do not", () => {
    const container = changed('linux-7.2', { format: 'kdump', claimedMachine: undefined });
    assert.deepEqual(answers(container), [
      'utsname.machine in the header: does not say',
      '336-byte NT_PRSTATUS with 440-byte QEMU note: x86_64',
    ]);
  });

  it('by VMCOREINFO alone', () => {
    const vmcoreinfo = new TextEncoder().encode('OSRELEASE=4.19.0\nSYMBOL(init_top_pgt)=ffffffff82010000\n');
    assert.deepEqual(answers(containerOf({ vmcoreinfo })), [
      'e_machine in the ELF header: does not say',
      'SYMBOL(init_top_pgt) in VMCOREINFO: x86_64',
    ]);
    assert.match(refusal(containerOf({ vmcoreinfo: vmcoreinfo.subarray(0, 30) })), /none found/);
  });

  it('by page tables in memory, where there is nothing else: a raw image', () => {
    const { memory, golden } = loadKernelFixture('linux-7.2');
    const [header, found] = answers(containerOf({ format: 'raw', memory }));
    assert.equal(header, 'the header: does not say');
    assert.match(found ?? '', new RegExp(`^4-level kernel page table at ${golden.root}: maps .*: x86_64$`));
  });

  it("by a process's page table, where the kernel's own was filtered out", () => {
    const { memory, golden } = loadKernelFixture('linux-7.2');
    memory.pages.set(Number(golden.root) / 4096, 'excluded');
    const [, found] = answers(containerOf({ format: 'raw', memory }));
    assert.match(found ?? '', /is found again through its linear map at .*: x86_64$/);
    assert.doesNotMatch(found ?? '', /lies in the image/);
  });

  it("by QEMU's notes, though the header says i386: all CPUs were in firmware", () => {
    assert.deepEqual(answers(loadFixture('firmware').container), [
      'e_machine in the ELF header: i386',
      '144-byte NT_PRSTATUS with 440-byte QEMU note, all CPUs in firmware: x86_64',
    ]);
  });

  it("by QEMU's notes, though the header says i386: a CPU ran 64-bit code", () => {
    const qemu = loadFixture('one-cpu-started').container.notes.filter(({ name }) => name === 'QEMU');
    const container = containerOf({ claimedMachine: 'i386', notes: [note('CORE', 1, 144), ...qemu] });
    assert.equal(answers(container)[1], '144-byte NT_PRSTATUS with 440-byte QEMU note, a CPU in 64-bit mode: x86_64');
  });

  it('32-bit code with paging on may be either; memory decides', () => {
    const { container, memory } = loadFixture('linux-7.2');
    const CS_FLAGS_AT = 0x98 + 8;
    const notes = container.notes.map((one) => {
      const description = one.description.slice();
      if (one.name === 'QEMU') new DataView(description.buffer).setUint32(CS_FLAGS_AT, 0x00cf_9b00, true);
      return one.name === 'QEMU' ? { ...one, description } : note('CORE', 1, 144);
    });
    const parts = { claimedMachine: 'i386', notes };
    assert.match(answers(containerOf({ ...parts, memory })).at(-1) ?? '', /kernel page table at .*: x86_64/);
    assert.match(refusal(containerOf(parts)), /440-byte QEMU note: x86, 32-bit or 64-bit; .* none found/);
  });

  it('by the caller, first of all', () => {
    const machine = openMachine(containerOf({ format: 'raw' }), { assume: 'x86_64' });
    assert.deepEqual(machine.architectureEvidence[0], { method: 'told by the caller', answer: 'x86_64' });
    assert.equal(machine.architecture, 'x86_64');
  });

  it('another one is named in the refusal, and memory is not searched for page tables of x86-64', () => {
    const memory = new SparseMemory();
    memory.ranges = () => assert.fail('searched');
    const notes = [note('CORE', 1, 392)];
    assert.match(
      refusal(containerOf({ claimedMachine: 'aarch64', notes, memory })),
      /e_machine in the ELF header: aarch64; 392-byte NT_PRSTATUS: not x86_64/,
    );
  });

  it('none at all: the refusal says what was tried, and in which file', () => {
    assert.equal(
      refusal(containerOf({ format: 'raw' })),
      'cannot tell an architecture that exhume reads ' +
        '(the header: does not say; x86_64 kernel page tables in memory: none found)',
    );
  });
});

describe('the machine', () => {
  it('has CPUs, memory, page tables and roots', () => {
    const { container, golden } = loadKernelFixture('linux-7.2');
    const machine = openMachine(container);
    assert.equal(machine.cpus.length, 2);
    assert.equal(machine.structures.length, 4);
    assert.equal(machine.memory, container.memory);
    const certain = [...machine.scanRoots()].find((root) => root.certain);
    assert.ok(certain);
    assert.equal(hex(certain.root), golden.root);
    const [virtual, physical] = golden.translations.find(([, target]) => target !== null) ?? [];
    const table = machine.pageTable(certain.root, certain.levels);
    assert.equal(table.translate(BigInt(virtual ?? 0) as never), Number(physical));
    for (const cpu of machine.cpus) {
      assert.ok(machine.rootsOf(cpu).some((root) => machine.judgeRoot(root) !== undefined));
      assert.equal(hex(machine.perCpuBasesOf(cpu)[0] ?? 0), golden.perCpu[cpu.index]);
    }
  });

  it('a broken note is damage of the machine, not its end', () => {
    const { container } = loadFixture('linux-7.2');
    const [first, ...others] = container.notes;
    assert.ok(first);
    const notes = [{ ...first, description: first.description.slice(0, 335) }, ...others];
    const { cpus, damage } = openMachine({ ...container, notes });
    assert.equal(cpus.length, 2);
    assert.equal(damage[0]?.part, 'notes of CPU 0');
  });

  for (const [creator, container] of [
    ['qemu', changed('linux-7.2', {})],
    ['qemu', changed('linux-7.2', { format: 'kdump', flattened: true })],
    ['kernel', changed('vmcore', {})],
    ['makedumpfile', changed('vmcore', { format: 'kdump' })],
    ['makedumpfile', changed('vmcore', { flattened: true })],
    ['makedumpfile', containerOf({ claimedMachine: 'x86_64', notes: [note('CORE', 1, 336), note('ERASEINFO', 0, 8)] })],
    ['unknown', containerOf({ claimedMachine: 'x86_64' })],
  ] as const) {
    it(`was written by ${creator}: ${container.format}${container.flattened ? ', flattened' : ''}`, () => {
      assert.equal(openMachine(container).creator, creator);
    });
  }
});
