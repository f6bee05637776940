import { isExhumeError } from '../../bytes/errors.js';
import type { PhysicalMemory } from '../../dump/memory.js';
import type { Handover, MemoryArea } from '../model.js';
import { areaText, hexText } from '../words.js';
import { treeAt, treesIn } from './memory-trees.js';
import { readScratch } from './scratch.js';
import type { SilentPlace, Told } from './told.js';

/** A handover that one place or several tell of. */
export interface Joined {
  readonly direction: Handover['direction'];
  readonly address: number | undefined;
  /** As much of it as any of the places has. */
  readonly tree: Uint8Array;
  readonly blobs: ReadonlyMap<string, Uint8Array>;
  readonly scratch: readonly MemoryArea[];
  readonly sessions: bigint | undefined;
  /** What each place says, and whether they agree. */
  readonly evidence: readonly string[];
  readonly places: readonly Told[];
}

/** Handovers, and places whose handover cannot be had. */
export interface JoinedPlaces {
  readonly handovers: readonly Joined[];
  readonly silent: readonly SilentPlace[];
}

/**
 * Puts together what places tell: those that name one address, and trees in files with the tree in memory that they are.
 * @param search look through all memory for a tree whose place nobody tells
 */
export function joinTold(told: readonly Told[], memory: PhysicalMemory | undefined, search: boolean): JoinedPlaces {
  const groups: Group[] = [];
  for (const one of told) {
    if (one.address === undefined) continue;
    const same = groups.find(({ address }) => address === one.address);
    if (same === undefined) groups.push(new Group(one, memory));
    else same.places.push(one);
  }
  for (const one of told) {
    if (one.address !== undefined || one.tree === undefined) continue;
    const same = groups.find((group) => group.takes(one));
    if (same !== undefined) same.places.push(one);
    else groups.push(new Group(one, memory, search ? addressOf(one.tree, memory) : undefined));
  }
  const silent: SilentPlace[] = [];
  const handovers = groups.flatMap((group): Joined[] => {
    const { tree, address, direction } = group;
    if (tree !== undefined) {
      const others = groups.filter(
        (other) => other !== group && other.direction === direction && direction !== undefined,
      );
      return [group.joined(tree, others, scratchAlone(told))];
    }
    for (const { place } of group.places) {
      silent.push({ place, why: `a tree at ${hexText(address ?? 0)}, which memory does not have` });
    }
    return [];
  });
  return { handovers, silent };
}

/** Places that are taken to tell of one handover. */
class Group {
  readonly places: Told[];
  private readonly inMemory: Uint8Array | undefined;

  constructor(
    first: Told,
    private readonly memory: PhysicalMemory | undefined,
    readonly address = first.address,
  ) {
    this.places = [first];
    const unread = memory === undefined || address === undefined || first.apart === true;
    this.inMemory = unread ? undefined : treeAt(memory, address);
  }

  get direction(): Handover['direction'] {
    return this.places.find(({ direction }) => direction !== undefined)?.direction;
  }

  /** The tree, from wherever there is most of it. */
  get tree(): Uint8Array | undefined {
    const { inMemory, inFile } = this;
    if (inFile === undefined || (inMemory?.length ?? 0) >= inFile.length) return inMemory;
    return inFile;
  }

  private get inFile(): Uint8Array | undefined {
    return this.places.find(({ tree }) => tree !== undefined)?.tree;
  }

  /** Is a tree in a file the one of this group? Where nothing can be compared, one of the same direction is. */
  takes({ tree, direction }: Told): boolean {
    if (tree === undefined) return false;
    const own = this.inMemory ?? this.inFile;
    if (own === undefined) return direction !== undefined && direction === this.direction;
    return (
      (direction === undefined || this.direction === undefined || direction === this.direction) && begin(own, tree)
    );
  }

  joined(tree: Uint8Array, others: readonly Group[], alone: readonly Told[]): Joined {
    const evidence = this.places.map(placeText);
    const { scratch, unread } = this.scratch(alone);
    if (unread !== undefined) evidence.push(unread);
    const { inFile, inMemory, address } = this;
    if (inFile !== undefined && inMemory !== undefined) {
      evidence.push(
        inMemory.length > inFile.length
          ? `the file has ${inFile.length} bytes of the tree, memory all ${inMemory.length}: taken from memory`
          : 'the tree in the file is the one in memory',
      );
    } else if (inFile !== undefined && address !== undefined && !this.places.some(({ apart }) => apart === true)) {
      evidence.push('whether it is the tree in the file was not compared: memory does not have it');
    }
    const told = this.places.some((place) => place.address !== undefined);
    if (address !== undefined && !told) evidence.push(`found at ${hexText(address)} by searching all memory`);
    if (this.places.length > 1 && others.length === 0) evidence.push(`these ${this.places.length} agree`);
    for (const other of others) {
      evidence.push(`another tree is told by ${other.places.map(({ place }) => place).join(', ')}: they do not agree`);
    }
    const blobs = new Map(this.places.flatMap((one) => [...(one.blobs ?? [])]));
    const { direction, places } = this;
    const sessions = places.find((one) => one.sessions !== undefined)?.sessions;
    return { direction, address, tree, blobs, scratch, sessions, evidence, places };
  }

  /** Of the first place that has any; one array serves a kernel for both directions. */
  private scratch(alone: readonly Told[]): { scratch: readonly MemoryArea[]; unread?: string } {
    let unread: string | undefined;
    for (const { scratch, scratchArray, place } of [...this.places, ...alone]) {
      if (scratch !== undefined && scratch.length > 0) return { scratch };
      if (scratchArray === undefined || this.memory === undefined) continue;
      try {
        return { scratch: readScratch(this.memory, scratchArray) };
      } catch (error) {
        if (!isExhumeError(error)) throw error;
        unread = `${place}: its list of scratch areas cannot be read: ${error.message}`;
      }
    }
    return { scratch: [], ...(unread !== undefined && { unread }) };
  }
}

/** Places that tell of scratch memory and no tree. */
function scratchAlone(told: readonly Told[]): Told[] {
  return told.filter(({ scratch }) => (scratch?.length ?? 0) > 0);
}

function addressOf(tree: Uint8Array, memory: PhysicalMemory | undefined): number | undefined {
  if (memory === undefined) return undefined;
  for (const address of treesIn(memory)) {
    const found = treeAt(memory, address);
    if (found !== undefined && begin(found, tree)) return address;
  }
  return undefined;
}

/** Do both begin alike, as far as both go? */
export function begin(one: Uint8Array, other: Uint8Array): boolean {
  const length = Math.min(one.length, other.length);
  return length > 0 && one.subarray(0, length).every((byte, index) => byte === other[index]);
}

function placeText({ place, address, tree, blobs, scratch, scratchArray }: Told): string {
  const parts: string[] = [];
  if (tree !== undefined) parts.push(`a tree, ${tree.length} bytes of it`);
  if (address !== undefined) parts.push(`the tree is at ${hexText(address)}`);
  if (blobs !== undefined && blobs.size > 0) parts.push(`${blobs.size} descriptions`);
  if (scratch !== undefined && scratch.length > 0) parts.push(`${scratch.length} scratch areas`);
  if (scratchArray !== undefined) parts.push(`list of scratch areas at ${areaText(scratchArray)}`);
  return `${place}: ${parts.join(', ')}`;
}
