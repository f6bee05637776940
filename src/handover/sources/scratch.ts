import type { PhysicalMemory } from '../../dump/memory.js';
import type { MemoryArea } from '../model.js';
import { HandoverReader } from '../source-reader.js';
import { KHO_SCRATCH } from '../upstream/structures.js';
import { areaOf } from './kho-data.js';

/** As many scratch areas as there are NUMA nodes, and two. */
export const MOST_SCRATCH = 1026;

/** The areas of an array of `struct kho_scratch` in memory. Throws as reading memory does. */
export function readScratch(memory: PhysicalMemory, { address, size }: MemoryArea): MemoryArea[] {
  const count = Math.min(Math.floor(size / KHO_SCRATCH.size), MOST_SCRATCH);
  return scratchAreas(new HandoverReader(memory).view(BigInt(address), count * KHO_SCRATCH.size));
}

/** The areas in the bytes of such an array; empty ones go. */
export function scratchAreas(view: DataView): MemoryArea[] {
  const found: MemoryArea[] = [];
  for (let at = 0; at + KHO_SCRATCH.size <= view.byteLength; at += KHO_SCRATCH.size) {
    const { addr, size } = KHO_SCRATCH.read(view, at, true);
    const area = areaOf(addr, size);
    if (area !== undefined) found.push(area);
  }
  return found;
}
