import { ExhumeError } from '../bytes/errors.js';
import type { Container } from '../dump/container.js';
import type { Architecture } from './architecture.js';
import { ARCHITECTURES } from './architectures.js';
import type { ArchitectureEvidence, ArchitectureName, Machine } from './machine.js';

export interface OpenMachineOptions {
  /** The architecture that the caller vouches for, where nothing in the file tells it (a raw image without page tables). */
  readonly assume?: ArchitectureName;
}

/**
 * The machine in a container: tells the architecture, reads the CPUs' notes.
 *
 * The architecture is told by, in this order: the caller (`assume`), the container's header, the sizes of its notes,
 * VMCOREINFO; and where none of them knows, by looking for kernel page tables in memory, which may cost a read of the
 * whole dump. Everything that was asked is kept as evidence.
 * Throws EXH_UNKNOWN_ARCHITECTURE, with that evidence, when there is no answer or it is none that exhume reads.
 */
export function openMachine(container: Container, options: OpenMachineOptions = {}): Machine {
  const evidence: ArchitectureEvidence[] = [];
  const architecture = recognise(container, options, evidence);
  const { memory } = container;
  const { cpus, structures, damage } = architecture.cpus(container);
  return {
    architecture: architecture.name,
    architectureEvidence: evidence,
    memory,
    cpus,
    container,
    creator: creatorOf(container),
    structures,
    damage,
    pageTable: (root, levels, pageTableOptions) => architecture.pageTable(memory, root, levels, pageTableOptions),
    rootsOf: architecture.rootsOf,
    judgeRoot: (candidate, pageTableOptions) => architecture.judgeRoot(memory, candidate, pageTableOptions),
    scanRoots: (scanOptions) => architecture.scanRoots(memory, scanOptions),
    perCpuBasesOf: architecture.perCpuBasesOf,
  };
}

/** Collects evidence until an architecture is told. */
function recognise(container: Container, options: OpenMachineOptions, evidence: ArchitectureEvidence[]): Architecture {
  if (options.assume !== undefined) evidence.push({ method: 'told by the caller', answer: options.assume });
  evidence.push(headerEvidence(container));
  for (const architecture of ARCHITECTURES) evidence.push(...architecture.recognise(container));
  const told = first(evidence);
  if (told !== undefined) return told;
  const claimed = container.claimedMachine;
  for (const architecture of ARCHITECTURES) {
    if (claimed !== undefined && !architecture.aliases.includes(claimed)) continue;
    const found = architecture.recogniseMemory(container.memory);
    evidence.push(found ?? { method: `${architecture.name} kernel page tables in memory`, answer: 'none found' });
    if (found !== undefined) return architecture;
  }
  const said = evidence.map(({ method, answer }) => `${method}: ${answer}`).join('; ');
  throw new ExhumeError('EXH_UNKNOWN_ARCHITECTURE', `cannot tell an architecture that exhume reads (${said})`, {
    ...(container.files[0] === undefined ? {} : { file: container.files[0] }),
    expected: ARCHITECTURES.map(({ name }) => name).join(', '),
    evidence,
    hint: 'say which architecture it is, if you know it',
  });
}

/** The architecture that the first conclusive item names. */
function first(evidence: readonly ArchitectureEvidence[]): Architecture | undefined {
  for (const { answer } of evidence) {
    const architecture = ARCHITECTURES.find(({ name }) => name === answer);
    if (architecture !== undefined) return architecture;
  }
  return undefined;
}

const HEADER_FIELDS = {
  elf: 'e_machine in the ELF header',
  kdump: 'utsname.machine in the header',
  raw: 'the header',
  guest: 'the hypervisor',
} as const;

function headerEvidence(container: Container): ArchitectureEvidence {
  const method = HEADER_FIELDS[container.format];
  return { method, answer: container.claimedMachine ?? 'does not say' };
}

/** Who wrote it: QEMU leaves notes of its own, makedumpfile a format or a note of its own, the kernel neither. */
function creatorOf(container: Container): Machine['creator'] {
  const has = (name: string): boolean => container.notes.some((note) => note.name === name);
  if (has('QEMU')) return 'qemu';
  if (container.format === 'kdump' || container.flattened || has('ERASEINFO')) return 'makedumpfile';
  return container.format === 'elf' && has('CORE') ? 'kernel' : 'unknown';
}
