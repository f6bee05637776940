import { hexBytes } from '../../bytes/address.js';
import { type Damage, damageOf, ExhumeError, isExhumeError } from '../../bytes/errors.js';
import { viewOf } from '../../bytes/struct-table.js';
import type { KernelView } from '../kernel-view.js';
import { type LoadedModule, readModules } from '../modules.js';
import { decodeOrc, ORC_ENTRY_BYTES, type OrcEntry, type OrcFormat, orcFormat } from './orc-format.js';

/** `LOOKUP_BLOCK_SIZE`: bytes of kernel text for each word of `orc_lookup`; arch/x86/include/asm/orc_lookup.h. */
const LOOKUP_BLOCK = 256;
/** More entries than any kernel has: ten times those of 7.2. */
const MOST_ENTRIES = 1 << 22;
const SAMPLES = 256;

/** One table: where entries belong (s32 each, from their own place), and the entries. */
interface Table {
  readonly places: bigint;
  readonly entries: bigint;
  readonly count: number;
}

/**
 * The ORC tables of a dead kernel and of its modules: for each instruction, how to find the caller's frame
 * (arch/x86/kernel/unwind_orc.c). Nothing is read before it is asked for; what was found is kept by address.
 */
export class OrcTables {
  private readonly found = new Map<bigint, OrcEntry | undefined>();
  private readonly format: OrcFormat | undefined;
  private readonly kernel: Table | undefined;
  private modules: readonly (LoadedModule & { readonly table: Table | undefined })[] | undefined;

  constructor(
    private readonly view: KernelView,
    /** Why a part of the tables could not be used. */
    readonly damage: Damage[],
  ) {
    try {
      this.kernel = kernelTable(view);
      this.format = formatOf(view, this.kernel);
    } catch (error) {
      damage.push(damageOf('unwind tables', error));
    }
  }

  /** The kernels that have such tables, in words; undefined when this one's cannot be used. */
  get formatName(): string | undefined {
    return this.format?.name;
  }

  /** The entry for an instruction; undefined where the tables have none, or are not in the dump. */
  find(address: bigint): OrcEntry | undefined {
    const known = this.found.get(address);
    if (known !== undefined || this.found.has(address)) return known;
    let entry: OrcEntry | undefined;
    try {
      entry = this.read(address);
    } catch (error) {
      if (!isExhumeError(error)) throw error;
    }
    this.found.set(address, entry);
    return entry;
  }

  private read(address: bigint): OrcEntry | undefined {
    if (this.format === undefined || this.kernel === undefined) return undefined;
    const { symbols } = this.view.kernel;
    const from = symbols.address('_stext');
    const to = symbols.address('_etext');
    if (from !== undefined && to !== undefined && address >= from && address < to) {
      return this.search(this.kernel, address, this.block(Number(address - from), this.kernel.count));
    }
    const initFrom = symbols.address('_sinittext');
    const initTo = symbols.address('_einittext');
    if (initFrom !== undefined && initTo !== undefined && address >= initFrom && address < initTo) {
      return this.search(this.kernel, address);
    }
    const module = this.moduleAt(address);
    return module?.table === undefined ? undefined : this.search(module.table, address);
  }

  /** Which entries a block of text has, by `orc_lookup`; all of them where that is missing or broken. */
  private block(offset: number, count: number): { readonly low: number; readonly high: number } {
    const lookup = this.view.kernel.symbols.address('orc_lookup');
    const end = this.view.kernel.symbols.address('orc_lookup_end');
    const block = Math.floor(offset / LOOKUP_BLOCK);
    if (lookup !== undefined && end !== undefined && BigInt(block + 1) < (end - lookup) / 4n) {
      try {
        const low = this.view.memory.u32(lookup + BigInt(block * 4));
        const high = this.view.memory.u32(lookup + BigInt(block * 4 + 4)) + 1;
        if (low < high && high <= count) return { low, high };
      } catch (error) {
        if (!isExhumeError(error)) throw error;
      }
    }
    return { low: 0, high: count };
  }

  /** The last entry at or before an address, among some of a table's. */
  private search(
    table: Table,
    address: bigint,
    { low, high }: { readonly low: number; readonly high: number } = { low: 0, high: table.count },
  ): OrcEntry | undefined {
    const { memory } = this.view;
    const target = Number(address - table.places);
    let from = low;
    let to = high;
    while (from < to) {
      const middle = (from + to) >>> 1;
      if (middle * 4 + memory.i32(table.places + BigInt(middle * 4)) <= target) from = middle + 1;
      else to = middle;
    }
    if (from === low || this.format === undefined) return undefined;
    const bytes = memory.bytes(table.entries + BigInt((from - 1) * ORC_ENTRY_BYTES), ORC_ENTRY_BYTES);
    return decodeOrc(this.format, viewOf(bytes));
  }

  private moduleAt(address: bigint) {
    this.modules ??= readModules(this.view.kernel, this.damage).map((module) => ({
      ...module,
      table: this.moduleTable(module),
    }));
    return this.modules.find(({ spans }) => spans.some(({ start, end }) => address >= start && address < end));
  }

  /** `struct mod_arch_specific` in arch/x86/include/asm/module.h. */
  private moduleTable({ name, address }: LoadedModule): Table | undefined {
    try {
      const module = this.view.struct('module', address);
      const count = Math.min(module.int('arch.num_orcs'), MOST_ENTRIES);
      const places = module.pointer('arch.orc_unwind_ip');
      const entries = module.pointer('arch.orc_unwind');
      return count === 0 || places === 0n || entries === 0n ? undefined : { places, entries, count };
    } catch (error) {
      this.damage.push(damageOf(`unwind table of module ${name}`, error));
      return undefined;
    }
  }
}

/** Throws EXH_NO_SYMBOL for a kernel without ORC, EXH_BAD_STRUCTURE for tables that do not fit each other. */
function kernelTable(view: KernelView): Table {
  const places = view.address('__start_orc_unwind_ip');
  const placesEnd = view.address('__stop_orc_unwind_ip');
  const entries = view.address('__start_orc_unwind');
  const entriesEnd = view.address('__stop_orc_unwind');
  const count = Number((placesEnd - places) / 4n);
  if (count <= 0 || count > MOST_ENTRIES || Number(entriesEnd - entries) < count * ORC_ENTRY_BYTES) {
    throw new ExhumeError('EXH_BAD_STRUCTURE', `the ORC tables do not fit each other: ${count} places`, {
      address: entries,
      found: count,
    });
  }
  return { places, entries, count };
}

function formatOf(view: KernelView, { entries, count }: Table): OrcFormat {
  const step = Math.max(1, Math.floor(count / SAMPLES));
  const sample: number[] = [];
  for (let index = 0; index < count; index += step) {
    try {
      sample.push(view.memory.u16(entries + BigInt(index * ORC_ENTRY_BYTES + 4)));
    } catch (error) {
      if (!isExhumeError(error)) throw error;
    }
  }
  const type = view.types.struct('orc_entry');
  const width = (member: string): number | undefined => type?.field(member)?.bitSize;
  const shape = type && { type: width('type'), end: width('end'), signal: width('signal') };
  return orcFormat(headerHash(view), shape, sample);
}

/** `.orc_header`, since 6.5. */
function headerHash(view: KernelView): string | undefined {
  const header = view.kernel.symbols.address('__start_orc_header');
  if (header === undefined) return undefined;
  try {
    return hexBytes(view.memory.bytes(header, 20));
  } catch (error) {
    if (!isExhumeError(error)) throw error;
    return undefined;
  }
}
