import { hex, type PhysicalAddress, type VirtualAddress, virtualAddress } from '../../bytes/address.js';
import type { PhysicalMemory } from '../../dump/memory.js';
import type { JudgedRoot, Mapping, PageTableOptions, PageTableRoot, ScanOptions } from '../machine.js';
import { LARGE, PRESENT, TABLE_BYTES, tablePage, X86PageTable } from './paging.js';

/** `__START_KERNEL_map`: the kernel image lies in the GiB from here on (Documentation/arch/x86/x86_64/mm.rst). */
export const KERNEL_MAP = 0xffff_ffff_8000_0000n;
/** Last address that the image may have with KASLR; modules follow. */
const KERNEL_MAP_END = KERNEL_MAP + 0x4000_0000n - 1n;
/** The linear map starts on a multiple of this: KASLR moves it by whole entries of the PUD. */
const DIRECT_MAP_ALIGNMENT = 1n << 30n;
/** Where the linear map may be: the kernel's half up to the CPU entry area. */
const UPPER_HALF = { 4: 0xffff_8000_0000_0000n, 5: 0xff00_0000_0000_0000n } as const;
const CPU_ENTRY_AREA = 0xffff_fe00_0000_0000n;

/** No kernel image is smaller, in bytes. */
const SMALLEST_IMAGE = 2 * 2 ** 20;
/** Spans looked at to tell the image and the linear map. */
const IMAGE_SPANS = 128;
const DIRECT_MAP_SPANS = 128;
/** `swapper_pg_dir` and the tables linked after it lie within so many bytes. */
const NEIGHBOURS = 16 * TABLE_BYTES;
const DEFAULT_PAGES = 4 * 2 ** 20;
/** Every process has a page table that looks like the kernel's; a memory with more of them than this was made up. */
const MOST_CANDIDATES = 16_384;

/** What each sign is worth; a process's table, which leads everywhere, is better than an early boot table of the kernel's. */
const SCORES = { image: 1, own: 2, directMap: 4 } as const;

/**
 * Is this the root of a Linux kernel's page table? Undefined when it maps no kernel image.
 *
 * The signs: it maps an executable, 2 MiB aligned, physically contiguous image at `__START_KERNEL_map`; it has a linear
 * map through which it can be reached itself; and it lies in the image that it maps, as `swapper_pg_dir` does.
 * Costs some dozens of table pages.
 */
export function judgeRoot(
  memory: PhysicalMemory,
  candidate: PageTableRoot,
  options: PageTableOptions = {},
): JudgedRoot | undefined {
  const table = new X86PageTable(memory, candidate.root, candidate.levels, options);
  const image = kernelImage(table);
  if (image === undefined) return undefined;
  const evidence = [`maps ${image.size / 2 ** 20} MiB of kernel image at ${hex(image.virtual)}`];
  let score: number = SCORES.image;
  const directMap = directMapOf(table);
  if (directMap !== undefined) {
    evidence.push(`is found again through its linear map at ${hex(directMap)}`);
    score += SCORES.directMap;
  }
  const own = isOwn(memory, table.root, image, highMask(options));
  if (own) {
    evidence.push('lies in the image that it maps, just before the tables that map it');
    score += SCORES.own;
  }
  const physBase = BigInt(image.physical) - (image.virtual - KERNEL_MAP);
  const { levels, method } = candidate;
  const certain = own && directMap !== undefined;
  return { root: table.root, levels, method, image, physBase, directMap, evidence, score, certain };
}

/**
 * Is it `swapper_pg_dir`? The kernel links that one directly before its `level4_kernel_pgt` and `level3_kernel_pgt`
 * (arch/x86/kernel/head_64.S). Process tables may lie in the image too, in the freed part, but not there.
 */
function isOwn(memory: PhysicalMemory, root: PhysicalAddress, image: JudgedRoot['image'], mask: number): boolean {
  const after = follow(memory, root / TABLE_BYTES, 511, mask) * TABLE_BYTES - root;
  return root >= image.physical && root < image.physical + image.size && after > 0 && after <= NEIGHBOURS;
}

/**
 * Looks at every page of memory, from the lowest on, whether it may be a top-level table, and judges those that may.
 * The first look is at the last entry only: it must be present and lead, through one table more with five levels,
 * to a table whose entry 510 is present: the way to `__START_KERNEL_map`. Judges 16,384 pages at the most.
 * What maps a kernel image and has no other sign is passed over: process tables for user mode are such.
 */
export function* scanForRoots(memory: PhysicalMemory, options: ScanOptions = {}): Generator<JudgedRoot, void> {
  let left = options.pages ?? DEFAULT_PAGES;
  let candidates = MOST_CANDIDATES;
  const mask = highMask(options);
  for (const { start, end } of memory.presentRanges()) {
    const lastFrame = Math.floor(end / TABLE_BYTES);
    for (let frame = Math.ceil(start / TABLE_BYTES); frame < lastFrame; frame++) {
      if (left-- <= 0) return;
      for (const levels of levelsOf(memory, frame, mask)) {
        if (candidates-- <= 0) return;
        const root = (frame * TABLE_BYTES) as PhysicalAddress;
        const judged = judgeRoot(memory, { root, levels, method: 'memory scan' }, options);
        // Only the image: the table of user mode under page-table isolation, which holds the entry code alone.
        if (judged !== undefined && judged.score > SCORES.image) yield judged;
      }
    }
  }
}

/** With how many levels a page may be a kernel's top-level table; cheap, and mostly none. */
function levelsOf(memory: PhysicalMemory, frame: number, mask: number): readonly (4 | 5)[] {
  const next = follow(memory, frame, 511, mask);
  if (next < 0) return NONE;
  const four = follow(memory, next, 510, mask) >= 0;
  const afterNext = follow(memory, next, 511, mask);
  const five = afterNext >= 0 && follow(memory, afterNext, 510, mask) >= 0;
  return four ? (five ? EITHER : FOUR) : five ? FIVE : NONE;
}

const NONE = [] as const;
const FOUR = [4] as const;
const FIVE = [5] as const;
const EITHER = [4, 5] as const;

/** The bits of an entry's high half that count: all but the encryption bit. */
function highMask(options: PageTableOptions): number {
  return Number(BigInt.asUintN(32, ~((options.encryptionMask ?? 0n) >> 32n)));
}

/** The frame of the table that an entry leads to; -1: none, or none that a kernel would have there. */
function follow(memory: PhysicalMemory, frame: number, index: number, mask: number): number {
  const table = tablePage(memory, frame);
  if (typeof table === 'string') return -1;
  const low = table.getUint32(index * 8, true);
  const high = (table.getUint32(index * 8 + 4, true) & mask) >>> 0;
  // Linux sets no bit above 51 in an entry that leads to a table, and each such table is somewhere else than its parent.
  if ((low & (PRESENT | LARGE)) !== PRESENT || high > 0xf_ffff) return -1;
  const next = high * 2 ** 20 + (low >>> 12);
  return next === frame ? -1 : next;
}

/** The kernel image as a page table maps it; undefined when what is mapped there cannot be one. */
function kernelImage(table: X86PageTable): JudgedRoot['image'] | undefined {
  let first: Mapping | undefined;
  let end = 0n;
  for (const span of table.mappings(virtualAddress(KERNEL_MAP), virtualAddress(KERNEL_MAP_END), IMAGE_SPANS)) {
    if (first === undefined) {
      if (span.virtual % 0x20_0000n !== 0n || span.physical % 0x20_0000 !== 0 || !span.executable) return undefined;
      first = span;
    } else if (distance(span) !== distance(first)) {
      break;
    }
    end = span.virtual + BigInt(span.size);
  }
  if (first === undefined) return undefined;
  const size = Number(end - first.virtual);
  return size < SMALLEST_IMAGE ? undefined : { virtual: first.virtual, physical: first.physical, size };
}

/** Where the linear map begins: the distance of most mapped bytes, if the table itself is found through it. */
function directMapOf(table: X86PageTable): VirtualAddress | undefined {
  const sizes = new Map<bigint, number>();
  const described = table.physical.describedBytes();
  const from = virtualAddress(UPPER_HALF[table.levels]);
  for (const span of table.mappings(from, virtualAddress(CPU_ENTRY_AREA - 1n), DIRECT_MAP_SPANS)) {
    const base = distance(span);
    if (base % DIRECT_MAP_ALIGNMENT !== 0n) continue;
    const size = (sizes.get(base) ?? 0) + span.size;
    sizes.set(base, size);
    // No other can have more: memory is not mapped in two places, but for the small part that is vmalloc's.
    if (size > described / 2) break;
  }
  for (const [base] of [...sizes].sort(([, a], [, b]) => b - a)) {
    if (table.translate(virtualAddress(base + BigInt(table.root))) === table.root) return virtualAddress(base);
  }
  return undefined;
}

function distance(span: Mapping): bigint {
  return span.virtual - BigInt(span.physical);
}
