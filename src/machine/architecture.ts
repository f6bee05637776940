import type { PhysicalAddress, VirtualAddress } from '../bytes/address.js';
import type { Damage } from '../bytes/errors.js';
import type { DecodedStruct } from '../bytes/struct-table.js';
import type { Container } from '../dump/container.js';
import type { PhysicalMemory } from '../dump/memory.js';
import type {
  ArchitectureEvidence,
  ArchitectureName,
  Cpu,
  JudgedRoot,
  PageTable,
  PageTableOptions,
  PageTableRoot,
  ScanOptions,
} from './machine.js';

/** What the CPUs' notes of a dump say. */
export interface CpuNotes {
  readonly cpus: readonly Cpu[];
  /** The notes field by field, in the order of the file. */
  readonly structures: readonly DecodedStruct[];
  readonly damage: readonly Damage[];
}

/** All that exhume knows about one architecture. Another architecture is another object of this kind in `architectures.ts`. */
export interface Architecture {
  readonly name: ArchitectureName;
  /** Other names that a header may give to a dump of this architecture: QEMU's `i386` for a machine still in firmware. */
  readonly aliases: readonly string[];

  /**
   * What the container's header, notes and VMCOREINFO say, cheaply and without memory.
   * An item whose `answer` is this architecture's name speaks for it; any other is told to the reader only.
   */
  recognise(container: Container): readonly ArchitectureEvidence[];

  /** Looks for this architecture's kernel page tables in memory; undefined: none. Costs up to a read of the whole dump. */
  recogniseMemory(memory: PhysicalMemory): ArchitectureEvidence | undefined;

  /** Reads the CPUs' notes. Never throws for a broken note: it is damage, and its CPU lacks what the note would have said. */
  cpus(container: Container): CpuNotes;

  /** A page table at `root`. Throws EXH_USAGE for a number of levels that the architecture does not have. */
  pageTable(memory: PhysicalMemory, root: PhysicalAddress, levels: number, options?: PageTableOptions): PageTable;

  rootsOf(cpu: Cpu): readonly PageTableRoot[];
  judgeRoot(memory: PhysicalMemory, candidate: PageTableRoot, options?: PageTableOptions): JudgedRoot | undefined;
  scanRoots(memory: PhysicalMemory, options?: ScanOptions): Iterable<JudgedRoot>;
  perCpuBasesOf(cpu: Cpu): readonly VirtualAddress[];
}
