import type { VirtualAddress } from '../../bytes/address.js';
import { isExhumeError } from '../../bytes/errors.js';
import type { VirtualMemory } from '../../machine/virtual-memory.js';
import type { Kernel } from '../kernel.js';
import { noLayout } from '../types/kernel-types.js';

/**
 * Where the `struct page` of a page frame lies. Plain data: it can be handed to another thread.
 * - `vmemmap`: one array for all of memory, of which pages are mapped where there is RAM.
 * - `sections`: SPARSEMEM_EXTREME, one array for each section (128 MiB on x86-64); include/linux/mmzone.h.
 */
export type PageMap =
  | { readonly kind: 'vmemmap'; readonly method: string; readonly base: VirtualAddress }
  | {
      readonly kind: 'sections';
      readonly method: string;
      /** The array of pointers to pages full of `struct mem_section`. */
      readonly roots: VirtualAddress;
      readonly rootCount: number;
      readonly perRoot: number;
      /** `sizeof(struct mem_section)` and the offset of `section_mem_map` in it. */
      readonly sectionSize: number;
      readonly mapOffset: number;
      readonly pagesPerSection: number;
    };

/**
 * `section_mem_map` has flags in its low bits, below SECTION_MAP_LAST_BIT. The array begins at a page, and what is
 * taken off its address for the section's number is a multiple of more than a page: none of 12 bits is address.
 */
const SECTION_FLAGS = 0xfffn;
const SECTION_PRESENT = 1n;

/** Finds the page frames' array. Throws EXH_NO_LAYOUT when the kernel tells of none. */
export function readPageMap(kernel: Kernel): PageMap {
  const told = kernel.vmcoreinfo?.symbol('vmemmap');
  if (told !== undefined) {
    return { kind: 'vmemmap', method: 'SYMBOL(vmemmap) in VMCOREINFO', base: told as VirtualAddress };
  }
  const found = sections(kernel) ?? vmemmapVariable(kernel);
  if (found === undefined) throw noLayout('place where the array of struct page begins');
  return found;
}

/**
 * Where the one array of all page frames begins; undefined for a kernel that has none. Kernels with vmemmap have sections,
 * too, each with its part of the array.
 * @param size `sizeof(struct page)`, in bytes
 */
export function pageArrayBase(kernel: Kernel, size: number): VirtualAddress | undefined {
  const map = readPageMap(kernel);
  if (map.kind === 'vmemmap') return map.base;
  const array = vmemmapVariable(kernel);
  if (array?.kind !== 'vmemmap') return undefined;
  const { physical } = kernel.memory;
  const structs = new PageStructs(kernel.memory, map, size);
  for (const { start } of physical.ranges()) {
    const pfn = Math.floor(start / physical.pageSize);
    const address = structs.address(pfn);
    if (address !== undefined) return address === array.base + BigInt(pfn * size) ? array.base : undefined;
  }
  return undefined;
}

/** By the variable that x86-64 with CONFIG_DYNAMIC_MEMORY_LAYOUT has; it says nothing of whether the array is used. */
function vmemmapVariable({ symbols, memory }: Kernel): PageMap | undefined {
  const variable = symbols.address('vmemmap_base');
  if (variable === undefined) return undefined;
  return { kind: 'vmemmap', method: "the kernel's variable vmemmap_base", base: memory.pointer(variable) };
}

function sections({ layouts, memory, vmcoreinfo }: Kernel): PageMap | undefined {
  const sectionSize = layouts.size('mem_section');
  const mapOffset = layouts.offset('mem_section', 'section_mem_map');
  const sectionBits = vmcoreinfo?.number('SECTION_SIZE_BITS');
  const physicalBits = vmcoreinfo?.number('MAX_PHYSMEM_BITS');
  const roots = vmcoreinfo?.symbol('mem_section');
  if (sectionSize === undefined || mapOffset === undefined || roots === undefined) return undefined;
  if (sectionBits === undefined || physicalBits === undefined || physicalBits > 52n) return undefined;
  const { pageSize } = memory.physical;
  const pagesPerSection = 2 ** Number(sectionBits) / pageSize;
  const perRoot = Math.floor(pageSize / sectionSize);
  if (!(pagesPerSection >= 1) || perRoot < 1) return undefined;
  return {
    kind: 'sections',
    method: 'SYMBOL(mem_section) in VMCOREINFO',
    roots: roots as VirtualAddress,
    rootCount: Math.ceil(2 ** Number(physicalBits - sectionBits) / perRoot),
    perRoot,
    sectionSize,
    mapOffset,
    pagesPerSection,
  };
}

/** Finds `struct page` by page frame number. */
export class PageStructs {
  private section = -1;
  /** Where the array would begin if it went on down to page frame 0, for the section that was asked for last. */
  private sectionBase: bigint | undefined;

  constructor(
    private readonly memory: VirtualMemory,
    private readonly map: PageMap,
    /** `sizeof(struct page)`, in bytes. */
    private readonly size: number,
  ) {}

  /** The address of a page frame's `struct page`; undefined where the kernel has none. It need not be mapped. */
  address(pfn: number): bigint | undefined {
    const base = this.map.kind === 'vmemmap' ? this.map.base : this.baseOf(Math.floor(pfn / this.map.pagesPerSection));
    return base === undefined ? undefined : base + BigInt(pfn * this.size);
  }

  private baseOf(section: number): bigint | undefined {
    if (section !== this.section) {
      this.section = section;
      this.sectionBase = this.readSection(section);
    }
    return this.sectionBase;
  }

  /** A section that the dump does not have is one whose pages are not known. */
  private readSection(section: number): bigint | undefined {
    if (this.map.kind !== 'sections') return undefined;
    const { roots, rootCount, perRoot, sectionSize, mapOffset } = this.map;
    const root = Math.floor(section / perRoot);
    if (root >= rootCount) return undefined;
    try {
      const array = this.memory.pointer(roots + BigInt(root * 8));
      if (array === 0n) return undefined;
      const word = this.memory.u64(array + BigInt((section % perRoot) * sectionSize + mapOffset));
      return (word & SECTION_PRESENT) === 0n ? undefined : word & ~SECTION_FLAGS;
    } catch (error) {
      if (!isExhumeError(error)) throw error;
      return undefined;
    }
  }
}
