import { AreaSet } from '../handover/area-set.js';
import type { Handover, MemoryArea } from '../handover/model.js';
import { FirstOverlap } from './first-overlap.js';

/** Memory with the one who named it. */
export interface OwnedArea extends MemoryArea {
  readonly owner: string;
}

/** Preserved memory, blocks that touch and are alike joined. */
export interface OwnedBlock extends MemoryArea {
  readonly order: number;
  /** Of the blocks in it. */
  readonly count: number;
  /** Undefined: nobody whose description is known. */
  readonly owner: string | undefined;
  /** It overlaps scratch memory. */
  readonly scratch: boolean;
}

/** Everything that somebody names, by address: the tree, descriptions, and what these lead to. */
export function namedAreas({ address, tree, users }: Handover): OwnedArea[] {
  const named: OwnedArea[] = address === undefined ? [] : [{ address, size: tree.totalSize, owner: 'the tree' }];
  for (const { name, blob, areas } of users) {
    if (blob !== undefined) named.push({ ...blob, owner: name });
    for (const { address: start, size, what } of areas) named.push({ address: start, size, owner: what });
  }
  return named.sort((a, b) => a.address - b.address);
}

/** The preserved blocks with their owners: of several the one that begins first. */
export function ownedBlocks({ preserved, scratch }: Handover, named: readonly OwnedArea[]): OwnedBlock[] {
  const owners = new FirstOverlap(named);
  const free = new AreaSet(scratch);
  const joined: (MemoryArea & {
    size: number;
    order: number;
    count: number;
    owner: string | undefined;
    scratch: boolean;
  })[] = [];
  for (const block of preserved?.blocks ?? []) {
    const { address, size, order } = block;
    const owner = owners.of(block)?.owner;
    const inScratch = !free.within(block).next().done;
    const last = joined.at(-1);
    const alike = last !== undefined && last.order === order && last.owner === owner && last.scratch === inScratch;
    if (alike && last.address + last.size === address) {
      last.size += size;
      last.count++;
    } else {
      joined.push({ address, size, order, count: 1, owner, scratch: inScratch });
    }
  }
  return joined;
}
