import { hex } from '../bytes/address.js';
import { ExhumeError } from '../bytes/errors.js';
import { viewOf } from '../bytes/struct-table.js';
import type { Container, HeaderFact, Note } from '../dump/container.js';
import type { Cpu } from '../machine/machine.js';
import { NT_PRSTATUS, PRSTATUS, PRSTATUS_BYTES } from '../machine/x86-64/prstatus.js';
import {
  QEMU_NOTE,
  QEMU_NOTE_BYTES,
  QEMU_NOTE_TYPE,
  QEMU_NOTE_VERSION,
  readQemuNote,
} from '../machine/x86-64/qemu-note.js';
import type { Guest, GuestCpu, GuestParts, GuestRegisters } from './guest.js';

/** Numbers guests as siblings, and gives each the dump that it is when it is looked at. */
export function makeGuests(parts: readonly GuestParts[], host: Container): Guest[] {
  return parts.map((one, index) => {
    let container: Container | undefined;
    return {
      ...one,
      index,
      container: () => {
        container ??= guestContainer(one, host);
        return container;
      },
    };
  });
}

/**
 * A guest as a dump: its memory, and notes as QEMU's `dump-guest-memory` writes them: an NT_PRSTATUS for each CPU,
 * then a QEMU note for each. Throws where the guest is refused.
 */
export function guestContainer(
  guest: GuestParts,
  host: Pick<Container, 'description' | 'files' | 'incomplete'>,
): Container {
  const { name, cpus, refused, memory, damage } = guest;
  if (refused !== undefined) {
    throw new ExhumeError(refused.code, `the guest ${name}: ${refused.reason}`, {
      guest: name,
      ...(refused.hint !== undefined && { hint: refused.hint }),
    });
  }
  // A CPU without registers has notes of zeros: notes are told apart by their position only.
  const known = cpus.some(({ registers }) => registers !== undefined);
  const inner = cpus.flatMap((cpu) => (cpu.nested === undefined ? [] : [nestedNote(cpu.index, cpu.nested)]));
  const notes = known ? [...cpus.map(prstatusNote), ...cpus.map((cpu) => qemuNote(cpu.registers)), ...inner] : [];
  return {
    format: 'guest',
    description: `guest ${name} in ${host.description}`,
    flattened: false,
    files: host.files,
    littleEndian: true,
    wordBits: 64,
    claimedMachine: 'x86_64',
    memory,
    notes,
    vmcoreinfo: undefined,
    claimedPhysBase: undefined,
    spans: [],
    incomplete: host.incomplete,
    facts: factsOf(guest),
    structures: [],
    damage: [...damage, ...cpus.flatMap((cpu) => cpu.damage)],
    staleCpus: new Map(cpus.flatMap(({ stale }, i) => (stale === undefined ? [] : [[i, stale]]))),
  };
}

/** What `info` says of it in place of a header. */
function factsOf({ name, how, process, cpus }: GuestParts): HeaderFact[] {
  const facts: HeaderFact[] = [{ name: 'guest', value: name, note: `found by ${how}` }];
  if (process !== undefined) {
    const { pid, comm, commandLine } = process;
    facts.push({ name: 'process', value: `${pid} ${comm}`, note: commandLine.join(' ') });
  }
  return [...facts, ...cpus.map(factOf)];
}

function factOf({ index, state, source, stale, registers }: GuestCpu): HeaderFact {
  const rip = registers?.general.get('rip');
  return {
    name: `CPU ${index}`,
    value: rip === undefined ? state : `${state} at ${hex(rip)}`,
    note: stale === undefined ? source : `${source}; ${stale}`,
  };
}

const PRSTATUS_GENERAL = 'r15 r14 r13 r12 rbp rbx r11 r10 r9 r8 rax rcx rdx rsi rdi rip rsp'.split(' ');
const PRSTATUS_SEGMENTS = ['cs', 'ss', 'ds', 'es', 'fs', 'gs'] as const;
const SEGMENT_REGISTERS = [...PRSTATUS_SEGMENTS, 'fs_base', 'gs_base'];

/** As QEMU's: the pid is the CPU's number from 1 on (QEMU target/i386/arch_dump.c). */
function prstatusNote({ index, registers }: GuestCpu): Note {
  const description = new Uint8Array(PRSTATUS_BYTES);
  if (registers === undefined) return noteOf('CORE', NT_PRSTATUS, description);
  const { general, segments } = registers;
  const values: Record<string, bigint | number> = { pr_pid: index + 1, eflags: general.get('rflags') ?? 0n };
  for (const name of PRSTATUS_GENERAL) values[name] = general.get(name) ?? 0n;
  for (const name of PRSTATUS_SEGMENTS) values[name] = BigInt(segmentOf(registers, name)?.selector ?? 0);
  for (const name of ['fs', 'gs']) values[`${name}_base`] = segments.find((one) => one.name === name)?.base ?? 0n;
  PRSTATUS.write(viewOf(description), 0, values);
  const lacking = [...PRSTATUS_GENERAL, 'rflags'].filter((name) => !general.has(name));
  return noteOf('CORE', NT_PRSTATUS, description, segments.length === 0 ? [...lacking, ...SEGMENT_REGISTERS] : lacking);
}

const QEMU_CONTROL = ['cr0', 'cr2', 'cr3', 'cr4', 'kernel_gs_base'] as const;

function qemuNote(registers: GuestRegisters | undefined): Note {
  const description = new Uint8Array(QEMU_NOTE_BYTES);
  const values: Record<string, bigint | number> = { version: QEMU_NOTE_VERSION, size: QEMU_NOTE_BYTES };
  for (const [name, value] of registers?.general ?? []) {
    if (name in QEMU_NOTE.fields) values[name] = value;
  }
  for (const name of QEMU_CONTROL) values[name] = registers?.control.get(name) ?? 0n;
  for (const { name, selector, limit, flags, base } of registers?.segments ?? []) {
    values[`${name}.selector`] = selector;
    values[`${name}.limit`] = limit;
    values[`${name}.flags`] = flags;
    values[`${name}.base`] = base;
  }
  QEMU_NOTE.write(viewOf(description), 0, values);
  const unknown = registers === undefined ? [] : QEMU_CONTROL.filter((name) => !registers.control.has(name));
  return noteOf('QEMU', QEMU_NOTE_TYPE, description, unknown);
}

/** Our own, of type the CPU's number: what the guest's own guest ran on that CPU, as a QEMU note has it. */
const NESTED_NOTE = 'EXHUME';

function nestedNote(index: number, registers: GuestRegisters): Note {
  return { ...qemuNote(registers), name: NESTED_NOTE, type: index };
}

/** CPUs that were in a guest of the guest, with what they ran there; the hypervisor outside knew, the one inside may not. */
export function nestedCpus({ notes }: Container): Cpu[] {
  return notes.flatMap((note): Cpu[] => {
    if (note.name !== NESTED_NOTE || note.description.length !== QEMU_NOTE_BYTES) return [];
    const { registers, control, segments } = readQemuNote(viewOf(note.description));
    const index = note.type;
    return [{ index, pid: undefined, registers, control, segments, mode: 'unknown', sources: ['EXHUME'] }];
  });
}

function segmentOf({ segments }: GuestRegisters, name: string): GuestRegisters['segments'][number] | undefined {
  return segments.find((segment) => segment.name === name);
}

/** It is in no file: its offset is 0. */
function noteOf(name: string, type: number, description: Uint8Array, unknown: readonly string[] = []): Note {
  return { name, type, description, offset: 0, ...(unknown.length > 0 && { unknown }) };
}
