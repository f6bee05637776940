import { viewOf } from '../../bytes/struct-table.js';
import type { MemoryArea } from '../model.js';

/** `struct kho_mem` (include/uapi/linux/kexec.h): u64 addr, u64 len. */
export const MEM_ENTRY = 16;

/**
 * `struct kho_mem[]` of a `mem` property, little endian, at any place in the blob. Entries that are no memory are undefined.
 * A length that is no multiple of 16 is ignored by the kernel: then there are none.
 */
export function memEntries(value: Uint8Array): (MemoryArea | undefined)[] {
  if (value.length % MEM_ENTRY !== 0) return [];
  const view = viewOf(value);
  return Array.from({ length: value.length / MEM_ENTRY }, (_, index) => {
    const address = view.getBigUint64(index * MEM_ENTRY, true);
    const size = view.getBigUint64(index * MEM_ENTRY + 8, true);
    return address + size < 1n << 52n ? { address: Number(address), size: Number(size) } : undefined;
  });
}
