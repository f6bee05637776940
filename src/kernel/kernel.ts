import type { VirtualAddress } from '../bytes/address.js';
import type { Damage } from '../bytes/errors.js';
import type { Machine, PageTable } from '../machine/machine.js';
import type { VirtualMemory } from '../machine/virtual-memory.js';
import type { Layouts } from './layouts.js';
import type { SymbolTable } from './symbols.js';
import type { KernelTypes } from './types/kernel-types.js';
import type { Vmcoreinfo } from './vmcoreinfo.js';

/** One way that a question about the dump was tried, and what it said. Nothing is guessed silently. */
export interface Evidence {
  /** `phys_base`, `KASLR offset`, `page-table root`, `kernel symbols`, `VMCOREINFO`. */
  readonly question: string;
  /** `VMCOREINFO note`, `CR3 of CPU 0`, `memory scan`. */
  readonly method: string;
  /** What it said; undefined: it had no answer. */
  readonly answer: string | undefined;
  /** Did this answer win? */
  readonly accepted: boolean;
  /** Why it failed, what it was checked against. */
  readonly detail?: string;
}

/** What a kernel in the dump was doing. */
export type KernelRole =
  /** It panicked (CRASHTIME, or panic in its log), or is the kernel that a capture kernel is there for. */
  | 'crashed'
  /** A kdump capture kernel (`elfcorehdr=` on its command line). */
  | 'capture'
  /** Neither: it was dumped alive. */
  | 'running';

/** A Linux kernel found inside a machine. */
export interface Kernel {
  /** For `--kernel INDEX`. */
  readonly index: number;
  readonly role: KernelRole;
  readonly machine: Machine;
  /** `6.1.0-49-cloud-amd64`. */
  readonly release: string | undefined;
  /** `linux_banner`, one line. */
  readonly banner: string | undefined;
  /** 40 hexadecimal digits. */
  readonly buildId: string | undefined;
  readonly commandLine: string | undefined;
  readonly hostName: string | undefined;
  readonly vmcoreinfo: Vmcoreinfo | undefined;
  /** Never throws when absent: an empty table, and evidence that says why. */
  readonly symbols: SymbolTable;
  readonly layouts: Layouts;
  /** The kernel's types and its modules', read when first asked for; undefined when it has no BTF. */
  types(): KernelTypes | undefined;
  /** The kernel's address space. */
  readonly memory: VirtualMemory;
  readonly pageTable: PageTable;
  /** Physical load address of the kernel map's start, as the kernel's own `phys_base`; in bytes, may be negative. */
  readonly physBase: bigint | undefined;
  /** How far from its link address the kernel runs, in bytes; 0 with nokaslr. */
  readonly kaslrOffset: bigint | undefined;
  /** Base of the linear map (`PAGE_OFFSET`). */
  readonly directMap: VirtualAddress | undefined;
  /** Wall-clock time of the panic, in seconds since 1970 (VMCOREINFO's CRASHTIME). */
  readonly crashTime: number | undefined;
  /** `panic_cpu`: the CPU that panicked; undefined when none did. */
  readonly panicCpu: number | undefined;
  /** Wall-clock time at which the kernel stopped, in seconds since 1970, from its timekeeper. */
  readonly stoppedTime: number | undefined;
  /** Seconds since boot, from its timekeeper. */
  readonly uptime: number | undefined;
  readonly evidence: readonly Evidence[];
  readonly damage: readonly Damage[];
}
