import { ExhumeError } from '../../bytes/errors.js';
import type { KernelView } from '../kernel-view.js';
import type { Struct } from '../types/struct.js';

/** Registers by their assembler names, as the machine's CPUs have them: `rip`, `rsp`, `rax`, `rflags`, `orig_rax`, `cs`. */
export type RegisterSet = ReadonlyMap<string, bigint>;

/** Members of `struct pt_regs` and our names for them; arch/x86/include/asm/ptrace.h. */
const MEMBERS: readonly (readonly [member: string, register: string])[] = [
  ['ip', 'rip'],
  ['sp', 'rsp'],
  ['flags', 'rflags'],
  ['ax', 'rax'],
  ['bx', 'rbx'],
  ['cx', 'rcx'],
  ['dx', 'rdx'],
  ['si', 'rsi'],
  ['di', 'rdi'],
  ['bp', 'rbp'],
  ['r8', 'r8'],
  ['r9', 'r9'],
  ['r10', 'r10'],
  ['r11', 'r11'],
  ['r12', 'r12'],
  ['r13', 'r13'],
  ['r14', 'r14'],
  ['r15', 'r15'],
  ['orig_ax', 'orig_rax'],
  ['cs', 'cs'],
  ['ss', 'ss'],
];
/** What the processor itself pushes. */
const PARTIAL = new Set(['rip', 'cs', 'rflags', 'rsp', 'ss']);
const SELECTORS = new Set(['cs', 'ss']);

/**
 * The registers that the kernel saved when it was entered, from `struct pt_regs`.
 * @param partial only what the processor pushed is there; `address` is still the start of the whole structure
 */
export function readSavedRegisters(view: KernelView, address: bigint, partial = false): RegisterSet {
  const saved: Struct = view.struct('pt_regs', address);
  const registers = new Map<string, bigint>();
  for (const [member, register] of MEMBERS) {
    if (partial && !PARTIAL.has(register)) continue;
    const value = saved.big(member);
    // The rest of a selector's word is not the processor's to define.
    registers.set(register, SELECTORS.has(register) ? value & 0xffffn : value);
  }
  return registers;
}

/** Where in `struct pt_regs` the part begins that the processor pushes, in bytes. */
export function partialOffset(view: KernelView): number {
  return view.types.requireStruct('pt_regs').require('ip').offset;
}

export function sizeOfSavedRegisters(view: KernelView): number {
  return view.types.requireStruct('pt_regs').size;
}

/** Were they saved on the way in from user mode? */
export function isUserMode(registers: RegisterSet): boolean {
  return ((registers.get('cs') ?? 0n) & 3n) === 3n;
}

/** Do they look like saved registers at all: the code selector is one that Linux has (arch/x86/include/asm/segment.h)? */
export function isPlausible(registers: RegisterSet): boolean {
  const cs = registers.get('cs') ?? 0n;
  return cs === KERNEL_CS || cs === USER_CS || cs === USER32_CS;
}

const KERNEL_CS = 0x10n;
const USER_CS = 0x33n;
const USER32_CS = 0x23n;

/** A register that the walk cannot do without. Throws EXH_BAD_STRUCTURE when it is not known. */
export function requireRegister(registers: RegisterSet, name: string): bigint {
  const value = registers.get(name);
  if (value === undefined) throw new ExhumeError('EXH_BAD_STRUCTURE', `the value of ${name} is not known here`);
  return value;
}
