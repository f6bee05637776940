import { type VirtualAddress, virtualAddress } from '../bytes/address.js';
import { type Damage, damageOf, ExhumeError } from '../bytes/errors.js';
import type { VirtualMemory } from '../machine/virtual-memory.js';
import type { KernelSource } from './identity.js';

/** Addresses that a module's code or data takes, in bytes; `end` is the first one after. */
export interface ModuleSpan {
  readonly start: VirtualAddress;
  readonly end: bigint;
}

/** The symbols that the kernel keeps of a loaded module: an ELF symbol table (`struct mod_kallsyms`). */
export interface ModuleSymbolTable {
  /** Address of `Elf64_Sym[count]`. */
  readonly symbols: VirtualAddress;
  readonly count: number;
  readonly strings: VirtualAddress;
  /** One `nm` letter a symbol; undefined before 5.2, where the letter stands in `st_info`. */
  readonly types: VirtualAddress | undefined;
}

/** A loaded module. */
export interface LoadedModule {
  readonly name: string;
  /** Address of its `struct module`. */
  readonly address: VirtualAddress;
  readonly spans: readonly ModuleSpan[];
  readonly symbolTable: ModuleSymbolTable | undefined;
}

/** MODULE_NAME_LEN: 64 less a pointer. */
const LONGEST_NAME = 64;
/** More than any kernel loads; a longer list goes round in a circle or out of the dump. */
const MOST_MODULES = 4096;
const MOST_SYMBOLS = 1 << 20;

/**
 * The modules on the kernel's list `modules`, newest first as the kernel keeps them; include/linux/module.h.
 * Needs type information: without it, or with a broken list, what could be read is returned and the rest is damage.
 */
export function readModules(source: KernelSource, damage: Damage[]): LoadedModule[] {
  const { memory, symbols, layouts } = source;
  const head = symbols.address('modules');
  const list = layouts.offset('module', 'list');
  if (head === undefined || list === undefined) return [];
  const modules: LoadedModule[] = [];
  const seen = new Set<bigint>();
  try {
    for (let entry = memory.pointer(head); entry !== head; entry = memory.pointer(entry)) {
      if (seen.has(entry) || seen.size >= MOST_MODULES) {
        throw new ExhumeError('EXH_BAD_STRUCTURE', 'the list of modules does not come back to its head', {
          address: entry,
        });
      }
      seen.add(entry);
      const module = readModule(source, virtualAddress(entry - BigInt(list)));
      if (module !== undefined) modules.push(module);
    }
  } catch (error) {
    damage.push(damageOf('modules', error));
  }
  return modules;
}

function readModule(source: KernelSource, address: VirtualAddress): LoadedModule | undefined {
  const { memory, layouts } = source;
  const name = layouts.offset('module', 'name');
  if (name === undefined) return undefined;
  return {
    name: memory.string(address + BigInt(name), LONGEST_NAME),
    address,
    spans: spansOf(source, address),
    symbolTable: symbolTableOf(source, address),
  };
}

/** `mem[]` since 6.4; `core_layout` and `init_layout` before; `module_core` before 4.5. */
function spansOf({ memory, layouts }: KernelSource, module: VirtualAddress): ModuleSpan[] {
  const spans: ModuleSpan[] = [];
  const add = (baseAt: bigint, sizeAt: bigint): void => {
    const start = memory.pointer(baseAt);
    const size = memory.u32(sizeAt);
    if (start !== 0n && size > 0) spans.push({ start, end: start + BigInt(size) });
  };
  const mem = layouts.offset('module', 'mem');
  const base = layouts.offset('module_memory', 'base');
  const size = layouts.offset('module_memory', 'size');
  const each = layouts.size('module_memory');
  const all = layouts.memberSize('module', 'mem');
  if (mem !== undefined && base !== undefined && size !== undefined && each !== undefined && all !== undefined) {
    for (let at = mem; at + each <= mem + all; at += each) add(module + BigInt(at + base), module + BigInt(at + size));
    return spans;
  }
  for (const [basePath, sizePath] of [
    ['core_layout.base', 'core_layout.size'],
    ['init_layout.base', 'init_layout.size'],
    ['module_core', 'core_size'],
  ] as const) {
    const from = layouts.offset('module', basePath);
    const length = layouts.offset('module', sizePath);
    if (from !== undefined && length !== undefined) add(module + BigInt(from), module + BigInt(length));
  }
  return spans;
}

/** `module.kallsyms` points at the table in use: the core one after the module's init code is gone. */
function symbolTableOf({ memory, layouts }: KernelSource, module: VirtualAddress): ModuleSymbolTable | undefined {
  const pointer = layouts.offset('module', 'kallsyms');
  const symbols = layouts.offset('mod_kallsyms', 'symtab');
  const count = layouts.offset('mod_kallsyms', 'num_symtab');
  const strings = layouts.offset('mod_kallsyms', 'strtab');
  if (pointer === undefined || symbols === undefined || count === undefined || strings === undefined) return undefined;
  const table = memory.pointer(module + BigInt(pointer));
  if (table === 0n) return undefined;
  const types = layouts.offset('mod_kallsyms', 'typetab');
  return {
    symbols: memory.pointer(table + BigInt(symbols)),
    count: Math.min(memory.u32(table + BigInt(count)), MOST_SYMBOLS),
    strings: memory.pointer(table + BigInt(strings)),
    types: types === undefined ? undefined : pointerOrNone(memory, table + BigInt(types)),
  };
}

function pointerOrNone(memory: VirtualMemory, address: bigint): VirtualAddress | undefined {
  const pointer = memory.pointer(address);
  return pointer === 0n ? undefined : pointer;
}
