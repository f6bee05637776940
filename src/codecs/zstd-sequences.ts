import { codecError } from './codec.js';
import { BackwardBits } from './zstd-bits.js';
import { buildFseTable, type FseTable, readFseTable, singleSymbolTable } from './zstd-fse.js';

/** Values of a code: `bases[code]` plus as many bits as `bits[code]` says (RFC 8878, 3.1.1.3.2.1.1). */
export interface Codes {
  readonly bases: Uint32Array;
  readonly bits: Uint8Array;
}

function codes(first: number, bits: readonly number[]): Codes {
  const bases = new Uint32Array(bits.length);
  let base = first;
  bits.forEach((width, code) => {
    bases[code] = base;
    base += 1 << width;
  });
  return { bases, bits: Uint8Array.from(bits) };
}

const repeat = (value: number, times: number): number[] => new Array<number>(times).fill(value);

export const LITERAL_LENGTHS = codes(0, [
  ...repeat(0, 16),
  1,
  1,
  1,
  1,
  2,
  2,
  3,
  3,
  4,
  6,
  7,
  8,
  9,
  10,
  11,
  12,
  13,
  14,
  15,
  16,
]);
export const MATCH_LENGTHS = codes(3, [
  ...repeat(0, 32),
  ...[1, 1, 1, 1, 2, 2, 3, 3, 4, 4, 5, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16],
]);

/** The distributions to use where a block describes none (RFC 8878, 3.1.1.3.2.2). */
export const DEFAULT_LITERAL_LENGTHS = [
  4,
  3,
  ...repeat(2, 11),
  1,
  1,
  1,
  ...repeat(2, 9),
  3,
  2,
  ...repeat(1, 5),
  ...repeat(-1, 4),
];
export const DEFAULT_MATCH_LENGTHS = [1, 4, 3, ...repeat(2, 6), ...repeat(1, 37), ...repeat(-1, 7)];
export const DEFAULT_OFFSETS = [...repeat(1, 6), 2, 2, 2, ...repeat(1, 15), ...repeat(-1, 5)];

const defaultLiteralLengths = buildFseTable(DEFAULT_LITERAL_LENGTHS, 6);
const defaultMatchLengths = buildFseTable(DEFAULT_MATCH_LENGTHS, 6);
const defaultOffsets = buildFseTable(DEFAULT_OFFSETS, 5);

/** Of 1 GiB: larger than any page and any kernel's image. */
const MAX_OFFSET_BITS = 30;
/** What the bit stream gives at once. */
const MOST_BITS = 24;

/** What a block leaves to the next one. */
export interface SequenceState {
  literalLengths: FseTable | undefined;
  offsets: FseTable | undefined;
  matchLengths: FseTable | undefined;
  /** The last three offsets, newest first. */
  recent: [number, number, number];
}

export function newSequenceState(): SequenceState {
  return { literalLengths: undefined, offsets: undefined, matchLengths: undefined, recent: [1, 4, 8] };
}

/**
 * Reads the sequences section of a block (RFC 8878, 3.1.1.3.2) and carries it out: literals and copies in turn.
 * @param written how many bytes of `into` are written
 * @returns how many are then
 */
export function runSequences(
  bytes: Uint8Array,
  at: number,
  end: number,
  literals: Uint8Array,
  state: SequenceState,
  into: Uint8Array,
  written: number,
): number {
  const section = at;
  const byte = (): number => {
    if (at >= end) throw codecError('zstd', 'a block ends inside its sequences', { offset: section });
    return bytes[at++] as number;
  };
  let count = byte();
  if (count === 255) count = byte() + (byte() << 8) + 0x7f00;
  else if (count > 127) count = ((count - 128) << 8) + byte();
  if (count === 0) {
    if (at !== end) throw codecError('zstd', 'bytes after a block without sequences', { offset: at });
    return append(literals, 0, literals.length, into, written);
  }

  const modes = byte();
  if ((modes & 3) !== 0) throw codecError('zstd', 'reserved bits of the sequences are set', { offset: section });
  const table = (
    mode: number,
    preset: FseTable,
    last: FseTable | undefined,
    maxLog: number,
    maxSymbol: number,
  ): FseTable => {
    if (mode === 0) return preset;
    if (mode === 1) {
      const symbol = byte();
      if (symbol > maxSymbol) throw codecError('zstd', `code ${symbol} of ${maxSymbol}`, { offset: at });
      return singleSymbolTable(symbol);
    }
    if (mode === 2) {
      const { table, next } = readFseTable(bytes, at, end, maxLog, maxSymbol);
      at = next;
      return table;
    }
    if (last === undefined) throw codecError('zstd', 'no table of sequences to use again', { offset: section });
    return last;
  };
  const lengths = table(modes >> 6, defaultLiteralLengths, state.literalLengths, 9, LITERAL_LENGTHS.bits.length - 1);
  const offsets = table((modes >> 4) & 3, defaultOffsets, state.offsets, 8, 31);
  const matches = table((modes >> 2) & 3, defaultMatchLengths, state.matchLengths, 9, MATCH_LENGTHS.bits.length - 1);
  state.literalLengths = lengths;
  state.offsets = offsets;
  state.matchLengths = matches;

  const stream = new BackwardBits(bytes, at, end);
  const { recent } = state;
  let lengthState = stream.take(lengths.log);
  let offsetState = stream.take(offsets.log);
  let matchState = stream.take(matches.log);
  let used = 0;
  for (let sequence = 0; sequence < count; sequence++) {
    const offsetCode = offsets.symbols[offsetState] as number;
    const matchCode = matches.symbols[matchState] as number;
    const lengthCode = lengths.symbols[lengthState] as number;
    if (offsetCode > MAX_OFFSET_BITS) throw codecError('zstd', 'a copy reaches before the first byte', { offset: at });
    const highBits = Math.max(0, offsetCode - MOST_BITS);
    const offsetHigh = highBits === 0 ? 0 : stream.take(highBits) << MOST_BITS;
    const offsetValue = (1 << offsetCode) + offsetHigh + stream.take(offsetCode - highBits);
    const matchLength =
      (MATCH_LENGTHS.bases[matchCode] as number) + stream.take(MATCH_LENGTHS.bits[matchCode] as number);
    const literalLength =
      (LITERAL_LENGTHS.bases[lengthCode] as number) + stream.take(LITERAL_LENGTHS.bits[lengthCode] as number);
    const distance = offsetOf(offsetValue, literalLength, recent);
    written = append(literals, used, literalLength, into, written);
    used += literalLength;
    if (distance <= 0 || distance > written) {
      throw codecError('zstd', 'a copy reaches before the first byte', { offset: at });
    }
    if (matchLength > into.length - written) throw tooMuch(into);
    for (const stop = written + matchLength; written < stop; written++)
      into[written] = into[written - distance] as number;
    if (sequence === count - 1) break;
    lengthState = (lengths.bases[lengthState] as number) + stream.take(lengths.bits[lengthState] as number);
    matchState = (matches.bases[matchState] as number) + stream.take(matches.bits[matchState] as number);
    offsetState = (offsets.bases[offsetState] as number) + stream.take(offsets.bits[offsetState] as number);
  }
  if (stream.left !== 0) throw codecError('zstd', 'the sequences have bits left over', { offset: at });
  return append(literals, used, literals.length - used, into, written);
}

/** Values 1 to 3 mean one of the last three offsets (RFC 8878, 3.1.1.5); they are moved to the front. */
function offsetOf(value: number, literalLength: number, recent: [number, number, number]): number {
  if (value > 3) {
    recent[2] = recent[1];
    recent[1] = recent[0];
    recent[0] = value - 3;
    return value - 3;
  }
  const index = value - 1 + (literalLength === 0 ? 1 : 0);
  if (index === 0) return recent[0];
  const distance = index === 3 ? recent[0] - 1 : (recent[index] as number);
  if (index > 1) recent[2] = recent[1];
  recent[1] = recent[0];
  recent[0] = distance;
  return distance;
}

function append(literals: Uint8Array, from: number, length: number, into: Uint8Array, written: number): number {
  if (length > literals.length - from) throw codecError('zstd', 'a sequence takes more literals than there are');
  if (length > into.length - written) throw tooMuch(into);
  for (let i = 0; i < length; i++) into[written + i] = literals[from + i] as number;
  return written + length;
}

function tooMuch(into: Uint8Array) {
  return codecError('zstd', `more than ${into.length} bytes`, { expected: into.length });
}
