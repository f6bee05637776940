import { type VirtualAddress, virtualAddress } from '../../bytes/address.js';
import { type Damage, damageOf, ExhumeError } from '../../bytes/errors.js';
import { type DecodedStruct, viewOf } from '../../bytes/struct-table.js';
import type { Container, Note } from '../../dump/container.js';
import type { CpuNotes } from '../architecture.js';
import type { Cpu, CpuMode, PageTableRoot } from '../machine.js';
import { kernelRoots } from './paging.js';
import {
  NT_PRSTATUS,
  NT_TASKSTRUCT,
  PRSTATUS,
  PRSTATUS_32,
  PRSTATUS_32_BYTES,
  PRSTATUS_BYTES,
  prstatusRegisters,
} from './prstatus.js';
import {
  QEMU_NOTE,
  QEMU_NOTE_BYTES,
  QEMU_NOTE_OLD,
  QEMU_NOTE_OLD_BYTES,
  QEMU_NOTE_TYPE,
  QEMU_NOTE_VERSION,
  type QemuCpuState,
  readQemuNote,
} from './qemu-note.js';

const CR0_PE = 1n << 0n;
const CR0_PG = 1n << 31n;
/** L, "64-bit code segment", in the high double word of a descriptor. */
const SEGMENT_LONG = 1 << 21;
const CR4_LA57 = 1n << 12n;
/** The first address of the kernel's half, whatever the number of levels. */
const UPPER_HALF = 1n << 63n;

/** NT_PRSTATUS notes, in order; empty where they describe the reader of /proc/kcore and not CPUs. */
export function prstatusNotes(container: Container): readonly Note[] {
  if (container.notes.some((note) => note.name === 'CORE' && note.type === NT_TASKSTRUCT)) return [];
  return container.notes.filter((note) => note.name === 'CORE' && note.type === NT_PRSTATUS);
}

/** QEMU's own notes, in order. */
export function qemuNotes(container: Container): readonly Note[] {
  return container.notes.filter((note) => note.name === 'QEMU' && note.type === QEMU_NOTE_TYPE);
}

/**
 * Reads the CPUs' notes: the first NT_PRSTATUS and the first QEMU note are one CPU, and so on,
 * as QEMU writes all of the one kind before all of the other.
 */
export function readCpus(container: Container): CpuNotes {
  const prstatus = prstatusNotes(container);
  const qemu = qemuNotes(container);
  const structures: DecodedStruct[] = [];
  const damage: Damage[] = [];
  if (qemu.length > 0 && qemu.length !== prstatus.length) {
    const message = `${prstatus.length} NT_PRSTATUS notes, but ${qemu.length} QEMU notes`;
    damage.push({ code: 'EXH_BAD_NOTE', part: 'notes', message });
  }
  const count = Math.max(prstatus.length, qemu.length);
  const standard = prstatus.map((note, i) => attempt(damage, i, () => readPrstatus(note, structures)));
  const extended = qemu.map((note, i) => attempt(damage, i, () => readQemu(note, i, structures, damage)));
  const cpus = Array.from({ length: count }, (_, index) => ({
    ...cpuOf(index, standard[index], extended[index]),
    stale: container.staleCpus?.get(index),
  }));
  return { cpus, structures, damage };
}

interface Standard {
  readonly pid: number;
  readonly registers: Map<string, bigint> | undefined;
  readonly source: string;
}

interface Extended extends QemuCpuState {
  readonly source: string;
}

function cpuOf(index: number, standard: Standard | undefined, extended: Extended | undefined): Cpu {
  const registers = standard?.registers ?? extended?.registers;
  return {
    index,
    pid: standard?.pid,
    registers,
    control: extended?.control,
    segments: extended?.segments ?? [],
    mode: modeOf(registers, extended?.control),
    sources: [standard?.source, extended?.source].filter((source) => source !== undefined),
  };
}

/** `word64`: it ran 64-bit code; `unpaged`: it did not translate addresses; `word32`: paged and not 64-bit, whoever it was. */
export type QemuCpuKind = 'word64' | 'unpaged' | 'word32';

/** What a QEMU note's control registers and code segment say of a CPU; undefined for a broken note. */
export function qemuCpuKind(note: Note): QemuCpuKind | undefined {
  if (note.description.length < QEMU_NOTE_OLD_BYTES) return undefined;
  const { control, segments } = readQemuNote(viewOf(note.description));
  if (((control.get('cr0') ?? 0n) & CR0_PG) === 0n) return 'unpaged';
  const cs = segments.find(({ name }) => name === 'cs');
  return ((cs?.flags ?? 0) & SEGMENT_LONG) !== 0 ? 'word64' : 'word32';
}

/** Where a CPU was, from its control registers where they are known, and the privilege level in its CS selector. */
function modeOf(
  registers: ReadonlyMap<string, bigint> | undefined,
  control: ReadonlyMap<string, bigint> | undefined,
): CpuMode {
  if (registers === undefined) return 'unknown';
  const cr0 = control?.get('cr0');
  if (cr0 !== undefined && ((cr0 & CR0_PE) === 0n || (cr0 & CR0_PG) === 0n)) return 'firmware';
  const cs = registers.get('cs') ?? 0n;
  const rip = registers.get('rip') ?? 0n;
  const rsp = registers.get('rsp') ?? 0n;
  if ((cs & 3n) === 3n) return 'user';
  if (cs === 0n) return 'unknown';
  // A kernel that jumped astray still has its stack in the upper half; UEFI firmware has neither there.
  if (cr0 !== undefined && rip < UPPER_HALF && rsp < UPPER_HALF) return 'firmware';
  return 'kernel';
}

function readPrstatus(note: Note, structures: DecodedStruct[]): Standard {
  const view = viewOf(note.description);
  const length = note.description.length;
  if (length === PRSTATUS_32_BYTES) {
    structures.push(PRSTATUS_32.decode(view, 0, descriptionOffset(note)));
    const { pr_pid: pid } = PRSTATUS_32.read(view);
    return { pid, registers: undefined, source: 'NT_PRSTATUS (32-bit)' };
  }
  if (length !== PRSTATUS_BYTES) {
    throw new ExhumeError('EXH_BAD_NOTE', `NT_PRSTATUS note has ${length} bytes, not ${PRSTATUS_BYTES}`, {
      offset: note.offset,
      expected: PRSTATUS_BYTES,
      found: length,
    });
  }
  structures.push(PRSTATUS.decode(view, 0, descriptionOffset(note)));
  const registers = prstatusRegisters(view);
  for (const name of note.unknown ?? []) registers.delete(name);
  return { pid: PRSTATUS.read(view).pr_pid, registers, source: 'NT_PRSTATUS' };
}

function readQemu(note: Note, cpu: number, structures: DecodedStruct[], damage: Damage[]): Extended {
  const length = note.description.length;
  if (length < QEMU_NOTE_OLD_BYTES) {
    throw new ExhumeError('EXH_BAD_NOTE', `QEMU note has ${length} bytes, fewer than ${QEMU_NOTE_OLD_BYTES}`, {
      offset: note.offset,
      expected: QEMU_NOTE_OLD_BYTES,
      found: length,
    });
  }
  const view = viewOf(note.description);
  const state = readQemuNote(view);
  for (const name of note.unknown ?? []) state.control.delete(name);
  const table = length >= QEMU_NOTE_BYTES ? QEMU_NOTE : QEMU_NOTE_OLD;
  structures.push(table.decode(view, 0, descriptionOffset(note)));
  if (state.size > length) {
    const message = `QEMU note of CPU ${cpu} says that it has ${state.size} bytes, it has ${length}`;
    damage.push({ code: 'EXH_BAD_NOTE', part: `notes of CPU ${cpu}`, message });
  }
  if (state.version !== QEMU_NOTE_VERSION) {
    throw new ExhumeError('EXH_BAD_NOTE', `QEMU note has version ${state.version}, not ${QEMU_NOTE_VERSION}`, {
      offset: note.offset,
      expected: QEMU_NOTE_VERSION,
      found: state.version,
    });
  }
  return { ...state, source: `QEMU (${length} bytes)` };
}

/** A broken note is damage of its CPU, and the other CPUs are read all the same. */
function attempt<T>(damage: Damage[], cpu: number, read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    damage.push(damageOf(`notes of CPU ${cpu}`, error));
    return undefined;
  }
}

/** Where a note's description lies in the file: after a 12-byte header and the name with its NUL, padded to 4 bytes. */
function descriptionOffset(note: Note): number {
  return note.offset + 12 + Math.ceil((note.name.length + 1) / 4) * 4;
}

/** Page-table roots that a CPU's registers name; none when paging is off or the note does not hold control registers. */
export function rootsOf(cpu: Cpu): readonly PageTableRoot[] {
  const cr0 = cpu.control?.get('cr0') ?? 0n;
  const cr3 = cpu.control?.get('cr3');
  const cr4 = cpu.control?.get('cr4') ?? 0n;
  if (cr3 === undefined || (cr0 & CR0_PG) === 0n) return [];
  const levels = (cr4 & CR4_LA57) !== 0n ? 5 : 4;
  return kernelRoots(cr3).map((root, i, all) => ({
    root,
    levels,
    method: all.length === 2 && i === 0 ? `CR3 of CPU ${cpu.index} less its user-mode bit` : `CR3 of CPU ${cpu.index}`,
  }));
}

/**
 * Where a CPU's per-CPU area may lie, best first: GS's base in the kernel, the one swapped out (MSR KernelGSbase) in
 * user mode. The other one is given second, as an entry into the kernel starts with the user's base still in GS.
 */
export function perCpuBasesOf(cpu: Cpu): readonly VirtualAddress[] {
  const active = cpu.registers?.get('gs_base');
  const swapped = cpu.control?.get('kernel_gs_base');
  const bases = cpu.mode === 'user' ? [swapped, active] : [active, swapped];
  return bases.filter((base) => base !== undefined && base >= UPPER_HALF).map((base) => virtualAddress(base as bigint));
}
