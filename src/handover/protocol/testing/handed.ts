import type { Handover, MemoryArea } from '../../model.js';
import { readHandover } from '../../open.js';
import { PAGE } from '../../source-reader.js';
import { KHO_SCRATCH } from '../../upstream/structures.js';
import type { FrameMemory, Run } from './frames.js';

/** `struct kho_scratch[]` */
export function scratchBytes(scratch: readonly Run[]): Uint8Array {
  const bytes = new Uint8Array(scratch.length * KHO_SCRATCH.size);
  for (const [index, { pfn, count }] of scratch.entries()) {
    const values = { addr: BigInt(pfn * PAGE), size: BigInt(count * PAGE) };
    KHO_SCRATCH.write(new DataView(bytes.buffer), index * KHO_SCRATCH.size, values);
  }
  return bytes;
}

export function readScratch(memory: FrameMemory, { pfn }: Pick<Run, 'pfn'>): MemoryArea[] {
  const found: MemoryArea[] = [];
  for (let at = 0; at < PAGE; at += KHO_SCRATCH.size) {
    const { addr, size } = KHO_SCRATCH.read(memory.view(pfn), at);
    if (size === 0n) break;
    found.push({ address: Number(addr), size: Number(size) });
  }
  return found;
}

/** What stands in memory, as exhume reads it. */
export function handoverAt(
  memory: FrameMemory,
  address: number,
  direction: Handover['direction'],
  scratch: readonly MemoryArea[],
): Handover {
  const size = new DataView(memory.bytes(address, 8).buffer).getUint32(4);
  const blob = memory.bytes(address, Math.min(size, PAGE));
  return readHandover(blob, { memory, blobs: new Map() }, { direction, address, scratch, evidence: [] });
}
