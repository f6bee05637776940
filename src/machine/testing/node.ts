import { readFileSync } from 'node:fs';
import { unzlibSync } from 'fflate';
import type { Container, Note } from '../../dump/container.js';
import { SparseMemory } from '../../dump/testing/sparse-memory.js';
import type { CpuMode } from '../machine.js';

/** CPUs' notes, and where there is a kernel all pages of its page tables, cut from a dump of a real machine. */
export interface Fixture {
  readonly container: Container;
  readonly memory: SparseMemory;
  readonly golden: Golden;
}

/** What others say about the same machine; hexadecimal numbers as text. `oracles` says who. */
export interface Golden {
  readonly oracles: readonly string[];
  readonly cpus: readonly {
    readonly mode: CpuMode;
    readonly registers: Readonly<Record<string, string>>;
    readonly segments?: Readonly<Record<string, { selector: number; base: string; limit: number }>>;
  }[];
}

/** A golden file of a machine with a kernel. */
export interface KernelGolden extends Golden {
  readonly levels: number;
  readonly physBase: string;
  readonly image: { readonly virtual: string; readonly physical: string };
  /** Physical address of swapper_pg_dir. */
  readonly root: string;
  /** What CR3 names, by CPU, less its low bits. */
  readonly userRoots: readonly string[];
  readonly directMap: string;
  readonly perCpu: readonly string[];
  /** Interrupt handlers by vector. */
  readonly handlers: Readonly<Record<string, string>>;
  /** Virtual and physical addresses; null: not mapped. */
  readonly translations: readonly (readonly [string, string | null])[];
}

interface FixtureFile {
  readonly format: Container['format'];
  readonly claimedMachine?: string;
  readonly notes: readonly { name: string; type: number; offset: number; description: string }[];
  readonly frames?: readonly number[];
  /** zlib, base64: the pages at `frames`, one after another. */
  readonly pages?: string;
}

/** Fixtures with a kernel's page tables. */
export const KERNELS = ['linux-7.2', 'linux-7.2-la57', 'linux-6.1-pti'] as const;

const DIRECTORY = new URL('../../../../src/machine/fixtures/', import.meta.url);

/** Reads a fixture; its memory is fresh and may be written to. */
export function loadFixture(name: string): Fixture {
  const file: FixtureFile = JSON.parse(readFileSync(new URL(`${name}.json`, DIRECTORY), 'utf8'));
  const golden: Golden = JSON.parse(readFileSync(new URL(`${name}.golden.json`, DIRECTORY), 'utf8'));
  const memory = new SparseMemory();
  const pages = file.pages === undefined ? new Uint8Array() : unzlibSync(Buffer.from(file.pages, 'base64'));
  for (const [i, frame] of (file.frames ?? []).entries()) {
    memory.pages.set(frame, pages.slice(i * 4096, (i + 1) * 4096));
  }
  const notes = file.notes.map(({ description, ...note }): Note => ({ ...note, description: bytes(description) }));
  return { container: containerOf({ memory, notes, claimedMachine: file.claimedMachine }), memory, golden };
}

/** As `loadFixture`, for one of `KERNELS`. */
export function loadKernelFixture(name: (typeof KERNELS)[number]): Fixture & { readonly golden: KernelGolden } {
  return loadFixture(name) as Fixture & { readonly golden: KernelGolden };
}

/** A container that holds what is given and nothing else. */
export function containerOf(parts: Partial<Container>): Container {
  return {
    format: 'elf',
    description: 'a fixture',
    flattened: false,
    files: ['fixture'],
    littleEndian: true,
    wordBits: 64,
    claimedMachine: undefined,
    memory: new SparseMemory(),
    notes: [],
    vmcoreinfo: undefined,
    claimedPhysBase: undefined,
    spans: [],
    incomplete: false,
    facts: [],
    structures: [],
    damage: [],
    ...parts,
  };
}

function bytes(base64: string): Uint8Array {
  return new Uint8Array(Buffer.from(base64, 'base64'));
}
