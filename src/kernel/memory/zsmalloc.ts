import { ExhumeError } from '../../bytes/errors.js';
import { viewOf } from '../../bytes/struct-table.js';
import type { KernelView } from '../kernel-view.js';
import type { StructType } from '../types/kernel-types.js';

/** `OBJ_ALLOCATED_TAG`, in the word before an object that names its handle. */
const ALLOCATED = 1n;
/** MAX_POSSIBLE_PHYSMEM_BITS less PAGE_SHIFT are the frame's, at the top of the word; the rest is the object's number. */
const FRAME_SHIFT = 24n;
const NUMBER_MASK = (1n << FRAME_SHIFT) - 1n;
const HANDLE_BYTES = 8;

/**
 * Objects of zsmalloc (mm/zsmalloc.c), the allocator of zram and zswap: small ones of one size lie close together in a few
 * pages that need not follow each other, so that one may lie in two of them.
 */
export class Zsmalloc {
  private readonly page: StructType;
  private readonly next: number;
  private readonly owner: number;
  private readonly spaces = new Map<bigint, number>();

  /** @param pages where the array of `struct page` begins, and how large one is */
  constructor(
    private readonly view: KernelView,
    private readonly pages: { readonly base: bigint; readonly size: number },
  ) {
    // Since 6.14 zsmalloc's pages have a type of their own, laid over struct page.
    const own = view.types.struct('zpdesc');
    this.page = own ?? view.types.requireStruct('page');
    this.next = this.page.require(own === undefined ? 'index' : 'next').offset;
    this.owner = this.page.require(own === undefined ? 'private' : 'zspage').offset;
  }

  /** The bytes of an object of this size. Throws EXH_BAD_STRUCTURE where the handle leads to none, and memory's errors. */
  read(pool: bigint, handle: bigint, size: number): Uint8Array {
    const { view } = this;
    const { physical } = view.memory;
    const { pageSize } = physical;
    const place = view.memory.u64(handle & ~1n);
    const frame = Number(place >> FRAME_SHIFT);
    const page = this.pages.base + BigInt(frame) * BigInt(this.pages.size);
    const zspage = view.struct('zspage', view.memory.pointer(page + BigInt(this.owner)));
    if (zspage.int('huge') === 1) return physical.bytes(frame * pageSize, Math.min(size, pageSize));
    const space = this.spaceOf(pool, zspage.int('class'));
    // Until 6.8 the number had a bit of its own below it: the word before the object tells which it is.
    for (const shift of [0n, 1n]) {
      const offset = (space * Number((place & NUMBER_MASK) >> shift)) % pageSize;
      const named = offset % HANDLE_BYTES === 0 && viewOf(physical.bytes(frame * pageSize + offset, HANDLE_BYTES));
      if (!named || named.getBigUint64(0, true) !== (handle | ALLOCATED)) continue;
      return this.readAcross(page, frame, offset, HANDLE_BYTES + size).subarray(HANDLE_BYTES);
    }
    throw new ExhumeError('EXH_BAD_STRUCTURE', 'a handle of zsmalloc leads to no object of its own', {
      address: handle,
    });
  }

  /** What each object of a size class takes, in bytes. */
  private spaceOf(pool: bigint, index: number): number {
    const { view, spaces } = this;
    const key = pool + BigInt(index);
    const known = spaces.get(key);
    if (known !== undefined) return known;
    const classes = view.types.requireStruct('zs_pool').require('size_class').offset;
    const { offset } = view.types.requireStruct('size_class').require('size');
    const space = view.memory.u32(view.memory.pointer(pool + BigInt(classes + index * 8)) + BigInt(offset));
    spaces.set(key, space);
    return space;
  }

  /** Bytes that begin in one page of a zspage and may go on in its next one. */
  private readAcross(page: bigint, frame: number, offset: number, length: number): Uint8Array {
    const { memory } = this.view;
    const { physical } = memory;
    const { pageSize } = physical;
    const inFirst = Math.min(length, pageSize - offset);
    const bytes = new Uint8Array(length);
    bytes.set(physical.bytes(frame * pageSize + offset, inFirst));
    if (inFirst < length) {
      const distance = memory.pointer(page + BigInt(this.next)) - this.pages.base;
      const next = Number(distance / BigInt(this.pages.size));
      bytes.set(physical.bytes(next * pageSize, Math.min(length - inFirst, pageSize)), inFirst);
    }
    return bytes;
  }
}
