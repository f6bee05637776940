import { hex, hexBytes, type Pfn, physicalAddress, virtualAddress } from '../bytes/address.js';
import { ExhumeError } from '../bytes/errors.js';
import { bytesOf } from '../bytes/search.js';
import type { PhysicalMemory } from '../dump/memory.js';
import { type Pattern, Searcher } from '../kernel/memory-search.js';
import { isAbsence } from './absence.js';
import { parseAddress, parseHex } from './address.js';
import type { SearchReport } from './schema/search.js';
import { requireKernel, requireMachine, type Subject } from './subject.js';
import { damageOf, symbolOf } from './words.js';

export interface SearchOptions {
  readonly space: 'kernel' | 'physical';
  /** Bits per value; `text` for strings. */
  readonly unit: 64 | 32 | 16 | 'text';
  /** Bits of a value that do not count; hexadecimal. */
  readonly mask?: string | undefined;
  readonly start?: string | undefined;
  /** The first address behind the range. */
  readonly end?: string | undefined;
  /** Bytes from the start on. */
  readonly length?: number | undefined;
  readonly limit?: number | undefined;
}

const DEFAULT_LIMIT = 100_000;
/** The kernel's half of the address space. */
const KERNEL_HALF = 1n << 63n;
const HIGHEST = (1n << 64n) - 1n;
/** Page tables map much memory several times; one that maps it more often than this is damaged. */
const MOST_TIMES = 16;
/** So much of a text is shown. */
const SHOWN_TEXT = 60;

/** Memory that follows on, page by page; positions are addresses less `base`. */
interface Stretch {
  readonly base: bigint;
  readonly physical: number;
  readonly size: number;
}

/**
 * Looks for values or texts in the kernel's memory, as it is mapped, or in physical memory. Pages that the dump does
 * not hold are passed over and counted. Throws EXH_USAGE, EXH_NO_SYMBOL, EXH_NO_KERNEL.
 */
export function buildSearch(subject: Subject, queries: readonly string[], options: SearchOptions): SearchReport {
  const machine = requireMachine(subject);
  const kernel = isAbsence(subject.kernel) ? undefined : subject.kernel;
  const pattern = patternOf(subject, queries, options);
  const { memory } = machine;
  const limit = options.limit ?? DEFAULT_LIMIT;
  const searcher = new Searcher(pattern, subject.container.littleEndian);
  const matches: SearchReport['matches'] = [];
  let searchedBytes = 0;
  let missingBytes = 0;
  let truncated = false;
  const known = memory.ranges().reduce((sum, range) => sum + range.end - range.start, 0);
  search: for (const stretch of stretchesOf(subject, options)) {
    for (const { position, bytes, size } of piecesOf(memory, stretch)) {
      if (bytes === undefined) missingBytes += size;
      else searchedBytes += size;
      if (searchedBytes > known * MOST_TIMES) break search;
      for (const { offset, which } of bytes === undefined ? [] : searcher.find(bytes, position)) {
        if (matches.length >= limit) {
          truncated = true;
          break search;
        }
        const address = stretch.base + BigInt(offset);
        matches.push({
          address: hex(address),
          symbol: options.space === 'kernel' ? symbolOf(kernel, address) : null,
          pattern: queries[which] ?? '',
          value: shown(memory, stretch.physical + offset, options.unit),
        });
      }
    }
  }
  const damage = damageOf(subject);
  return {
    schema: 'exhume-search/1',
    complete: damage.length === 0 && !truncated,
    space: options.space,
    matches,
    searchedBytes,
    missingBytes,
    truncated,
    damage,
  };
}

function patternOf(subject: Subject, queries: readonly string[], { unit, mask }: SearchOptions): Pattern {
  if (queries.some((query) => query === '')) throw new ExhumeError('EXH_USAGE', 'an empty text is everywhere');
  if (unit === 'text') return { kind: 'bytes', texts: queries.map(bytesOf) };
  const kernel = isAbsence(subject.kernel) ? undefined : subject.kernel;
  const values = queries.map((query) => {
    const value: bigint = /^(0x)?[0-9a-f]+$/i.test(query) ? parseHex(query) : parseAddress(query, kernel?.symbols);
    if (BigInt.asUintN(unit, value) === value) return value;
    throw new ExhumeError('EXH_USAGE', `${query} does not fit in ${unit} bits`, { found: query });
  });
  const width = unit === 64 ? 8 : unit === 32 ? 4 : 2;
  return { kind: 'values', width, values, mask: mask === undefined ? 0n : parseHex(mask) };
}

function* stretchesOf(subject: Subject, options: SearchOptions): Generator<Stretch> {
  const { from, to } = rangeOf(subject, options);
  if (options.space === 'physical') {
    for (const range of requireMachine(subject).memory.ranges()) {
      const start = Math.max(range.start, Number(from));
      const end = Math.min(range.end, Number(to) + 1);
      if (end > start) yield { base: BigInt(start), physical: start, size: end - start };
    }
    return;
  }
  const { pageTable } = requireKernel(subject);
  for (const { virtual, physical, size } of pageTable.mappings(virtualAddress(from), virtualAddress(to))) {
    const start = virtual < from ? from : (virtual as bigint);
    const last = virtual + BigInt(size) - 1n;
    const end = last > to ? to : last;
    if (end < start) continue;
    yield { base: start, physical: physical + Number(start - virtual), size: Number(end - start) + 1 };
  }
}

/** The first and the last address of the range. */
function rangeOf(subject: Subject, options: SearchOptions): { readonly from: bigint; readonly to: bigint } {
  const physical = options.space === 'physical';
  const kernel = isAbsence(subject.kernel) ? undefined : subject.kernel;
  const parse = (text: string): bigint =>
    physical ? BigInt(physicalAddress(parseHex(text))) : parseAddress(text, kernel?.symbols);
  const from = options.start === undefined ? (physical ? 0n : KERNEL_HALF) : parse(options.start);
  const highest = physical ? 2n ** 52n - 1n : HIGHEST;
  let to = options.end === undefined ? highest : parse(options.end) - 1n;
  if (options.length !== undefined) to = from + BigInt(options.length) - 1n;
  if (to > highest) to = highest;
  if (to < from) throw new ExhumeError('EXH_USAGE', `the range ends before it begins: ${hex(from)} to ${hex(to)}`);
  return { from, to };
}

interface Piece {
  readonly position: number;
  readonly size: number;
  /** Undefined where the dump does not hold the page. */
  readonly bytes: Uint8Array | undefined;
}

function* piecesOf(memory: PhysicalMemory, { physical, size }: Stretch): Generator<Piece> {
  const { pageSize } = memory;
  for (let done = 0; done < size; ) {
    const within = (physical + done) % pageSize;
    const length = Math.min(pageSize - within, size - done);
    const page = memory.page(((physical + done - within) / pageSize) as Pfn);
    const bytes = typeof page === 'string' ? undefined : page.subarray(within, within + length);
    yield { position: done, size: length, bytes };
    done += length;
  }
}

/** What stands there: digits of the value, or the text as far as it can be printed. */
function shown(memory: PhysicalMemory, address: number, unit: SearchOptions['unit']): string {
  const bytes = new Uint8Array(unit === 'text' ? SHOWN_TEXT : unit / 8);
  memory.tryRead(physicalAddress(address), bytes);
  if (unit !== 'text') return hexBytes(bytes.reverse());
  const end = bytes.findIndex((byte) => byte < 0x20 || byte >= 0x7f);
  return String.fromCharCode(...bytes.subarray(0, end < 0 ? bytes.length : end));
}
