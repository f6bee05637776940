import type { VirtualAddress } from '../bytes/address.js';

/** A kernel symbol. */
export interface KernelSymbol {
  readonly name: string;
  readonly address: VirtualAddress;
  /** As `nm` and `/proc/kallsyms` print it: `T`, `t`, `D`, `b`, `A`… */
  readonly type: string;
}

/** The kernel's symbols, by name and by address. No object per symbol is kept. */
export interface SymbolTable {
  /** How many there are. */
  readonly size: number;
  /** The first symbol of this name. */
  find(name: string): KernelSymbol | undefined;
  /** All symbols of this name (static functions share names). */
  findAll(name: string): readonly KernelSymbol[];
  /** The address of a symbol, or undefined. */
  address(name: string): VirtualAddress | undefined;
  /** The symbol that an address lies in, and how far into it, in bytes. Undefined outside the kernel image. */
  at(address: bigint): { readonly symbol: KernelSymbol; readonly offset: number; readonly size: number } | undefined;
  /** Every symbol, in the kernel's own order. */
  all(): Iterable<KernelSymbol>;
}

/** `schedule+0x12/0x90` for an address, as the kernel prints `%pS`; undefined where no symbol covers it. */
export function symbolize(symbols: SymbolTable, address: bigint): string | undefined {
  const hit = symbols.at(address);
  return hit === undefined ? undefined : `${hit.symbol.name}+0x${hit.offset.toString(16)}/0x${hit.size.toString(16)}`;
}
