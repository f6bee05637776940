/** A guest's memory as exhume has it, compared with QEMU's dump of the same guest. */

import type { Pfn } from '../../src/bytes/address.js';
import type { PhysicalMemory } from '../../src/dump/memory.js';
import { FIRMWARE } from './conversions.js';

export interface ComparedPages {
  readonly same: number;
  readonly other: readonly number[];
  /** Those that QEMU has and we do not. */
  readonly missing: readonly number[];
}

const FOUR_GIBIBYTES = 0x100000;

/** Every page of QEMU's dump but the firmware's below 4 GiB, which is no memory of the guest's. */
export function comparePages(ours: PhysicalMemory, qemu: PhysicalMemory): ComparedPages {
  const other: number[] = [];
  const missing: number[] = [];
  let same = 0;
  for (const { start, end } of qemu.ranges()) {
    for (let pfn = start / 4096; pfn < end / 4096; pfn++) {
      const told = qemu.page(pfn as Pfn);
      if (typeof told === 'string' || (pfn >= FIRMWARE && pfn < FOUR_GIBIBYTES)) continue;
      const own = ours.page(pfn as Pfn);
      if (typeof own === 'string') missing.push(pfn);
      else if (Buffer.compare(own, told) === 0) same++;
      else other.push(pfn);
    }
  }
  return { same, other, missing };
}
