import { ExhumeError, isExhumeError } from '../bytes/errors.js';
import type { WrittenNote } from '../dump/description.js';
import type { PhysicalMemory } from '../dump/memory.js';
import type { Kernel } from '../kernel/kernel.js';
import { fdtStrings, fdtValue, readFdt } from './fdt/fdt.js';
import type { Handover, HandoverSource } from './model.js';
import { is2023, read2023, SERIES_2023_NAMES } from './series-2023/read.js';
import { type Joined, joinTold } from './sources/join.js';
import { toldByKernel } from './sources/kernel-variables.js';
import { treeAt, treesIn } from './sources/memory-trees.js';
import { toldByNotes } from './sources/note.js';
import type { ToldByFiles } from './sources/system-files.js';
import type { SilentPlace } from './sources/told.js';
import { isUpstream, readUpstream, UPSTREAM_NAMES, type UpstreamFacts } from './upstream/read.js';

/** Reads a handover out of its tree. Throws EXH_NOT_A_DUMP and the like when it is none, EXH_UNSUPPORTED_FORMAT for trees of something else. */
export function readHandover(
  blob: Uint8Array,
  source: HandoverSource,
  facts: UpstreamFacts = { direction: undefined, address: undefined, scratch: [], evidence: [] },
): Handover {
  const tree = readFdt(blob, { knownNames: UPSTREAM_NAMES });
  if (isUpstream(tree)) return readUpstream(tree, source, facts);
  const old = readFdt(blob, { knownNames: SERIES_2023_NAMES });
  if (is2023(old)) return read2023(old, facts);
  const [compatible = ''] = fdtStrings(fdtValue(tree.root, 'compatible'));
  // Nobody handed anything over, or it is a version of the future: what is there is shown.
  if (compatible.startsWith('kho')) return { ...readUpstream(tree, source, facts), series: undefined };
  throw new ExhumeError('EXH_UNSUPPORTED_FORMAT', `a device tree, but no handover: it is "${compatible}"`, {
    found: compatible,
    expected: 'kho-v1 to kho-v4',
  });
}

/**
 * The handovers in a machine's memory: those that its kernel says it has (to the next kernel, from the one before), and
 * those that stand there besides. A dump that was built has a note of its one handover, and no kernel.
 */
export function findHandovers(
  memory: PhysicalMemory,
  kernel: Kernel | undefined,
  notes: readonly WrittenNote[] = [],
): readonly Handover[] {
  const built = joinTold(toldByNotes(notes), memory, false).handovers.flatMap((one) => readable(one, memory));
  // All that stands there is its own, and may be much.
  if (built.length > 0) return built;
  const told = kernel === undefined ? [] : toldByKernel(memory, kernel);
  const found = joinTold(told, memory, false).handovers.flatMap((one) => readable(one, memory));
  return [...found, ...searched(memory, new Set(told.map(({ address }) => address)))];
}

/** Handovers of files, and which places tell of none. */
export interface FileHandovers {
  readonly handovers: readonly Handover[];
  readonly silent: readonly SilentPlace[];
}

/**
 * The handovers that files tell of, with the memory that their addresses are of, and what its kernel says of the same
 * handovers. Throws as `readHandover`.
 */
export function fileHandovers(
  { told, silent }: ToldByFiles,
  memory: PhysicalMemory | undefined,
  kernel: Kernel | undefined,
): FileHandovers {
  const byKernel = memory === undefined || kernel === undefined ? [] : toldByKernel(memory, kernel);
  const joined = joinTold([...told, ...byKernel], memory, true);
  const ofFiles = joined.handovers.filter(({ places }) => places.some((place) => told.includes(place)));
  return {
    handovers: ofFiles.map((one) => readJoined(one, memory)),
    silent: [...silent, ...joined.silent.filter(({ place }) => told.some((one) => one.place === place))],
  };
}

/**
 * The handovers of a running system: by its files, by its kernel's variables; only when neither tells of one, all its
 * memory is searched.
 */
export function liveHandovers(
  { told, silent }: ToldByFiles,
  memory: PhysicalMemory | undefined,
  kernel: Kernel | undefined,
): FileHandovers {
  const byKernel = memory === undefined || kernel === undefined ? [] : toldByKernel(memory, kernel);
  const joined = joinTold([...told, ...byKernel], memory, false);
  const found = joined.handovers.flatMap((one) => readable(one, memory));
  const handovers = found.length > 0 || memory === undefined ? found : searched(memory, new Set());
  return { handovers, silent: [...silent, ...joined.silent] };
}

function readJoined(joined: Joined, memory: PhysicalMemory | undefined): Handover {
  return readHandover(joined.tree, { memory, blobs: joined.blobs }, joined);
}

/** What is no handover after all is none. */
function readable(joined: Joined, memory: PhysicalMemory | undefined): Handover[] {
  try {
    return [readJoined(joined, memory)];
  } catch (error) {
    if (isExhumeError(error)) return [];
    throw error;
  }
}

/** Those that nothing names. */
function searched(memory: PhysicalMemory, known: ReadonlySet<number | undefined>): Handover[] {
  const found: Handover[] = [];
  for (const address of treesIn(memory)) {
    const tree = known.has(address) ? undefined : treeAt(memory, address);
    if (tree === undefined) continue;
    const evidence = ['found by searching all memory: the kernel does not name it'];
    found.push(
      ...readable({ direction: undefined, address, tree, blobs: new Map(), scratch: [], evidence, places: [] }, memory),
    );
  }
  return found;
}

/** Was the kernel built with kexec handover? One without symbols is taken to be. */
export function hasHandover({ symbols }: Kernel): boolean {
  const known = symbols.address('linux_banner') !== undefined;
  return !known || symbols.address('kho_in') !== undefined || symbols.address('kho_retrieve_subtree') !== undefined;
}
