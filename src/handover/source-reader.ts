import type { PhysicalAddress } from '../bytes/address.js';
import { ExhumeError } from '../bytes/errors.js';
import { viewOf } from '../bytes/struct-table.js';
import type { PhysicalMemory } from '../dump/memory.js';

export const PAGE = 4096;

/**
 * Reads what a handover leads to in physical memory. The values are in the machine's own byte order: little endian.
 */
export class HandoverReader {
  constructor(readonly memory: PhysicalMemory) {}

  /** Throws EXH_BAD_ADDRESS above 2^53, EXH_PAGE_EXCLUDED, EXH_PAGE_LOST or EXH_PAGE_ABSENT. */
  bytes(address: bigint, length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    this.memory.read(physical(address), bytes);
    return bytes;
  }

  view(address: bigint, length: number): DataView {
    return viewOf(this.bytes(address, length));
  }
}

/** A physical address out of a structure. Throws EXH_BAD_ADDRESS when it is no number that memory can have. */
export function physical(address: bigint): PhysicalAddress {
  if (address >= 0n && address < 2n ** 52n) return Number(address) as PhysicalAddress;
  throw new ExhumeError('EXH_BAD_ADDRESS', `0x${address.toString(16)} is no physical address`, { address });
}

/** u64, little endian, of a property; undefined when it has another size. */
export function u64Of(value: Uint8Array | undefined): bigint | undefined {
  return value?.length === 8 ? viewOf(value).getBigUint64(0, true) : undefined;
}

/** Text up to the first NUL. */
export function textOf(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  return new TextDecoder().decode(end < 0 ? bytes : bytes.subarray(0, end));
}
