import { type VirtualAddress, virtualAddress } from '../bytes/address.js';
import { type Damage, damageOf } from '../bytes/errors.js';
import { viewOf } from '../bytes/struct-table.js';
import type { VirtualMemory } from '../machine/virtual-memory.js';
import type { LoadedModule, ModuleSymbolTable } from './modules.js';
import type { KernelSymbol, SymbolHit, SymbolTable } from './symbols.js';
import { START_KERNEL_MAP } from './x86-64.js';

/** `Elf64_Sym`: u32 name, u8 info, u8 other, u16 section, u64 value, u64 size. */
const SYMBOL_BYTES = 24;
const LONGEST_NAME = 512;

/**
 * The kernel's symbols and its modules' as one table. The modules are read when a name or an address is not the
 * kernel's own, as they need the kernel's type information, which is far larger than anything else here.
 */
export function withModules(
  kernel: SymbolTable,
  memory: VirtualMemory,
  loadModules: () => readonly LoadedModule[],
  damage: Damage[],
): SymbolTable {
  let loaded: ModuleSymbols[] | undefined;
  const modules = (): ModuleSymbols[] => {
    loaded ??= loadModules().map((module) => new ModuleSymbols(module, memory, damage));
    return loaded;
  };
  const find = (name: string): KernelSymbol | undefined => {
    const own = kernel.find(name);
    if (own !== undefined) return own;
    for (const module of modules()) {
      const found = module.symbols().find((symbol) => symbol.name === name);
      if (found !== undefined) return found;
    }
    return undefined;
  };
  return {
    size: kernel.size,
    find,
    findAll: (name) => [
      ...kernel.findAll(name),
      ...modules().flatMap((module) => module.symbols().filter((symbol) => symbol.name === name)),
    ],
    address: (name) => find(name)?.address,
    at: (address) => {
      const own = kernel.at(address);
      if (own !== undefined || address < START_KERNEL_MAP) return own;
      for (const module of modules()) {
        if (module.covers(address)) return module.at(address);
      }
      return undefined;
    },
    *all() {
      yield* kernel.all();
      for (const module of modules()) yield* module.symbols();
    },
  };
}

/** One module's symbols: some hundreds, read whole when one of them is asked for. */
class ModuleSymbols {
  private read: readonly KernelSymbol[] | undefined;
  private sorted: readonly KernelSymbol[] | undefined;

  constructor(
    private readonly module: LoadedModule,
    private readonly memory: VirtualMemory,
    private readonly damage: Damage[],
  ) {}

  covers(address: bigint): boolean {
    return this.module.spans.some(({ start, end }) => address >= start && address < end);
  }

  /** In the order of the module's own table, unnamed ones left out, as `/proc/kallsyms` lists them. */
  symbols(): readonly KernelSymbol[] {
    if (this.read === undefined) {
      try {
        this.read =
          this.module.symbolTable === undefined
            ? []
            : readSymbols(this.module.name, this.module.symbolTable, this.memory);
      } catch (error) {
        this.damage.push(damageOf(`symbols of module ${this.module.name}`, error));
        this.read = [];
      }
    }
    return this.read;
  }

  at(address: bigint): SymbolHit | undefined {
    this.sorted ??= this.symbols()
      .filter((symbol) => this.covers(symbol.address))
      .sort((a, b) => (a.address < b.address ? -1 : a.address > b.address ? 1 : 0));
    const next = this.sorted.findIndex((symbol) => symbol.address > address);
    const last = (next < 0 ? this.sorted.length : next) - 1;
    const start = this.sorted[last]?.address;
    const symbol = this.sorted.find((candidate) => candidate.address === start);
    const span = this.module.spans.find(({ start: from, end }) => address >= from && address < end);
    if (symbol === undefined || span === undefined || symbol.address < span.start) return undefined;
    let end = this.sorted[next]?.address ?? span.end;
    if (end > span.end) end = span.end;
    return { symbol, offset: Number(address - symbol.address), size: Number(end - symbol.address) };
  }
}

function readSymbols(module: string, table: ModuleSymbolTable, memory: VirtualMemory): KernelSymbol[] {
  const view = viewOf(memory.bytes(table.symbols, table.count * SYMBOL_BYTES));
  const types = table.types === undefined ? undefined : memory.bytes(table.types, table.count);
  const symbols: KernelSymbol[] = [];
  for (let index = 0; index < table.count; index++) {
    const at = index * SYMBOL_BYTES;
    const name = memory.string(table.strings + BigInt(view.getUint32(at, memory.littleEndian)), LONGEST_NAME);
    if (name === '') continue;
    const address: VirtualAddress = virtualAddress(view.getBigUint64(at + 8, memory.littleEndian));
    symbols.push({ name, address, type: String.fromCharCode(types?.[index] ?? view.getUint8(at + 4)), module });
  }
  return symbols;
}
