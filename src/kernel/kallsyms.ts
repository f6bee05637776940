import { type VirtualAddress, virtualAddress } from '../bytes/address.js';
import { viewOf } from '../bytes/struct-table.js';
import { badTable, type KallsymsNames } from './kallsyms-names.js';
import type { KernelSymbol, SymbolHit, SymbolTable } from './symbols.js';

/**
 * How `kallsyms_offsets` (or `kallsyms_addresses`) turns into addresses; scripts/kallsyms.c, kernel/kallsyms.c.
 * Which one a kernel uses is nowhere written down: try them, and check what comes out.
 */
export type KallsymsEncoding =
  /** Up to 6.14 with SMP: s32 v is absolute when v >= 0 (per-CPU offsets), else `relative_base - 1 - v`. */
  | 'absolute-percpu'
  /** u32 offsets from `relative_base`: without SMP, other architectures, and x86-64 from 6.15. */
  | 'base-relative'
  /** From 7.0: s32 from the place of the entry itself; there is no `relative_base`. */
  | 'place-relative'
  /** Up to 4.5: `kallsyms_addresses`, one u64 each. */
  | 'absolute';

/** The address table as it stands in the kernel image. */
export interface KallsymsAddressTable {
  /** An entry of 4 bytes for each name, or of 8 for the encoding `absolute`. */
  readonly offsets: Uint8Array;
  /** What offsets are added to: `relative_base`, or the address of `kallsyms_offsets` itself. */
  readonly base: VirtualAddress;
  readonly encoding: KallsymsEncoding;
  readonly littleEndian: boolean;
}

/**
 * The kernel's symbols, decoded on demand out of the kallsyms tables.
 * A million symbols cost a few typed arrays; names become strings only when asked for.
 */
export class Kallsyms implements SymbolTable {
  readonly size: number;
  readonly encoding: KallsymsEncoding;
  private readonly view: DataView;
  private readonly littleEndian: boolean;
  private readonly base: VirtualAddress;
  /** Symbol numbers by address, absolute ones left out; and their addresses minus `base`, exact in a double. */
  private sorted: { readonly order: Uint32Array; readonly relative: Float64Array } | undefined;

  /** Throws EXH_BAD_STRUCTURE when the address table is too short for the names. */
  constructor(
    private readonly names: KallsymsNames,
    table: KallsymsAddressTable,
  ) {
    this.size = names.count;
    this.encoding = table.encoding;
    this.view = viewOf(table.offsets);
    this.littleEndian = table.littleEndian;
    this.base = table.base;
    if (table.offsets.length < this.size * (table.encoding === 'absolute' ? 8 : 4)) {
      throw badTable(`${this.size} symbols, but an address table of ${table.offsets.length} bytes`);
    }
  }

  find(name: string): KernelSymbol | undefined {
    for (const index of this.names.indexesOf(name)) return this.symbol(index);
    return undefined;
  }

  findAll(name: string): readonly KernelSymbol[] {
    return [...this.names.indexesOf(name)].map((index) => this.symbol(index));
  }

  address(name: string): VirtualAddress | undefined {
    for (const index of this.names.indexesOf(name)) return this.addressOf(index);
    return undefined;
  }

  at(address: bigint): SymbolHit | undefined {
    const target = Number(address - this.base);
    if (!Number.isSafeInteger(target)) return undefined;
    const { order, relative } = this.byAddress();
    let low = 0;
    let high = relative.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((relative[middle] ?? 0) <= target) low = middle + 1;
      else high = middle;
    }
    const start = relative[low - 1];
    if (start === undefined) return undefined;
    // The last symbol has no end of its own: a page is enough.
    const end = relative[low] ?? start + 4096;
    if (target >= end) return undefined;
    // Of several names for one address the kernel shows the first in its table.
    let first = low - 1;
    while (relative[first - 1] === start) first--;
    const index = order[first];
    return index === undefined ? undefined : { symbol: this.symbol(index), offset: target - start, size: end - start };
  }

  *all(): Iterable<KernelSymbol> {
    for (let index = 0; index < this.size; index++) yield this.symbol(index);
  }

  private symbol(index: number): KernelSymbol {
    const expanded = this.names.expand(index);
    return { name: expanded.slice(1), address: this.addressOf(index), type: expanded.slice(0, 1) };
  }

  private addressOf(index: number): VirtualAddress {
    if (this.encoding === 'absolute') return virtualAddress(this.view.getBigUint64(index * 8, this.littleEndian));
    const relative = this.relativeOf(index);
    return virtualAddress(
      Number.isNaN(relative) ? this.view.getInt32(index * 4, this.littleEndian) : this.base + BigInt(relative),
    );
  }

  /** Address minus `base`; NaN for an absolute value (a per-CPU offset). */
  private relativeOf(index: number): number {
    switch (this.encoding) {
      case 'base-relative':
        return this.view.getUint32(index * 4, this.littleEndian);
      case 'place-relative':
        return index * 4 + this.view.getInt32(index * 4, this.littleEndian);
      case 'absolute-percpu': {
        const value = this.view.getInt32(index * 4, this.littleEndian);
        return value >= 0 ? Number.NaN : -1 - value;
      }
      case 'absolute': {
        const relative = Number(this.view.getBigUint64(index * 8, this.littleEndian) - this.base);
        return Number.isSafeInteger(relative) ? relative : Number.NaN;
      }
    }
  }

  private byAddress(): { readonly order: Uint32Array; readonly relative: Float64Array } {
    if (this.sorted !== undefined) return this.sorted;
    const order = new Uint32Array(this.size);
    const relative = new Float64Array(this.size);
    let used = 0;
    let ascending = true;
    for (let index = 0; index < this.size; index++) {
      const value = this.relativeOf(index);
      if (Number.isNaN(value)) continue;
      if (used > 0 && value < (relative[used - 1] ?? 0)) ascending = false;
      order[used] = index;
      relative[used++] = value;
    }
    this.sorted = { order: order.subarray(0, used), relative: relative.subarray(0, used) };
    // Tables are sorted at link time; only a damaged one is not.
    if (!ascending) {
      this.sorted.order.sort((a, b) => this.relativeOf(a) - this.relativeOf(b) || a - b);
      this.sorted.relative.sort();
    }
    return this.sorted;
  }
}
