import { AreaSet } from '../handover/area-set.js';
import type { Handover, MemoryArea, NamedArea } from '../handover/model.js';
import { namedAreas } from '../handover/named-areas.js';
import { FirstOverlap } from './first-overlap.js';

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

/** Everything that somebody names, by address. */
export function namedByAddress(handover: Handover): NamedArea[] {
  return [...namedAreas(handover)].sort((a, b) => a.address - b.address);
}

/** The preserved blocks with their owners: of several the one that begins first. */
export function ownedBlocks({ preserved, scratch }: Handover, named: readonly NamedArea[]): OwnedBlock[] {
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
    const owner = owners.of(block)?.what;
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
