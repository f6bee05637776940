import type { PhysicalAddress, VirtualAddress } from '../bytes/address.js';
import type { Damage } from '../bytes/errors.js';
import type { DecodedStruct } from '../bytes/struct-table.js';
import type { Container } from '../dump/container.js';
import type { PhysicalMemory } from '../dump/memory.js';
import type { VirtualMemory } from './virtual-memory.js';

/** `uname -m` words. */
export type ArchitectureName = 'x86_64';

/** How an architecture was told. */
export interface ArchitectureEvidence {
  /** `the header's utsname.machine`, `336-byte NT_PRSTATUS`. */
  readonly method: string;
  /** What it said. */
  readonly answer: string;
}

/** One register, in the order in which people read them. */
export interface Register {
  /** Lower-case assembler name: `rip`, `rflags`, `cr3`, `gs_base`. */
  readonly name: string;
  readonly value: bigint;
}

/** A segment or descriptor-table register as the QEMU note holds it. */
export interface Segment {
  /** `cs` … `ss`, `ldt`, `tr`, `gdt`, `idt`. */
  readonly name: string;
  readonly selector: number;
  /** Last valid offset, in bytes. */
  readonly limit: number;
  readonly flags: number;
  readonly base: VirtualAddress;
}

/** Where a CPU was. */
export type CpuMode =
  | 'kernel'
  | 'user'
  /** Real or unpaged mode, or outside the kernel's half: firmware or a boot loader, or a CPU that was never started. */
  | 'firmware'
  | 'unknown';

/** One CPU of the machine, from the notes. */
export interface Cpu {
  /** Position among the notes: the CPU's number in QEMU's dumps; in kdump's it counts the CPUs that answered. */
  readonly index: number;
  /** `pr_pid` of NT_PRSTATUS: the task in kdump's notes, cpu_index+1 in QEMU's. */
  readonly pid: number | undefined;
  /** General registers; undefined when the note is missing or broken. */
  readonly registers: ReadonlyMap<string, bigint> | undefined;
  /** cr0 … cr4, and kernel_gs_base where the note has it (QEMU's notes only). */
  readonly control: ReadonlyMap<string, bigint> | undefined;
  readonly segments: readonly Segment[];
  readonly mode: CpuMode;
  /** Which notes it was read from: `NT_PRSTATUS`, `QEMU (440 bytes)`. */
  readonly sources: readonly string[];
  /** Why its registers may be older than the memory, in words; undefined: they are not. */
  readonly stale?: string | undefined;
}

/** What a page-table walk met on its way; for `vtop`. */
export interface WalkStep {
  /** As Linux names them: `PGD`, `P4D` (five levels only), `PUD`, `PMD`, `PTE`. */
  readonly level: string;
  /** Physical address of the entry. */
  readonly entryAddress: PhysicalAddress;
  readonly entry: bigint;
  /** `PRESENT|RW|USER|PSE|NX`… */
  readonly flags: readonly string[];
}

export interface Walk {
  readonly steps: readonly WalkStep[];
  /** Undefined when the walk ended at an entry that is not present or a table that is not in the dump. */
  readonly physical: PhysicalAddress | undefined;
  /** Bytes that the mapping covers: 4 KiB, 2 MiB, 1 GiB. */
  readonly pageSize: number | undefined;
  /** Why it ended without an answer. */
  readonly stopped: string | undefined;
}

/** A page table: a virtual memory with a root, that can tell what it did. */
export interface PageTable extends VirtualMemory {
  /** Physical address of the top-level table. */
  readonly root: PhysicalAddress;
  /** 4 or 5 on x86-64. */
  readonly levels: number;
  walk(address: VirtualAddress): Walk;
  /**
   * Mapped spans from `from` to `to` (the last address, inclusive), ascending, adjacent ones with equal rights joined.
   * Stops after `limit` spans. Tables that refer to themselves are entered a bounded number of times.
   */
  mappings(from: VirtualAddress, to: VirtualAddress, limit?: number): Iterable<Mapping>;
}

export interface Mapping {
  readonly virtual: VirtualAddress;
  readonly physical: PhysicalAddress;
  /** In bytes; virtually and physically contiguous. */
  readonly size: number;
  readonly writable: boolean;
  readonly executable: boolean;
  readonly user: boolean;
}

/** How to read a page table, beyond its root. */
export interface PageTableOptions {
  /** Bits of an entry that are not address though they stand among the address bits: AMD's encryption bit (`sme_mask`). */
  readonly encryptionMask?: bigint;
}

/** Where a page table may begin. */
export interface PageTableRoot {
  /** Physical address of the top-level table. */
  readonly root: PhysicalAddress;
  /** 4 or 5 on x86-64. */
  readonly levels: number;
  /** `CR3 of CPU 0`, `memory scan`. */
  readonly method: string;
}

/** A kernel page table, judged by what it maps. */
export interface JudgedRoot extends PageTableRoot {
  /** The kernel image, from its first mapped page on. */
  readonly image: {
    readonly virtual: VirtualAddress;
    readonly physical: PhysicalAddress;
    /** Bytes from the first to the last page that lie equally far from their physical addresses. */
    readonly size: number;
  };
  /** The kernel's `phys_base` as the image's mapping has it, in bytes; may be negative. */
  readonly physBase: bigint;
  /** Where the linear map of all memory begins (`PAGE_OFFSET`); undefined: not seen. */
  readonly directMap: VirtualAddress | undefined;
  /** What speaks for it, in words. */
  readonly evidence: readonly string[];
  /** The higher the better; comparable within one machine. */
  readonly score: number;
  /**
   * It is the kernel's own table (`swapper_pg_dir`) and no process's copy of it: it lies in the image that it maps,
   * beside the tables that map it, and its linear map leads back to it.
   */
  readonly certain: boolean;
}

export interface ScanOptions extends PageTableOptions {
  /** Look at this many pages at the most, from the lowest on; 4 Mi pages (16 GiB) unless told. */
  readonly pages?: number;
}

/** A computer as a dump shows it: CPUs and memory. Guests inside hosts are machines too. */
export interface Machine {
  readonly architecture: ArchitectureName;
  readonly architectureEvidence: readonly ArchitectureEvidence[];
  readonly memory: PhysicalMemory;
  readonly cpus: readonly Cpu[];
  /** The file that it was read from. */
  readonly container: Container;
  /** Who wrote the dump, judged from the notes: `qemu` when it carries QEMU notes. */
  readonly creator: 'qemu' | 'kernel' | 'makedumpfile' | 'unknown';
  /** The CPUs' notes field by field, for `--raw`. */
  readonly structures: readonly DecodedStruct[];
  readonly damage: readonly Damage[];
  /** A page table at this root; levels is 4 or 5 on x86-64. */
  pageTable(root: PhysicalAddress, levels: number, options?: PageTableOptions): PageTable;
  /**
   * Where a CPU's registers say that the kernel's page table begins, best first; empty when they do not say.
   * Candidates only: a CPU in user mode under page-table isolation points at a table without the kernel's memory.
   */
  rootsOf(cpu: Cpu): readonly PageTableRoot[];
  /** Is this a kernel's page table? Undefined when it maps no kernel image. */
  judgeRoot(candidate: PageTableRoot, options?: PageTableOptions): JudgedRoot | undefined;
  /**
   * Kernel page tables found by looking at every page of memory, in its order; every process has one, so stop at the
   * first that is `certain` (each kernel in the dump has one of those). Costs up to a read of the whole dump.
   */
  scanRoots(options?: ScanOptions): Iterable<JudgedRoot>;
  /** Where a CPU's per-CPU area may lie, best first: the base of the segment register that the kernel keeps it in. */
  perCpuBasesOf(cpu: Cpu): readonly VirtualAddress[];
}
