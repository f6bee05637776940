import type { Damage, ErrorCode } from '../bytes/errors.js';
import type { Container } from '../dump/container.js';
import type { PhysicalMemory } from '../dump/memory.js';
import type { Evidence } from '../kernel/kernel.js';
import type { Segment } from '../machine/machine.js';

/** What a virtual CPU was about. */
export type GuestCpuState =
  /** It ran, or was to run when its host let it. */
  | 'running'
  /** It waited for an interrupt (HLT). */
  | 'halted'
  /** It waits for the guest's first CPU to start it, or was never run. */
  | 'not started'
  /** The hypervisor was told to stop it. */
  | 'stopped'
  | 'unknown';

/** The general registers in the order of their numbers (Intel SDM vol. 2, "ModR/M"), which KVM and QEMU keep them in, too. */
export const REGISTERS_BY_NUMBER: readonly string[] =
  'rax rcx rdx rbx rsp rbp rsi rdi r8 r9 r10 r11 r12 r13 r14 r15'.split(' ');

/** A virtual CPU's registers, under the names that a machine's CPUs have. What is not known is not there. */
export interface GuestRegisters {
  /** rip, rsp, rflags, rax … r15. */
  readonly general: ReadonlyMap<string, bigint>;
  /** cs, ds, es, fs, gs, ss, ldt, tr, gdt, idt; flags as in the high double word of a descriptor. */
  readonly segments: readonly Segment[];
  /** cr0, cr2, cr3, cr4, efer, kernel_gs_base; and star, lstar and others where they are known. */
  readonly control: ReadonlyMap<string, bigint>;
}

/** A virtual CPU. */
export interface GuestCpu {
  /** The guest's own number of it, as far as that is known: its position. */
  readonly index: number;
  readonly state: GuestCpuState;
  /** Undefined where they cannot be had. */
  readonly registers: GuestRegisters | undefined;
  /** Where they are from, in words: `vcpu->arch and the VMCB at 0x27c4000`. */
  readonly source: string;
  /** Why they may be older than the guest's memory, in words; undefined: they are not. */
  readonly stale?: string;
  /** What its own guest ran on it, where it was in one: its hypervisor's structures may not have that yet. */
  readonly nested?: GuestRegisters;
  readonly damage: readonly Damage[];
}

/** The process that ran a guest. */
export interface GuestProcess {
  readonly pid: number;
  readonly comm: string;
  /** Its arguments, the program first; empty where they could not be read. */
  readonly commandLine: readonly string[];
  /** QEMU's `-name`. */
  readonly name: string | undefined;
  /** QEMU's `-uuid`. */
  readonly uuid: string | undefined;
}

/** Why a guest's memory or registers cannot be had at all. */
export interface Refusal {
  readonly code: ErrorCode;
  readonly reason: string;
  /** What to try, or what would have kept it. */
  readonly hint?: string;
}

/** How a guest was found. */
export type GuestOrigin = 'kvm structures' | 'control structures' | 'QEMU process';

/** What became of a guest's pages, in numbers of them. */
export interface Occupancy {
  readonly described: number;
  /** They can be read; those never touched and those in swap are counted, too. */
  readonly present: number;
  /** Never touched, or given back by a balloon: zeros. */
  readonly untouched: number;
  /** In the host's swap, and read from there. */
  readonly swapped: number;
  readonly excluded: number;
  readonly lost: number;
}

/** The same, and whether two ways to find them agree. */
export interface MemorySurvey extends Occupancy {
  /** The nested page table, that the processor walked, against the memory slots; undefined where there is none. */
  readonly nested: NestedComparison | undefined;
}

export interface NestedComparison {
  readonly kind: 'NPT' | 'EPT';
  /** Pages that both have, at the same place in the host's memory. */
  readonly same: number;
  /** Pages that both have, at different places. */
  readonly different: number;
  /** Pages that the nested table has, and the slots have not. */
  readonly nestedOnly: number;
  /** The other way round: ordinary, as KVM drops entries whenever it likes. */
  readonly slotsOnly: number;
}

/** All that is known of a machine inside another one. Memory that cannot be had is in it as such, never as zeros. */
export interface GuestParts {
  /** Unique among its siblings; the process's `-name`, or `guest0` and so on. */
  readonly name: string;
  readonly how: GuestOrigin;
  readonly process?: GuestProcess;
  readonly cpus: readonly GuestCpu[];
  readonly memory: PhysicalMemory;
  /** Looks at all of the memory's pages, which is why it is not done at once. */
  readonly survey?: () => MemorySurvey;
  readonly refused?: Refusal;
  /** Nothing of its memory is in the host's dump, and why: it has registers, but is no dump of its own. */
  readonly withoutMemory?: Damage;
  readonly evidence: readonly Evidence[];
  readonly damage: readonly Damage[];
}

/** A machine inside another one, found in its memory. */
export interface Guest extends GuestParts {
  /** Among its siblings. */
  readonly index: number;
  /** It as a dump of its own, which every command opens. Made when first asked for. Throws what `refused` says. */
  container(): Container;
}
