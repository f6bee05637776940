import { isExhumeError } from '../../bytes/errors.js';
import type { KernelView } from '../kernel-view.js';
import type { Struct } from '../types/struct.js';
import { PageArray } from './pages.js';

/** Slots of a cluster where the types do not tell: SWAPFILE_CLUSTER is HPAGE_PMD_NR. */
const CLUSTER_SLOTS = 512;
/** The low bits of a table's entry: a shadow of what was swapped out; a page frame; else the address of a folio, or nothing. */
const SHADOW = 1n;
const FRAME = 2n;
const KIND_MASK = 7n;
const FRAME_KIND_MASK = 3n;
/** SWAP_CACHE_PFN_BITS: physical addresses of 52 bits, in pages. */
const FRAME_BITS = 40n;
/** SWP_TB_ZERO_FLAG: below the four bits that count users. */
const ZERO_FLAG = 1n << 59n;

/**
 * What the kernel notes of a place in swap: that the page is in memory as well (the swap cache, since 6.18 a table for each
 * cluster of slots: mm/swap_table.h), or that it is all zeros and was never written anywhere (a bitmap since 6.12,
 * a flag in that table since 7.2).
 */
export class SwapSlots {
  private pages: PageArray | undefined;

  constructor(private readonly view: KernelView) {}

  /** The page frame that holds the page, `zeros`, or undefined: neither is noted. Throws memory's errors. */
  at(area: Struct, offset: number): number | 'zeros' | undefined {
    // Its first page is the area's header.
    if (offset <= 0 || offset >= area.int('max')) return undefined;
    if (area.has('zeromap') && this.isSet(area.pointer('zeromap'), offset)) return 'zeros';
    const clusters = area.type.field('cluster_info');
    const type = this.view.types.struct('swap_cluster_info');
    if (clusters === undefined || type?.field('table') === undefined) return undefined;
    const slots = (this.view.types.struct('swap_table')?.field('entries')?.size ?? CLUSTER_SLOTS * 8) / 8;
    const index = Math.floor(offset / slots);
    const cluster = this.view.struct(type.name, area.pointer('cluster_info') + BigInt(index * type.size));
    const table = cluster.pointer('table');
    if (table === 0n) return undefined;
    const entry = this.view.memory.u64(table + BigInt((offset % slots) * 8));
    const frame = this.frameOf(entry);
    if (frame !== undefined && this.isUptodate(frame)) return frame;
    if (area.has('zeromap')) return undefined;
    if (cluster.has('zero_bitmap'))
      return this.isSet(cluster.pointer('zero_bitmap'), offset % slots) ? 'zeros' : undefined;
    const noted = (entry & SHADOW) === SHADOW || (entry & FRAME_KIND_MASK) === FRAME;
    return noted && (entry & ZERO_FLAG) !== 0n ? 'zeros' : undefined;
  }

  private frameOf(entry: bigint): number | undefined {
    if (entry === 0n || (entry & SHADOW) === SHADOW) return undefined;
    if ((entry & FRAME_KIND_MASK) === FRAME) return Number(BigInt.asUintN(Number(FRAME_BITS), entry >> 2n));
    // In 6.18 the address of the folio.
    if ((entry & KIND_MASK) !== 0n) return undefined;
    this.pages ??= new PageArray(this.view);
    const physical = this.pages.physicalOf(entry);
    return physical === undefined ? undefined : physical / this.view.memory.physical.pageSize;
  }

  /** Holds it what belongs there, or is that still to be read? */
  private isUptodate(frame: number): boolean {
    const bit = this.view.types.enumerator('PG_uptodate');
    if (bit === undefined) return false;
    this.pages ??= new PageArray(this.view);
    try {
      return ((this.pages.page(BigInt(frame)).big('flags') >> bit) & 1n) === 1n;
    } catch (error) {
      if (!isExhumeError(error)) throw error;
      return false;
    }
  }

  private isSet(bitmap: bigint, bit: number): boolean {
    if (bitmap === 0n) return false;
    return ((this.view.memory.u64(bitmap + BigInt(Math.floor(bit / 64) * 8)) >> BigInt(bit % 64)) & 1n) === 1n;
  }
}
