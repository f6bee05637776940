import { viewOf } from '../../bytes/struct-table.js';
import type { Mapped, ProcessMemory } from './process-memory.js';

/** A block of guest memory as QEMU holds it: `struct RAMBlock` (QEMU include/exec/ramblock.h). */
export interface RamBlock {
  /** Address of the structure in the process. */
  readonly at: number;
  /** `idstr`: `pc.ram`, `pc.bios`, `/objects/mem0`. */
  readonly name: string;
  /** Address of its MemoryRegion. */
  readonly region: number;
  /** Where the memory itself lies in the process. */
  readonly host: number;
  /** `used_length`: how much of it the guest has, in bytes. */
  readonly size: number;
}

/** Heaps are smaller than this; guest memory and the translator's code are what is larger, and are searched last. */
const HEAP_BYTES = 256 * 1024 * 1024;
/** More blocks than any machine has: 256 slots of memory and some dozens of ROMs. */
const MAX_BLOCKS = 4096;
const PAGE = 4096;
const NAME_BYTES = 256;
/** How far behind `host` the name may begin: 0x34 in QEMU 4.2 to 11.1. */
const NAME_REACH = 0x60;
/** How far in the structure `host` is: 0x18. */
const HOST_REACH = 0x40;
/** How large a MemoryRegion may be: 272 bytes in QEMU 7.2. */
const REGION_BYTES = 0x200;

/** The spans that structures are looked for in, the likely ones first, and those that are searched if nothing is found there. */
export function heaps(memory: ProcessMemory): { readonly likely: Mapped[]; readonly others: Mapped[] } {
  const filled = memory.mapped.filter(({ fileSize, data }) => fileSize > 0 && data);
  return {
    likely: filled.filter(({ start, end }) => end - start < HEAP_BYTES),
    others: filled.filter(({ start, end }) => end - start >= HEAP_BYTES),
  };
}

/**
 * Finds QEMU's blocks of guest memory without any symbol: a structure that begins {…, mr, host, …}, where `host` is the
 * address of a page, a length of whole pages and a printable name follow, and the MemoryRegion `mr` points back at it.
 * This holds in every QEMU since 2.5; how far the fields are apart is found out each time.
 */
export function findRamBlocks(memory: ProcessMemory): RamBlock[] {
  const { likely, others } = heaps(memory);
  const found = search(memory, likely);
  return found.length > 0 ? found : search(memory, others);
}

function search(memory: ProcessMemory, spans: readonly Mapped[]): RamBlock[] {
  const found = new Map<number, RamBlock>();
  memory.sweep(spans, (words, address) => {
    // The word before `host` is `mr`, so the first of a piece is looked at with the piece before it: a heap has no
    // structure of 300 bytes in its first word.
    for (let i = 0; i < words.length; i += 2) {
      const low = words[i] as number;
      const high = words[i + 1] as number;
      if ((low & (PAGE - 1)) !== 0 || high === 0 || high > 0xff_ffff) continue;
      const host = high * 2 ** 32 + low;
      const block = blockAt(memory, address + 4 * i, host);
      if (block !== undefined) found.set(block.at, block);
      if (found.size === MAX_BLOCKS) return true;
    }
    return false;
  });
  return [...found.values()].sort((a, b) => a.at - b.at);
}

/** The block whose structure begins at an address; undefined where there is none. */
export function ramBlockOf(memory: ProcessMemory, self: number): RamBlock | undefined {
  for (let at = self + 8; at <= self + HOST_REACH; at += 8) {
    const host = memory.word(at);
    if (host === undefined || host === 0 || host % PAGE !== 0) continue;
    const block = blockAt(memory, at, host);
    if (block?.at === self) return block;
  }
  return undefined;
}

/** @param at where the field `host` may lie */
function blockAt(memory: ProcessMemory, at: number, host: number): RamBlock | undefined {
  const bytes = memory.bytes(at - 8, 8 + NAME_REACH + NAME_BYTES);
  if (bytes === undefined) return undefined;
  const view = viewOf(bytes);
  const region = Number(view.getBigUint64(0, true));
  if (region % 8 !== 0 || memory.at(region) === undefined) return undefined;
  const sized = lengthIn(view);
  if (sized === undefined) return undefined;
  const name = nameIn(bytes, sized.end);
  if (name === undefined) return undefined;
  const self = ownerOf(memory, region, at);
  return self === undefined ? undefined : { at: self, name, region, host, size: sized.size };
}

/**
 * `offset`, `used_length`, `max_length`: whole pages, the second no more than the third; behind `host` and perhaps
 * `colo_cache`. That is 0, and so may be taken for the offset, and the offset for the length: the last such three count.
 */
function lengthIn(view: DataView): { readonly size: number; readonly end: number } | undefined {
  let found: { readonly size: number; readonly end: number } | undefined;
  for (let at = 16; at + 24 <= 8 + 0x30; at += 8) {
    const [offset, used, max] = [0, 8, 16].map((more) => Number(view.getBigUint64(at + more, true))) as [
      number,
      number,
      number,
    ];
    const whole = [offset, used, max].every((value) => value % PAGE === 0 && value < 2 ** 52);
    if (whole && used > 0 && used <= max) found = { size: used, end: at + 24 };
  }
  return found;
}

/** A printable name that is filled up with NULs. */
function nameIn(bytes: Uint8Array, from: number): string | undefined {
  for (let at = from; at + NAME_BYTES <= bytes.length; at += 4) {
    if (!isPrintable(bytes[at] as number)) continue;
    const end = bytes.indexOf(0, at);
    if (end < 0 || end - at >= NAME_BYTES) continue;
    const name = bytes.subarray(at, end);
    const rest = bytes.subarray(end, at + NAME_BYTES);
    if (name.every(isPrintable) && rest.every((byte) => byte === 0)) return new TextDecoder().decode(name);
  }
  return undefined;
}

function isPrintable(byte: number): boolean {
  return byte > 0x20 && byte < 0x7f;
}

/** The address in a MemoryRegion that points at the block, which begins somewhat before its field `host`. */
function ownerOf(memory: ProcessMemory, region: number, host: number): number | undefined {
  const bytes = memory.upTo(region, REGION_BYTES);
  const view = viewOf(bytes);
  for (let at = 0; at + 8 <= bytes.length; at += 8) {
    const pointer = Number(view.getBigUint64(at, true));
    if (pointer < host && pointer >= host - HOST_REACH && pointer % 8 === 0) return pointer;
  }
  return undefined;
}
