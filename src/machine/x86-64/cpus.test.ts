import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { hex } from '../../bytes/address.js';
import type { Note } from '../../dump/container.js';
import { Random } from '../../testing/random.js';
import type { Cpu, Segment } from '../machine.js';
import { registersOf } from '../registers.js';
import { containerOf, KERNELS, loadFixture, loadKernelFixture } from '../testing/node.js';
import { perCpuBasesOf, readCpus, rootsOf } from './cpus.js';

const PRSTATUS_BYTES = 336;
const QEMU_BYTES = 440;
const SIZE_AT = 4;
const CR0_AT = 0x188;

/** The notes of a fixture, all of them to be changed freely. */
function notesOf(name: string): Note[] {
  return loadFixture(name).container.notes.map((note) => ({ ...note, description: note.description.slice() }));
}

function cpusOf(notes: readonly Note[]): ReturnType<typeof readCpus> {
  return readCpus(containerOf({ notes }));
}

function pick(notes: readonly Note[], name: string, index = 0): Note {
  const note = notes.filter((one) => one.name === name)[index];
  assert.ok(note);
  return note;
}

function viewOfNote(note: Note): DataView {
  return new DataView(note.description.buffer);
}

/** The same note with another description. */
function cut(notes: Note[], note: Note, length: number): Note[] {
  return notes.map((one) => (one === note ? { ...note, description: note.description.slice(0, length) } : one));
}

describe('CPUs of real dumps', () => {
  for (const name of [...KERNELS, 'firmware', 'one-cpu-started', 'vmcore']) {
    it(`${name}: registers, segments and modes are those that its oracle shows`, () => {
      const { container, golden } = loadFixture(name);
      const { cpus, damage } = readCpus(container);
      assert.deepEqual(damage, []);
      assert.equal(cpus.length, golden.cpus.length);
      for (const [i, expected] of golden.cpus.entries()) {
        const cpu = cpus[i];
        assert.ok(cpu);
        assert.equal(cpu.mode, expected.mode);
        const registers = new Map(registersOf(cpu).map((register) => [register.name, hex(register.value)]));
        for (const [register, value] of Object.entries(expected.registers)) {
          assert.equal(registers.get(register), value, `${register} of CPU ${i}`);
        }
        for (const [segment, { selector, base, limit }] of Object.entries(expected.segments ?? {})) {
          const held: Segment | undefined = cpu.segments.find((one) => one.name === segment);
          assert.deepEqual(held && [held.selector, hex(held.base), held.limit], [selector, base, limit], segment);
        }
      }
    });
  }

  it('people read rip first, control registers last, and no cr1', () => {
    const [cpu] = readCpus(loadFixture('linux-7.2').container).cpus;
    assert.ok(cpu);
    const names = registersOf(cpu).map(({ name }) => name);
    assert.equal(
      names.join(' '),
      'rip rsp rflags rax rbx rcx rdx rsi rdi rbp r8 r9 r10 r11 r12 r13 r14 r15 orig_rax ' +
        'cs ss ds es fs gs fs_base gs_base cr0 cr2 cr3 cr4 kernel_gs_base',
    );
  });

  it('says which notes a CPU was read from', () => {
    const sources = (name: string) => readCpus(loadFixture(name).container).cpus.map((cpu) => cpu.sources.join(', '));
    assert.deepEqual(sources('linux-7.2'), Array(2).fill('NT_PRSTATUS, QEMU (440 bytes)'));
    assert.deepEqual(sources('firmware'), Array(2).fill('NT_PRSTATUS (32-bit), QEMU (440 bytes)'));
    assert.deepEqual(sources('vmcore'), Array(2).fill('NT_PRSTATUS'));
  });

  it("pids are QEMU's count of CPUs, and the kernel's tasks", () => {
    const pids = (name: string) => readCpus(loadFixture(name).container).cpus.map((cpu) => cpu.pid);
    assert.deepEqual(pids('linux-7.2'), [1, 2]);
    assert.deepEqual(pids('firmware'), [1, 2]);
    assert.deepEqual(pids('vmcore'), [1, 0]);
  });

  for (const name of KERNELS) {
    it(`${name}: the per-CPU areas and page tables are where the kernel has them`, () => {
      const { container, golden } = loadKernelFixture(name);
      for (const cpu of readCpus(container).cpus) {
        assert.equal(hex(perCpuBasesOf(cpu)[0] ?? 0), golden.perCpu[cpu.index]);
        const roots = rootsOf(cpu);
        assert.ok(roots.some(({ root }) => hex(root) === golden.userRoots[cpu.index]));
        assert.ok(roots.every(({ levels }) => levels === golden.levels));
      }
    });
  }

  it('a CPU in firmware and notes without control registers name no page table', () => {
    for (const name of ['firmware', 'vmcore']) {
      for (const cpu of readCpus(loadFixture(name).container).cpus) {
        assert.deepEqual(rootsOf(cpu), []);
        assert.deepEqual(perCpuBasesOf(cpu), []);
      }
    }
  });

  it('lists the notes field by field, at their places in the file', () => {
    const { container } = loadFixture('linux-7.2');
    const { structures } = readCpus(container);
    assert.deepEqual(
      structures.map(({ name, size }) => [name, size]),
      [
        ['elf_prstatus', PRSTATUS_BYTES],
        ['elf_prstatus', PRSTATUS_BYTES],
        ['QEMUCPUState', QEMU_BYTES],
        ['QEMUCPUState', QEMU_BYTES],
      ],
    );
    const [first] = structures;
    // A 12-byte note header, `CORE`, its NUL, padding; then rip at 240.
    const start = (container.notes[0]?.offset ?? 0) + 20;
    assert.equal(first?.offset, start);
    const rip = first?.fields.find(({ name }) => name === 'rip');
    assert.equal(rip?.offset, start + 240);
    assert.equal(hex(rip?.value as bigint), loadFixture('linux-7.2').golden.cpus[0]?.registers['rip']);
  });
});

describe('notes of other sizes', () => {
  it('an older QEMU leaves kernel_gs_base out, by its length or by its own word', () => {
    const notes = notesOf('linux-6.1-pti');
    const [old, told] = [pick(notes, 'QEMU'), pick(notes, 'QEMU', 1)];
    viewOfNote(old).setUint32(SIZE_AT, 432, true);
    viewOfNote(told).setUint32(SIZE_AT, 432, true);
    const { cpus, damage, structures } = cpusOf(cut(notes, old, 432));
    assert.deepEqual(damage, []);
    assert.deepEqual(
      cpus.map((cpu) => [cpu.control?.has('cr4'), cpu.control?.has('kernel_gs_base'), cpu.sources[1]]),
      [
        [true, false, 'QEMU (432 bytes)'],
        [true, false, 'QEMU (440 bytes)'],
      ],
    );
    assert.equal(structures[2]?.size, 432);
    // In user mode it alone tells where the per-CPU area is.
    assert.deepEqual(cpus[0] && perCpuBasesOf(cpus[0]), []);
  });

  it('a longer QEMU note is read as far as it is known', () => {
    const notes = notesOf('linux-7.2');
    const longer = notes.map((note) => {
      if (note.name !== 'QEMU') return note;
      const description = new Uint8Array(512);
      description.set(note.description);
      new DataView(description.buffer).setUint32(SIZE_AT, 512, true);
      return { ...note, description };
    });
    const { cpus, damage } = cpusOf(longer);
    assert.deepEqual(damage, []);
    assert.deepEqual(cpus[0]?.control, cpusOf(notes).cpus[0]?.control);
  });

  it('with its NT_PRSTATUS broken, a CPU has the registers of its QEMU note', () => {
    const notes = notesOf('linux-7.2');
    const whole = cpusOf(notes).cpus[0]?.registers;
    const { cpus, damage } = cpusOf(cut(notes, pick(notes, 'CORE'), 100));
    assert.deepEqual(
      damage.map(({ code, part, message }) => [code, part, message]),
      [['EXH_BAD_NOTE', 'notes of CPU 0', 'NT_PRSTATUS note has 100 bytes, not 336']],
    );
    const expected = new Map(whole);
    expected.delete('orig_rax');
    assert.deepEqual(cpus[0]?.registers, expected);
    assert.equal(cpus[0]?.pid, undefined);
    assert.equal(cpus[1]?.pid, 2);
  });

  it('every length of a QEMU note: damage below 432 bytes, and the CPU keeps its NT_PRSTATUS', () => {
    const notes = notesOf('linux-7.2');
    const note = pick(notes, 'QEMU', 1);
    for (let length = 0; length < QEMU_BYTES; length++) {
      const { cpus, damage } = cpusOf(cut(notes, note, length));
      assert.equal(cpus.length, 2);
      assert.ok(cpus[1]?.registers?.has('rip'));
      assert.equal(damage.length, 1, `${length} bytes`);
      assert.equal(cpus[1]?.control !== undefined, length >= 432, `${length} bytes`);
    }
  });

  it('every length of an NT_PRSTATUS note but 144 and 336 is damage', () => {
    const notes = notesOf('vmcore');
    const note = pick(notes, 'CORE', 1);
    for (let length = 0; length < PRSTATUS_BYTES; length++) {
      const { cpus, damage } = cpusOf(cut(notes, note, length));
      assert.equal(damage.length, length === 144 ? 0 : 1, `${length} bytes`);
      assert.equal(cpus[1]?.mode, 'unknown');
      assert.deepEqual(cpus[1] && registersOf(cpus[1]), []);
    }
  });

  it('another version of the QEMU note is not taken for this one', () => {
    const notes = notesOf('linux-7.2');
    viewOfNote(pick(notes, 'QEMU')).setUint32(0, 2, true);
    const { cpus, damage } = cpusOf(notes);
    assert.equal(damage[0]?.message, 'QEMU note has version 2, not 1');
    assert.equal(cpus[0]?.control, undefined);
    assert.ok(cpus[0]?.registers?.has('rip'));
  });

  it('fewer QEMU notes than NT_PRSTATUS notes, and the other way round, are damage', () => {
    const notes = notesOf('linux-7.2');
    const lacking = (name: string) => cpusOf(notes.filter((note) => note !== pick(notes, name, 1)));
    assert.equal(lacking('QEMU').damage[0]?.message, '2 NT_PRSTATUS notes, but 1 QEMU notes');
    assert.equal(lacking('QEMU').cpus[1]?.control, undefined);
    assert.equal(lacking('CORE').damage[0]?.message, '1 NT_PRSTATUS notes, but 2 QEMU notes');
    assert.ok(lacking('CORE').cpus[1]?.registers?.has('rip'));
  });

  it("/proc/kcore's notes describe its reader, not CPUs", () => {
    const notes = notesOf('vmcore');
    const task: Note = { name: 'CORE', type: 4, description: new Uint8Array(4096), offset: 0 };
    assert.deepEqual(cpusOf([...notes, task]).cpus, []);
  });

  it('a dump without notes has no CPUs', () => {
    assert.deepEqual(cpusOf([]), { cpus: [], structures: [], damage: [] });
  });
});

describe('modes', () => {
  /** The mode of the first CPU of linux-7.2 with some fields of its notes changed. */
  function modeWith(change: (prstatus: DataView, qemu: DataView) => void, keepQemu = true): string | undefined {
    const notes = notesOf('linux-7.2');
    change(viewOfNote(pick(notes, 'CORE')), viewOfNote(pick(notes, 'QEMU')));
    return cpusOf(keepQemu ? notes : notes.filter(({ name }) => name !== 'QEMU')).cpus[0]?.mode;
  }
  const RIP_AT = 240;
  const CS_AT = 248;
  const RSP_AT = 264;

  it('paging off is firmware', () => {
    assert.equal(
      modeWith((_, qemu) => qemu.setBigUint64(CR0_AT, 0x11n, true)),
      'firmware',
    );
  });

  it('privilege 3 is user mode', () => {
    assert.equal(
      modeWith((prstatus) => prstatus.setBigUint64(CS_AT, 0x33n, true)),
      'user',
    );
    assert.equal(
      modeWith((prstatus) => prstatus.setBigUint64(CS_AT, 0x33n, true), false),
      'user',
    );
  });

  it('privileged and wholly in the lower half is firmware with paging on, as UEFI has it', () => {
    assert.equal(
      modeWith((prstatus) => {
        prstatus.setBigUint64(RIP_AT, 0x7e12_3456n, true);
        prstatus.setBigUint64(RSP_AT, 0x7e00_0000n, true);
      }),
      'firmware',
    );
  });

  it('a kernel that called a null pointer is still the kernel', () => {
    assert.equal(
      modeWith((prstatus) => prstatus.setBigUint64(RIP_AT, 0n, true)),
      'kernel',
    );
  });

  it('registers of zeros tell nothing', () => {
    assert.equal(
      modeWith((prstatus) => new Uint8Array(prstatus.buffer).fill(0), false),
      'unknown',
    );
  });
});

describe('per-CPU bases', () => {
  const cpu = (mode: Cpu['mode'], gsBase: bigint, kernelGsBase: bigint): Cpu => ({
    index: 0,
    pid: 1,
    registers: new Map([['gs_base', gsBase]]),
    control: new Map([['kernel_gs_base', kernelGsBase]]),
    segments: [],
    mode,
    sources: [],
  });
  const [a, b] = [0xffff_8880_0000_0000n, 0xffff_8880_0010_0000n];

  it("in the kernel GS's own base comes first, in user mode the one swapped out", () => {
    assert.deepEqual(perCpuBasesOf(cpu('kernel', a, b)), [a, b]);
    assert.deepEqual(perCpuBasesOf(cpu('user', a, b)), [b, a]);
  });

  it("a base in the processes' half is none", () => {
    assert.deepEqual(perCpuBasesOf(cpu('kernel', 0x7fff_0000_0000n, b)), [b]);
    assert.deepEqual(perCpuBasesOf(cpu('user', a, 0n)), [a]);
  });
});

describe('hostile notes', () => {
  it('random bytes and lengths: CPUs come out, or damage; nothing is thrown', () => {
    const random = new Random(4);
    const names: readonly [string, ...string[]] = ['vmcore', 'firmware', ...KERNELS];
    for (let round = 0; round < 500; round++) {
      const notes = notesOf(random.pick(names)).map((note): Note => {
        random.mutate(note.description, 64);
        const length = random.below(3) === 0 ? random.below(600) : note.description.length;
        return { ...note, description: note.description.slice(0, length) };
      });
      const { cpus } = cpusOf(notes);
      assert.ok(cpus.length <= notes.length);
      for (const cpu of cpus) {
        rootsOf(cpu);
        perCpuBasesOf(cpu);
        for (const { value } of registersOf(cpu)) assert.equal(value, BigInt.asUintN(64, value));
      }
    }
  });
});
