import type { ElfHeader } from './elf-header.js';
import type { Segments } from './elf-segments.js';

const GIGABYTE = 1n << 30n;
/** Where x86-64 kernels may put the direct map: above the hole, below vmalloc, modules and the kernel's own text. */
const DIRECT_MAP_LOW = 0xff11_0000_0000_0000n;
const KERNEL_HALF = 1n << 63n;
const VMALLOC_SIZE = 1n << 40n;

/** Physical addresses worked out for a file that has none. */
export interface DerivedPhysical {
  /** A column in place of p_paddr: Infinity for segments outside the direct map. */
  readonly physical: Float64Array;
  /** Virtual address at which physical address 0 is mapped. */
  readonly base: bigint;
  readonly evidence: string;
}

/**
 * Old kernels' /proc/kcore (fs/proc/kcore.c up to 4.10) has p_paddr 0 in all segments: there the direct map tells.
 * Its segments are the RAM in the order of physical addresses; the first lies in the first gigabyte, and
 * the map starts at a multiple of one, so the base is the lowest segment's address rounded down.
 * x86-64 only. Undefined for a file that has physical addresses, or no kernel addresses.
 */
export function derivePhysical(loads: Segments, header: ElfHeader): DerivedPhysical | undefined {
  if (header.machine !== 62 || loads.count < 2) return undefined;
  if (loads.physical.some((physical) => physical !== 0)) return undefined;
  let lowest: bigint | undefined;
  for (let i = 0; i < loads.count; i++) {
    const virtual = loads.virtual[i] as bigint;
    if (virtual < KERNEL_HALF) return undefined;
    if (isDirectMap(virtual, loads.memorySize[i] as number) && (lowest === undefined || virtual < lowest))
      lowest = virtual;
  }
  if (lowest === undefined) return undefined;
  const base = lowest - (lowest % GIGABYTE);
  const physical = Float64Array.from(loads.virtual, (virtual, i) =>
    isDirectMap(virtual, loads.memorySize[i] as number) ? Number(virtual - base) : Number.POSITIVE_INFINITY,
  );
  return {
    physical,
    base,
    evidence: 'no segment has a physical address; taken from the lowest kernel segment, rounded down to 1 GiB',
  };
}

/** Below the vmalloc area (0xffffc900…), and not the vmalloc area moved down by KASLR, which is 32 TiB in one piece. */
function isDirectMap(virtual: bigint, size: number): boolean {
  return virtual >= DIRECT_MAP_LOW && virtual < 0xffff_c000_0000_0000n && size < Number(VMALLOC_SIZE) * 16;
}
