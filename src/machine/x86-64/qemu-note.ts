import { virtualAddress } from '../../bytes/address.js';
import { type Field, structTable, u32, u64 } from '../../bytes/struct-table.js';
import type { Segment } from '../machine.js';

/** `n_type` of the notes called QEMU, and the only version of them so far. */
export const QEMU_NOTE_TYPE = 0;
export const QEMU_NOTE_VERSION = 1;

/** Sizes of the description, in bytes: without `kernel_gs_base` (older QEMU), and with it. */
export const QEMU_NOTE_OLD_BYTES = 432;
export const QEMU_NOTE_BYTES = 440;

const GENERAL = 'rax rbx rcx rdx rsi rdi rsp rbp r8 r9 r10 r11 r12 r13 r14 r15 rip rflags'.split(' ');
const SEGMENTS = ['cs', 'ds', 'es', 'fs', 'gs', 'ss', 'ldt', 'tr', 'gdt', 'idt'] as const;
const CONTROL = ['cr0', 'cr1', 'cr2', 'cr3', 'cr4'] as const;

const GENERAL_AT = 8;
const SEGMENTS_AT = 0x98;
const SEGMENT_BYTES = 24;
const CONTROL_AT = 0x188;
const KERNEL_GS_BASE_AT = 0x1b0;

function fields(size: number): Record<string, Field<number> | Field<bigint>> {
  const table: Record<string, Field<number> | Field<bigint>> = { version: u32(0), size: u32(4) };
  for (const [i, name] of GENERAL.entries()) table[name] = u64(GENERAL_AT + 8 * i);
  for (const [i, name] of SEGMENTS.entries()) {
    const at = SEGMENTS_AT + SEGMENT_BYTES * i;
    table[`${name}.selector`] = u32(at);
    table[`${name}.limit`] = u32(at + 4);
    table[`${name}.flags`] = u32(at + 8);
    table[`${name}.pad`] = u32(at + 12);
    table[`${name}.base`] = u64(at + 16);
  }
  for (const [i, name] of CONTROL.entries()) table[name] = u64(CONTROL_AT + 8 * i);
  if (size >= QEMU_NOTE_BYTES) table['kernel_gs_base'] = u64(KERNEL_GS_BASE_AT);
  return table;
}

/**
 * `QEMUCPUState`, little-endian, as QEMU writes it beside the standard note (QEMU target/i386/arch_dump.c):
 * general registers, segments and descriptor tables of 24 bytes each, cr0 to cr4, and `kernel_gs_base` in the longer form.
 * Segment flags are the high double word of the segment's descriptor.
 */
export const QEMU_NOTE_OLD = structTable('QEMUCPUState', QEMU_NOTE_OLD_BYTES, fields(QEMU_NOTE_OLD_BYTES));
export const QEMU_NOTE = structTable('QEMUCPUState', QEMU_NOTE_BYTES, fields(QEMU_NOTE_BYTES));

/** A CPU as a QEMU note holds it. */
export interface QemuCpuState {
  readonly version: number;
  /** What the note says of its own size, in bytes. */
  readonly size: number;
  /** General registers and segment selectors, under NT_PRSTATUS's names and in reading order. */
  readonly registers: Map<string, bigint>;
  readonly segments: readonly Segment[];
  /** cr0 … cr4, and kernel_gs_base where the note has it. */
  readonly control: Map<string, bigint>;
}

/** Reads a QEMU note's description. Throws EXH_TRUNCATED when it is shorter than the older form. */
export function readQemuNote(view: DataView): QemuCpuState {
  const table = view.byteLength >= QEMU_NOTE_BYTES ? QEMU_NOTE : QEMU_NOTE_OLD;
  const values = table.read(view);
  const u32Of = (name: string): number => Number(values[name]);
  const u64Of = (name: string): bigint => BigInt(values[name] ?? 0);
  const segments = SEGMENTS.map(
    (name): Segment => ({
      name,
      selector: u32Of(`${name}.selector`),
      limit: u32Of(`${name}.limit`),
      flags: u32Of(`${name}.flags`),
      base: virtualAddress(u64Of(`${name}.base`)),
    }),
  );
  const control = new Map(CONTROL.map((name) => [name as string, u64Of(name)]));
  const hasKernelGsBase = table === QEMU_NOTE && u32Of('size') >= QEMU_NOTE_BYTES;
  if (hasKernelGsBase) control.set('kernel_gs_base', u64Of('kernel_gs_base'));
  const registers = new Map<string, bigint>();
  for (const name of READING_ORDER) registers.set(name, u64Of(name));
  for (const name of ['cs', 'ss', 'ds', 'es', 'fs', 'gs']) registers.set(name, u64Of(`${name}.selector`));
  for (const name of ['fs', 'gs']) registers.set(`${name}_base`, u64Of(`${name}.base`));
  return { version: u32Of('version'), size: u32Of('size'), registers, segments, control };
}

const READING_ORDER = 'rip rsp rflags rax rbx rcx rdx rsi rdi rbp r8 r9 r10 r11 r12 r13 r14 r15'.split(' ');
