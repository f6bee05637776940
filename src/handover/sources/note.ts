import { viewOf } from '../../bytes/struct-table.js';
import type { WrittenNote } from '../../dump/description.js';
import type { Handover, MemoryArea } from '../model.js';
import { readKhoData } from './kho-data.js';
import type { Told } from './told.js';

/** Where a handover is. */
export interface HandoverPlace {
  readonly direction: NonNullable<Handover['direction']>;
  readonly tree: MemoryArea;
  /** The array of scratch areas; of the series of 2023/24, whose `cache` is told, the one area. */
  readonly scratch: MemoryArea;
  /** All that the tree preserves (`struct kho_mem[]`); upstream has none. */
  readonly cache: MemoryArea | undefined;
}

const NAME = 'EXHUME-KHO';
/** n_type is the place here, and one. */
const DIRECTIONS = ['outgoing', 'incoming'] as const;

/**
 * The ELF note that tells where a handover is in a dump without a kernel (`exhume kho build`): its description is
 * `struct kho_data`, its type the direction.
 */
export function handoverNote({ direction, tree, scratch, cache }: HandoverPlace): WrittenNote {
  const areas = cache === undefined ? [tree, scratch] : [tree, scratch, cache];
  const words = areas.flatMap(({ address, size }) => [BigInt(address), BigInt(size)]);
  return {
    name: NAME,
    type: DIRECTIONS.indexOf(direction) + 1,
    description: new Uint8Array(BigUint64Array.from(words).buffer),
  };
}

/** What such notes tell; broken ones tell nothing. */
export function toldByNotes(notes: readonly WrittenNote[]): Told[] {
  return notes.flatMap(({ name, type, description }): Told[] => {
    const direction = DIRECTIONS[type - 1];
    const data = name === NAME && direction !== undefined ? readKhoData(viewOf(description)) : undefined;
    return data === undefined ? [] : [{ place: 'a note of its builder', direction, ...data }];
  });
}
