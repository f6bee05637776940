import { viewOf } from '../../bytes/struct-table.js';
import type { PhysicalMemory } from '../../dump/memory.js';
import { passOver } from './memory-pass.js';

/**
 * A virtual CPU's general registers without the kernel's types. No control structure has them: KVM keeps them in
 * `kvm_vcpu_arch.regs`, in the order of their numbers, RIP behind them, then `regs_avail` (arch/x86/include/asm/kvm_host.h).
 * That array is known by what it must have in common with the control structure, near a pointer to that one or anywhere.
 */

/** What is known of a virtual CPU before its registers are found. */
export interface WantedVcpu {
  /** Physical address of its control structure. */
  readonly address: number;
  readonly rip: bigint;
  readonly rsp: bigint;
  /** AMD: RAX is in the VMCB. */
  readonly rax: bigint | undefined;
  /** Values that KVM keeps beside the registers: CR0, CR4, EFER as the guest has them. */
  readonly beside: readonly BesideValue[];
}

export interface BesideValue {
  readonly value: bigint;
  /** Bits in which KVM's copy is not older. */
  readonly bits: bigint;
}

export interface FoundRegisters {
  /** rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8 … r15, rip. */
  readonly values: readonly bigint[];
  /** Bits of registers that are newer here than in the control structure; bit 4 RSP, 16 RIP. */
  readonly available: number;
  /** Physical address of the array. */
  readonly address: number;
  /** A pointer to the control structure is near, or RAX, RSP and RIP fit. */
  readonly how: 'pointer' | 'values';
}

const REGISTERS = 17;
const RSP = 4;
const RIP = 16;
const REGISTERS_BYTES = REGISTERS * 8;
/** An instruction that KVM did for the guest is at most so long. */
const MOST_SKIPPED = 15n;
/** Every register but RSP is always kept here: `regs_avail` has these bits. */
const ALWAYS_AVAILABLE = 0xffef;
/** From `kvm_vcpu_arch.regs` to the pointer to the control structure: less than this in every kernel. */
const NEAR = 32_768;
/** CR0, CR4 and EFER follow within so many bytes. */
const BESIDE = 0x80;
/** More places than this for one value tell nothing. */
const MOST_PLACES = 256;
/** The linear map begins on a multiple of this. */
const GIB_LOW_BITS = 0x3fff_ffff;
const KERNEL_HIGH = 0xff00_0000;

/** Finds the registers of as many as it can, by the control structure's address. One pass over memory, and short reads. */
export function findRegisters(memory: PhysicalMemory, wanted: readonly WantedVcpu[]): Map<number, FoundRegisters> {
  const places = lookFor(memory, wanted);
  const found = new Map<number, FoundRegisters>();
  for (const [i, one] of wanted.entries()) {
    const { pointers, stacks } = places[i] ?? { pointers: [], stacks: [] };
    const near = pointers.flatMap((at) => nearPointer(memory, at, one));
    const best = near[0] ?? stacks.flatMap((at) => registersAt(memory, at - RSP * 8, one, 'values'))[0];
    if (best !== undefined) found.set(one.address, best);
  }
  return found;
}

interface Places {
  /** Where pointers to the control structure lie. */
  readonly pointers: number[];
  /** Where its RSP lies. */
  readonly stacks: number[];
}

/** Every aligned place of the values that are looked for: pointers to the structures, and stack pointers. */
function lookFor(memory: PhysicalMemory, wanted: readonly WantedVcpu[]): Places[] {
  const places = wanted.map((): Places => ({ pointers: [], stacks: [] }));
  const byPointer = new Map<number, number[]>();
  const byStack = new Map<number, number[]>();
  const filter = new Uint8Array(0x1_0000);
  const enter = (map: Map<number, number[]>, key: number, i: number): void => {
    map.set(key, [...(map.get(key) ?? []), i]);
  };
  for (const [i, { address, rsp }] of wanted.entries()) {
    // The linear map's base is a multiple of 1 GiB, so a pointer's low 30 bits are the address's.
    const low = address % 2 ** 30;
    enter(byPointer, low, i);
    filter[hash(low)] = 1;
    const stack = Number(rsp & 0xffff_ffffn) | 0;
    enter(byStack, stack, i);
    filter[hash(stack & GIB_LOW_BITS)] = 1;
  }
  passOver(memory, (words, _bytes, address, length) => {
    for (let w = 0; w < length / 4; w += 2) {
      const low = words[w] as number;
      if (filter[hash(low & GIB_LOW_BITS)] === 0) continue;
      const high = words[w + 1] as number;
      const at = address + w * 4;
      if ((high & KERNEL_HIGH) === (KERNEL_HIGH | 0)) {
        for (const i of byPointer.get(low & GIB_LOW_BITS) ?? []) add(places[i]?.pointers, at);
      }
      for (const i of byStack.get(low) ?? []) {
        if (Number((wanted[i]?.rsp ?? 0n) >> 32n) === high >>> 0) add(places[i]?.stacks, at);
      }
    }
  });
  return places;
}

function hash(low: number): number {
  return Math.imul(low, 0x9e37_79b1) >>> 16;
}

function add(list: number[] | undefined, at: number): void {
  if (list !== undefined && list.length < MOST_PLACES) list.push(at);
}

/** Arrays of registers before a pointer to the control structure: both are parts of one `vcpu_svm` or `vcpu_vmx`. */
function nearPointer(memory: PhysicalMemory, pointer: number, wanted: WantedVcpu): FoundRegisters[] {
  const found: FoundRegisters[] = [];
  for (let at = pointer - 8; at > pointer - NEAR && at >= 0 && found.length === 0; at -= 8) {
    found.push(...registersAt(memory, at, wanted, 'pointer'));
  }
  return found;
}

const scratch = new Uint8Array(REGISTERS_BYTES + 8 + BESIDE);
const scratchView = viewOf(scratch);

/** The array at an address, if it can be this CPU's. */
function registersAt(
  memory: PhysicalMemory,
  address: number,
  wanted: WantedVcpu,
  how: FoundRegisters['how'],
): FoundRegisters[] {
  if (address < 0 || memory.tryRead(address as never, scratch) !== undefined) return [];
  const available = scratchView.getUint32(REGISTERS_BYTES, true);
  if ((available & ALWAYS_AVAILABLE) !== ALWAYS_AVAILABLE) return [];
  const value = (i: number): bigint => scratchView.getBigUint64(i * 8, true);
  const skipped = value(RIP) - wanted.rip;
  if (isSet(available, RIP) && (skipped < 0n || skipped > MOST_SKIPPED)) return [];
  if (isSet(available, RSP) && value(RSP) !== wanted.rsp) return [];
  // By values alone RAX must fit too; near the pointer an emulated instruction may have changed it.
  if (how === 'values' && wanted.rax !== undefined && value(0) !== wanted.rax) return [];
  if (wanted.beside.filter(isBeside).length < 2) return [];
  return [{ values: Array.from({ length: REGISTERS }, (_, i) => value(i)), available, address, how }];
}

/** Is it behind the registers in `scratch`? */
function isBeside({ value, bits }: BesideValue): boolean {
  for (let at = REGISTERS_BYTES + 8; at < scratch.length; at += 8) {
    if ((scratchView.getBigUint64(at, true) & bits) === (value & bits)) return true;
  }
  return false;
}

function isSet(bits: number, bit: number): boolean {
  return ((bits >>> bit) & 1) !== 0;
}
