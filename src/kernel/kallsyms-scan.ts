import { findAll } from '../bytes/search.js';
import { viewOf } from '../bytes/struct-table.js';
import { nextName } from './kallsyms-names.js';

/**
 * Finds the kallsyms tables in a kernel's read-only data by their own shape, when nothing tells where they are.
 *
 * The anchor is the token table: characters that occur in symbol names stand for themselves, so somewhere in it
 * the digits follow one another as strings of their own. The token index after it must agree with every string,
 * which leaves no room for a false hit. From there the other tables follow in one of two orders (scripts/kallsyms.c):
 *
 *     to 6.3   offsets, relative_base, num_syms, names, markers, [seqs_of_names,] token_table, token_index
 *     from 6.4 num_syms, names, markers, token_table, token_index, offsets, [relative_base,] seqs_of_names
 */
export interface KallsymsPlaces {
  readonly count: number;
  /** All offsets are in bytes into the scanned image. */
  readonly names: number;
  readonly tokenTable: number;
  readonly tokenIndex: number;
  /** Where the address table may begin, most likely first; which one is right shows when symbols are decoded. */
  readonly offsetTables: readonly KallsymsOffsetTable[];
}

/** A place where the table of addresses may be, and where the base that goes with it is stored, if it has one. */
export interface KallsymsOffsetTable {
  readonly at: number;
  /** Offset of the u64 `kallsyms_relative_base` in the image; undefined where the order has none. */
  readonly relativeBaseAt: number | undefined;
  /** Bytes per entry: 8 in `kallsyms_addresses`. */
  readonly width: 4 | 8;
}

/** `0\0 1\0 … 9\0`. */
const DIGITS = Uint8Array.from([...'0123456789'].flatMap((digit) => [digit.charCodeAt(0), 0]));
const DIGIT_ZERO = 0x30;
const NAMES_PER_MARKER = 256;
/** Names, markers and sequence numbers of two million symbols fit in this many bytes before the token table. */
const REACH = 64 << 20;

/** Every set of tables in the image (a kernel has one; a copy may lie in an initrd or a page cache). */
export function* scanKallsyms(image: Uint8Array, littleEndian: boolean): Generator<KallsymsPlaces> {
  for (const digits of findAll(image, DIGITS)) {
    const tokens = tokensAround(image, digits, littleEndian);
    if (tokens === undefined) continue;
    const names = namesBefore(image, tokens.tokenTable, littleEndian);
    if (names === undefined) continue;
    yield {
      ...tokens,
      count: names.count,
      names: names.names,
      offsetTables: offsetTables(names.numSyms, names.count, tokens.tokenIndex + 512, image.length),
    };
  }
}

/** The token table around the digits' strings, proven by the index that follows it. */
function tokensAround(
  image: Uint8Array,
  digits: number,
  littleEndian: boolean,
): { tokenTable: number; tokenIndex: number } | undefined {
  let end = digits;
  for (let token = DIGIT_ZERO; token < 256; token++) {
    const terminator = image.indexOf(0, end);
    if (terminator < 0 || terminator - end > 128) return undefined;
    end = terminator + 1;
  }
  const view = viewOf(image);
  // The index is aligned to 8 bytes by some kernels and to 4 by others.
  for (const tokenIndex of new Set([(end + 3) & ~3, (end + 7) & ~7])) {
    if (tokenIndex + 512 > image.length || view.getUint16(tokenIndex, littleEndian) !== 0) continue;
    const tokenTable = digits - view.getUint16(tokenIndex + DIGIT_ZERO * 2, littleEndian);
    if (tokenTable >= 0 && indexAgrees(image, view, tokenTable, tokenIndex, littleEndian)) {
      return { tokenTable, tokenIndex };
    }
  }
  return undefined;
}

function indexAgrees(
  image: Uint8Array,
  view: DataView,
  tokenTable: number,
  tokenIndex: number,
  littleEndian: boolean,
): boolean {
  let at = tokenTable;
  for (let token = 0; token < 256; token++) {
    if (view.getUint16(tokenIndex + token * 2, littleEndian) !== at - tokenTable) return false;
    const terminator = image.indexOf(0, at);
    if (terminator < 0) return false;
    at = terminator + 1;
  }
  return true;
}

/**
 * The names before a token table. The markers between them (u32 offsets of every 256th name) are the handle:
 * a run of small rising numbers that begins with 0. Whatever lies between it and the token table is skipped.
 */
function namesBefore(
  image: Uint8Array,
  tokenTable: number,
  littleEndian: boolean,
): { names: number; count: number; numSyms: number } | undefined {
  const view = viewOf(image);
  const lowest = Math.max(0, tokenTable - REACH);
  for (let start = (tokenTable - 8) & ~3; start >= lowest; start -= 4) {
    if (view.getUint32(start, littleEndian) !== 0) continue;
    for (const width of [4, 8] as const) {
      const markers = markersAt(view, start, tokenTable, width, littleEndian);
      if (markers.length < 2) continue;
      const found = namesOfMarkers(image, view, start, markers, littleEndian);
      if (found !== undefined) return found;
    }
  }
  return undefined;
}

/** The run of markers at `start`: each 256 names further on, and a name takes 2 to 256 bytes. */
function markersAt(view: DataView, start: number, end: number, width: 4 | 8, littleEndian: boolean): number[] {
  const markers = [0];
  let previous = 0;
  for (let at = start + width; at + width <= end; at += width) {
    const low = view.getUint32(at, littleEndian);
    if (width === 8 && view.getUint32(at + 4, littleEndian) !== 0) break;
    const step = low - previous;
    if (step < NAMES_PER_MARKER * 2 || step > NAMES_PER_MARKER * 256) break;
    markers.push(low);
    previous = low;
  }
  return markers;
}

/** The names that end where the markers begin: the one start from which every marker is met exactly. */
function namesOfMarkers(
  image: Uint8Array,
  view: DataView,
  markersStart: number,
  markers: readonly number[],
  littleEndian: boolean,
): { names: number; count: number; numSyms: number } | undefined {
  const last = markers.at(-1) ?? 0;
  const fewest = (markers.length - 1) * NAMES_PER_MARKER + 1;
  const most = markers.length * NAMES_PER_MARKER;
  // The last marker has 1 to 256 names after it, and up to 8 bytes of padding before the markers.
  const latest = markersStart - last;
  const earliest = Math.max(8, latest - NAMES_PER_MARKER * 256 - 8);
  for (let names = latest & ~3; names >= earliest; names -= 4) {
    // num_syms is 4 bytes, the names after it are aligned to 8 (to 4 by some kernels).
    for (const numSyms of [names - 8, names - 4]) {
      const count = view.getUint32(numSyms, littleEndian);
      if (count >= fewest && count <= most && namesFit(image, names, count, markers, markersStart)) {
        return { names, count, numSyms };
      }
    }
  }
  return undefined;
}

function namesFit(
  image: Uint8Array,
  names: number,
  count: number,
  markers: readonly number[],
  markersStart: number,
): boolean {
  let at = names;
  for (let index = 0; index < count; index++) {
    if (index % NAMES_PER_MARKER === 0 && markers[index / NAMES_PER_MARKER] !== at - names) return false;
    const next = nextName(image, at);
    if (next === undefined || next > markersStart) return false;
    at = next;
  }
  return markersStart - at < 8;
}

function offsetTables(numSyms: number, count: number, afterTokenIndex: number, size: number): KallsymsOffsetTable[] {
  const tables: KallsymsOffsetTable[] = [];
  const add = (at: number, relativeBaseAt: number | undefined, width: 4 | 8): void => {
    if (at >= 0 && at + count * width <= size) tables.push({ at, relativeBaseAt, width });
  };
  // From 6.4: after the token index, which is as aligned as they are; the base (where there is one) behind them.
  const behind = (afterTokenIndex + count * 4 + 7) & ~7;
  if (behind + 8 <= size) add(afterTokenIndex, behind, 4);
  // To 6.3: before num_syms, the base between.
  const base = (numSyms & ~7) - 8;
  add((base - count * 4) & ~7, base, 4);
  // To 4.5: 8-byte addresses, no base.
  add((numSyms & ~7) - count * 8, undefined, 8);
  // From 7.0: place-relative, the base is the table's own address.
  add(afterTokenIndex, undefined, 4);
  return tables;
}
