import { physicalAddress, virtualAddress } from '../bytes/address.js';
import type { PhysicalMemory } from '../dump/memory.js';
import { FRAME_MASK, X86PageTable } from '../machine/x86-64/paging.js';
import type { GuestCpu } from './guest.js';

const CR0_PG = 1n << 31n;
const CR4_LA57 = 1n << 12n;

/** How many of the CPUs' instruction and stack pointers their page tables map in this memory: which layout of it is right. */
export function mappedPointers(memory: PhysicalMemory, cpus: readonly GuestCpu[]): number {
  let mapped = 0;
  for (const { registers } of cpus) {
    const cr3 = registers?.control.get('cr3') ?? 0n;
    if (registers === undefined || ((registers.control.get('cr0') ?? 0n) & CR0_PG) === 0n) continue;
    const levels = ((registers.control.get('cr4') ?? 0n) & CR4_LA57) === 0n ? 4 : 5;
    const table = new X86PageTable(memory, physicalAddress(cr3 & FRAME_MASK), levels);
    for (const name of ['rip', 'rsp']) {
      if (table.translate(virtualAddress(registers.general.get(name) ?? 0n)) !== undefined) mapped++;
    }
  }
  return mapped;
}
