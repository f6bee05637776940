import { hex, type VirtualAddress, virtualAddress } from '../bytes/address.js';
import { ExhumeError, isExhumeError } from '../bytes/errors.js';
import { viewOf } from '../bytes/struct-table.js';
import type { Mapping } from '../machine/machine.js';
import type { VirtualMemory } from '../machine/virtual-memory.js';
import { Kallsyms, type KallsymsEncoding } from './kallsyms.js';
import { KallsymsNames } from './kallsyms-names.js';
import { type KallsymsPlaces, scanKallsyms } from './kallsyms-scan.js';
import type { Vmcoreinfo } from './vmcoreinfo.js';

/** The most symbols that a kernel is believed to have. */
const MOST_SYMBOLS = 4 << 20;
/** The most bytes of one table, or of one span of read-only data, that are read at once. */
const LONGEST_TABLE = 128 << 20;

/** Checks that decoded symbols belong to this kernel; returns why not, or undefined when they do. */
export type SymbolCheck = (symbols: Kallsyms) => string | undefined;

/**
 * Loads kallsyms from where VMCOREINFO says they are (Linux 6.0 and later).
 * Returns undefined when it does not say. Throws EXH_BAD_STRUCTURE when no encoding passes `check`,
 * and the errors of reading memory.
 */
export function loadKallsymsFromVmcoreinfo(
  memory: VirtualMemory,
  vmcoreinfo: Vmcoreinfo,
  check: SymbolCheck,
): Kallsyms | undefined {
  const names = vmcoreinfo.symbol('kallsyms_names');
  const countAt = vmcoreinfo.symbol('kallsyms_num_syms');
  const tokenTable = vmcoreinfo.symbol('kallsyms_token_table');
  const tokenIndex = vmcoreinfo.symbol('kallsyms_token_index');
  const offsets = vmcoreinfo.symbol('kallsyms_offsets') ?? vmcoreinfo.symbol('kallsyms_addresses');
  if (
    names === undefined ||
    countAt === undefined ||
    tokenTable === undefined ||
    tokenIndex === undefined ||
    offsets === undefined
  ) {
    return undefined;
  }
  const baseAt = vmcoreinfo.symbol('kallsyms_relative_base');
  const count = memory.u32(countAt);
  if (count === 0 || count > MOST_SYMBOLS) {
    throw new ExhumeError('EXH_BAD_STRUCTURE', `kallsyms_num_syms at ${hex(countAt)} holds ${count}`, { found: count });
  }
  const littleEndian = memory.littleEndian;
  const wide = vmcoreinfo.symbol('kallsyms_addresses') !== undefined;
  const decoded = new KallsymsNames({
    count,
    // Whatever the order of the tables, the token table comes after the names.
    names: tableBytes(memory, names, tokenTable - names, 'kallsyms_names'),
    tokenTable: tableBytes(memory, tokenTable, tokenIndex - tokenTable, 'kallsyms_token_table'),
    tokenIndex: tableBytes(memory, tokenIndex, 512n, 'kallsyms_token_index'),
    sequences: sequencesAt(
      memory,
      count,
      tokenTable < offsets ? after(offsets, count * 4, baseAt) : before(tokenTable, count * 3),
    ),
    littleEndian,
  });
  const table = tableBytes(memory, offsets, BigInt(count * (wide ? 8 : 4)), 'kallsyms_offsets');
  const base = baseAt === undefined ? undefined : memory.u64(baseAt);
  return decode(decoded, [{ offsets: table, address: virtualAddress(offsets), base, wide }], littleEndian, check);
}

/**
 * Looks for kallsyms in the spans of a kernel image, read-only data first.
 * Throws EXH_NO_SYMBOL when there are none that pass `check`, with what came closest.
 */
export function scanForKallsyms(memory: VirtualMemory, spans: readonly Mapping[], check: SymbolCheck): Kallsyms {
  let closest = 'no token table in the kernel image';
  const likelihood = (span: Mapping): number => (span.writable ? 2 : 0) + (span.executable ? 1 : 0);
  for (const span of [...spans].sort((a, b) => likelihood(a) - likelihood(b))) {
    const image = readableBytes(memory, span);
    for (const places of scanKallsyms(image, memory.littleEndian)) {
      try {
        return decodePlaces(image, span, places, memory.littleEndian, check);
      } catch (error) {
        if (!isExhumeError(error)) throw error;
        closest = error.message;
      }
    }
  }
  throw new ExhumeError('EXH_NO_SYMBOL', `kallsyms not found in the kernel image: ${closest}`, {
    hint: 'the kernel may be built without CONFIG_KALLSYMS, or its read-only data is not in the dump',
  });
}

/** An address table as read, and what its entries may be relative to. */
interface OffsetTable {
  readonly offsets: Uint8Array;
  readonly address: VirtualAddress;
  readonly base: bigint | undefined;
  /** 8-byte absolute addresses. */
  readonly wide: boolean;
}

function decodePlaces(
  image: Uint8Array,
  span: Mapping,
  places: KallsymsPlaces,
  littleEndian: boolean,
  check: SymbolCheck,
): Kallsyms {
  const names = new KallsymsNames({
    count: places.count,
    names: image.subarray(places.names, places.tokenTable),
    tokenTable: image.subarray(places.tokenTable, places.tokenIndex),
    tokenIndex: image.subarray(places.tokenIndex, places.tokenIndex + 512),
    littleEndian,
  });
  const view = viewOf(image);
  const tables = places.offsetTables.map(
    ({ at, relativeBaseAt, width }): OffsetTable => ({
      offsets: image.subarray(at, at + places.count * width),
      address: virtualAddress(span.virtual + BigInt(at)),
      base: relativeBaseAt === undefined ? undefined : view.getBigUint64(relativeBaseAt, littleEndian),
      wide: width === 8,
    }),
  );
  return decode(names, tables, littleEndian, check);
}

/** Tries each table in each encoding that it can have; the first whose symbols pass `check` is right. */
function decode(
  names: KallsymsNames,
  tables: readonly OffsetTable[],
  littleEndian: boolean,
  check: SymbolCheck,
): Kallsyms {
  const tried: string[] = [];
  for (const table of tables) {
    for (const [encoding, base] of encodingsOf(table)) {
      const symbols = new Kallsyms(names, {
        offsets: table.offsets,
        base: virtualAddress(base),
        encoding,
        littleEndian,
      });
      const refusal = check(symbols);
      if (refusal === undefined) return symbols;
      tried.push(`${encoding}: ${refusal}`);
    }
  }
  throw new ExhumeError('EXH_BAD_STRUCTURE', `kallsyms: no address encoding fits (${tried.join('; ')})`);
}

function encodingsOf({ base, address, wide }: OffsetTable): [KallsymsEncoding, bigint][] {
  if (wide) return [['absolute', address]];
  if (base === undefined) return [['place-relative', address]];
  return [
    ['absolute-percpu', base],
    ['base-relative', base],
  ];
}

/** VMCOREINFO does not tell where `kallsyms_seqs_of_names` is, but it is the last table (from 6.4), */
function after(offsets: bigint, length: number, relativeBase: bigint | undefined): bigint {
  return relativeBase === undefined ? offsets + BigInt(length) : relativeBase + 8n;
}

/** or (6.2, 6.3) the one before the token table. */
function before(tokenTable: bigint, length: number): bigint {
  return tokenTable - aligned(BigInt(length));
}

/** Each table of kallsyms begins at a multiple of eight bytes; since they are place-relative, of four. */
function aligned(value: bigint): bigint {
  return (value + 7n) & ~7n;
}

/** What is where `kallsyms_seqs_of_names` would be; undefined when it is not in the dump. */
function sequencesAt(memory: VirtualMemory, count: number, address: bigint): Uint8Array | undefined {
  try {
    return memory.bytes(address, count * 3);
  } catch (error) {
    if (isExhumeError(error)) return undefined;
    throw error;
  }
}

function tableBytes(memory: VirtualMemory, address: bigint, length: bigint, name: string): Uint8Array {
  if (length <= 0n || length > BigInt(LONGEST_TABLE)) {
    throw new ExhumeError('EXH_BAD_STRUCTURE', `${name} at ${hex(address)} would be ${length} bytes long`, {
      address,
      found: length,
    });
  }
  return memory.bytes(address, Number(length));
}

/** A span's bytes; pages that the dump does not have stay zero, which no table survives, and nothing else is read from them. */
function readableBytes(memory: VirtualMemory, span: Mapping): Uint8Array {
  const bytes = new Uint8Array(Math.min(span.size, LONGEST_TABLE));
  const { physical } = memory;
  for (let at = 0; at < bytes.length; at += physical.pageSize) {
    physical.tryRead((span.physical + at) as typeof span.physical, bytes.subarray(at, at + physical.pageSize));
  }
  return bytes;
}
