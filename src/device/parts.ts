import type { GuestMemory } from './guest-memory.js';
import type { Part } from './virtqueue.js';

/** How many bytes the parts have together. */
export function lengthOf(parts: readonly Part[]): number {
  return parts.reduce((sum, { length }) => sum + length, 0);
}

/** All bytes of the parts, in their order. What a ring hands out is bounded. Rejects with EXH_DEVICE_MEMORY. */
export async function gather(memory: GuestMemory, parts: readonly Part[]): Promise<Uint8Array> {
  const bytes = new Uint8Array(lengthOf(parts));
  await inOrder(parts, bytes, (part, slice) => memory.read(part.address, slice));
  return bytes;
}

/** Fills the parts, in their order, with as many bytes as they hold. Answers how many. Rejects with EXH_DEVICE_MEMORY. */
export async function scatter(memory: GuestMemory, parts: readonly Part[], bytes: Uint8Array): Promise<number> {
  const fitting = bytes.subarray(0, lengthOf(parts));
  await inOrder(parts, fitting, (part, slice) => memory.write(part.address, slice));
  return fitting.length;
}

async function inOrder(
  parts: readonly Part[],
  bytes: Uint8Array,
  move: (part: Part, slice: Uint8Array) => Promise<void>,
): Promise<void> {
  let at = 0;
  for (const part of parts) {
    if (at === bytes.length) return;
    const slice = bytes.subarray(at, at + part.length);
    await move(part, slice);
    at += slice.length;
  }
}
