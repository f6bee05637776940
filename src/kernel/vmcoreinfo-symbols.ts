import { virtualAddress } from '../bytes/address.js';
import { type KernelSymbol, NO_SYMBOLS, type SymbolTable } from './symbols.js';
import type { Vmcoreinfo } from './vmcoreinfo.js';

/**
 * The few symbols that VMCOREINFO names, for a kernel whose kallsyms are not in the dump. They lead to the log and to
 * the kernel's name; which symbol an address lies in cannot be told by them. Their `nm` type is unknown: `?`.
 */
export function vmcoreinfoSymbols(vmcoreinfo: Vmcoreinfo): SymbolTable {
  const symbols = new Map<string, KernelSymbol>();
  for (const key of vmcoreinfo.lines.keys()) {
    const name = /^SYMBOL\((.+)\)$/.exec(key)?.[1];
    const address = name === undefined ? undefined : vmcoreinfo.symbol(name);
    if (name !== undefined && address !== undefined) {
      symbols.set(name, { name, address: virtualAddress(address), type: '?' });
    }
  }
  return {
    ...NO_SYMBOLS,
    size: symbols.size,
    find: (name) => symbols.get(name),
    findAll: (name) => [symbols.get(name) ?? []].flat(),
    address: (name) => symbols.get(name)?.address,
    all: () => symbols.values(),
  };
}
