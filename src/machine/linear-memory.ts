import type { PhysicalAddress, VirtualAddress } from '../bytes/address.js';
import type { PhysicalMemory } from '../dump/memory.js';
import { VirtualMemory } from './virtual-memory.js';

/** A virtually and physically contiguous span. */
export interface LinearSpan {
  readonly virtual: VirtualAddress;
  readonly physical: PhysicalAddress;
  /** In bytes. */
  readonly size: number;
}

/**
 * Virtual memory without page tables: known spans only, such as a kernel image of known `phys_base`, the linear map,
 * or a core file's own program headers. Where spans overlap, the first one counts.
 */
export class LinearMemory extends VirtualMemory {
  constructor(
    physical: PhysicalMemory,
    littleEndian: boolean,
    private readonly spans: readonly LinearSpan[],
  ) {
    super(physical, littleEndian);
  }

  translate(address: VirtualAddress): PhysicalAddress | undefined {
    for (const { virtual, physical, size } of this.spans) {
      const offset = address - virtual;
      if (offset >= 0n && offset < size) return (physical + Number(offset)) as PhysicalAddress;
    }
    return undefined;
  }
}
