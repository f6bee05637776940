import { ExhumeError, orUndefined } from '../bytes/errors.js';
import type { WrittenNote } from '../dump/description.js';
import type { PhysicalMemory } from '../dump/memory.js';
import type { Kernel } from '../kernel/kernel.js';
import { fdtStrings, fdtValue, readFdt } from './fdt/fdt.js';
import type { Handover, HandoverSource } from './model.js';
import { is2023, read2023, SERIES_2023_NAMES } from './series-2023/read.js';
import { PAGE } from './source-reader.js';
import { begin, type Joined, joinTold } from './sources/join.js';
import { toldByKernel } from './sources/kernel-variables.js';
import { treeAt, treesIn } from './sources/memory-trees.js';
import { toldByNotes } from './sources/note.js';
import type { ToldByFiles } from './sources/system-files.js';
import type { SilentPlace, Told } from './sources/told.js';
import { isUpstream, readUpstream, UPSTREAM_NAMES, type UpstreamFacts } from './upstream/read.js';
import { hexText } from './words.js';

/** Of a tree, named one by one. */
const MOST_COPIES = 8;

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
  const { handovers } = joinTold(byKernel(memory, kernel), memory, false);
  return withSearched(handovers, memory).flatMap((one) => readable(one, memory));
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
  const joined = joinTold([...told, ...byKernel(memory, kernel)], memory, true);
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
  const joined = joinTold([...told, ...byKernel(memory, kernel)], memory, false);
  const found = joined.handovers.flatMap((one) => readable(one, memory));
  const handovers =
    found.length > 0 || memory === undefined ? found : withSearched([], memory).flatMap((one) => readable(one, memory));
  return { handovers, silent: [...silent, ...joined.silent] };
}

function byKernel(memory: PhysicalMemory | undefined, kernel: Kernel | undefined): readonly Told[] {
  return memory === undefined || kernel === undefined ? [] : toldByKernel(memory, kernel);
}

function readJoined(joined: Joined, memory: PhysicalMemory | undefined): Handover {
  return readHandover(joined.tree, { memory, blobs: joined.blobs }, joined);
}

/** What is no handover after all is none. */
function readable(joined: Joined, memory: PhysicalMemory | undefined): Handover[] {
  const handover = orUndefined(() => readJoined(joined, memory));
  return handover === undefined ? [] : [handover];
}

/**
 * Adds those that nothing names. Copies of a tree that is known are no handovers of their own: a kernel that has loaded the next
 * one has some, and where the tree's pages lie apart, the first of them looks like one.
 */
function withSearched(told: readonly Joined[], memory: PhysicalMemory): Joined[] {
  const all = told.map((one) => ({ one, copies: [] as number[] }));
  for (const address of treesIn(memory)) {
    const tree = treeAt(memory, address);
    if (tree === undefined || all.some(({ one }) => one.address === address)) continue;
    const original = all.find(({ one }) => one.tree.length >= tree.length && begin(one.tree, tree.subarray(0, PAGE)));
    if (original !== undefined) {
      original.copies.push(address);
      continue;
    }
    const evidence = ['found by searching all memory: the kernel does not name it'];
    const one = {
      direction: undefined,
      address,
      tree,
      blobs: new Map(),
      scratch: [],
      sessions: undefined,
      evidence,
      places: [],
    };
    all.push({ one, copies: [] });
  }
  return all.map(({ one, copies }) => {
    if (copies.length === 0) return one;
    const places = copies.slice(0, MOST_COPIES).map(hexText).join(', ');
    const more = copies.length > MOST_COPIES ? ` and ${copies.length - MOST_COPIES} more places` : '';
    return { ...one, evidence: [...one.evidence, `copies of it are at ${places}${more}`] };
  });
}

/** Was the kernel built with kexec handover? One without symbols is taken to be. */
export function hasHandover({ symbols }: Kernel): boolean {
  if (symbols.address('linux_banner') === undefined) return true;
  return ['kho_in', 'kho_retrieve_subtree', 'kho_get_fdt'].some((name) => symbols.address(name) !== undefined);
}
