import { hex, type VirtualAddress } from '../bytes/address.js';

/** A kernel symbol. */
export interface KernelSymbol {
  readonly name: string;
  readonly address: VirtualAddress;
  /** As `nm` and `/proc/kallsyms` print it: `T`, `t`, `D`, `b`, `A`… */
  readonly type: string;
  /** The module that it belongs to; undefined for the kernel image itself. */
  readonly module?: string;
}

/** A symbol that an address lies in. */
export interface SymbolHit {
  readonly symbol: KernelSymbol;
  /** How far into the symbol the address lies, in bytes. */
  readonly offset: number;
  /** To the next symbol, in bytes. */
  readonly size: number;
}

/** The kernel's symbols, by name and by address. No object per symbol is kept. */
export interface SymbolTable {
  /** How many the kernel image has; modules come on top. */
  readonly size: number;
  /** The first symbol of this name. */
  find(name: string): KernelSymbol | undefined;
  /** All symbols of this name (static functions share names). */
  findAll(name: string): readonly KernelSymbol[];
  /** The address of a symbol, or undefined. */
  address(name: string): VirtualAddress | undefined;
  /** The symbol that an address lies in. Undefined outside the kernel image and its modules. */
  at(address: bigint): SymbolHit | undefined;
  /** Every symbol, in the kernel's own order. */
  all(): Iterable<KernelSymbol>;
}

/** A table for a kernel whose symbols could not be found: it has none, and says so by being empty. */
export const NO_SYMBOLS: SymbolTable = {
  size: 0,
  find: () => undefined,
  findAll: () => [],
  address: () => undefined,
  at: () => undefined,
  all: () => [],
};

/** `schedule+0x12/0x90` for an address, as the kernel prints `%pS`, with ` [module]`; undefined where no symbol covers it. */
export function symbolize(symbols: SymbolTable, address: bigint): string | undefined {
  const hit = symbols.at(address);
  if (hit === undefined) return undefined;
  const module = hit.symbol.module === undefined ? '' : ` [${hit.symbol.module}]`;
  return `${hit.symbol.name}+${hex(hit.offset)}/${hex(hit.size)}${module}`;
}
