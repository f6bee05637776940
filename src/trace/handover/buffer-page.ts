import { structTable, u32, u64, viewOf } from '../../bytes/struct-table.js';
import type { PhysicalMemory } from '../../dump/memory.js';
import type { MemoryArea } from '../../handover/model.js';

/**
 * `struct buffer_page` (kernel/trace/ring_buffer.c), as a handover of 2023/24 brings it: the old kernel's, with its links. How
 * it lies shows in its size: 56 bytes up to 6.7, the last kernel that the series was made for; 64 since 6.8.
 */
const FIELDS = { next: u64(0), prev: u64(8), write: u64(16), read: u32(24), entries: u64(32), real_end: u64(40) };
const LAYOUTS = [
  structTable('buffer_page', 56, { ...FIELDS, page: u64(48) }),
  structTable('buffer_page', 64, { ...FIELDS, order: u32(48), page: u64(56) }),
];

/** `RB_WRITE_MASK`: the rest of `write` and `entries` counts writers. */
const COUNT_MASK = 0xfffffn;
/** In `list.next`: the next page is the head (1), or is about to be (2). */
const LINK_FLAGS = 3n;

/** The sizes in bytes that a `struct buffer_page` has. */
export const DESCRIPTOR_SIZES: readonly number[] = LAYOUTS.map(({ size }) => size);

/** What a ring's page says of itself beside its own header. */
export interface PageDescriptor {
  /** Where the next one is for the old kernel. */
  readonly next: bigint;
  /** The next page is the head. */
  readonly headNext: boolean;
  /** Bytes that were written or reserved. */
  readonly write: number;
  /** Bytes that were read already. */
  readonly read: number;
  readonly entries: number;
  /** Where the page is for the old kernel. */
  readonly page: bigint;
}

/** Undefined: its size is that of no layout. Throws the page errors of memory that is not there. */
export function readDescriptor(memory: PhysicalMemory, { address, size }: MemoryArea): PageDescriptor | undefined {
  const layout = LAYOUTS.find((one) => one.size === size);
  if (layout === undefined) return undefined;
  const { next, write, read, entries, page } = layout.read(viewOf(memory.bytes(address, size)));
  return {
    next: next & ~LINK_FLAGS,
    headNext: (next & LINK_FLAGS) !== 0n,
    write: Number(write & COUNT_MASK),
    read,
    entries: Number(entries & COUNT_MASK),
    page,
  };
}
