import { codecError } from './codec.js';

/** A decoding table of finite state entropy (RFC 8878, 4.1): columns with one entry for each state. */
export interface FseTable {
  /** There are 2^log states. */
  readonly log: number;
  readonly symbols: Uint8Array;
  /** Bits to read for the next state. */
  readonly bits: Uint8Array;
  /** What is added to them. */
  readonly bases: Uint16Array;
}

/**
 * Builds the table of a distribution.
 * @param counts of each symbol in 2^log; -1 for a probability below 1. Their absolute values add up to 2^log.
 */
export function buildFseTable(counts: readonly number[], log: number): FseTable {
  const size = 1 << log;
  const symbols = new Uint8Array(size);
  const bits = new Uint8Array(size);
  const bases = new Uint16Array(size);
  const next = new Uint16Array(counts.length);
  let high = size;
  counts.forEach((count, symbol) => {
    next[symbol] = Math.abs(count);
    if (count === -1) symbols[--high] = symbol;
  });
  const step = (size >> 1) + (size >> 3) + 3;
  let position = 0;
  counts.forEach((count, symbol) => {
    for (let i = 0; i < count; i++) {
      symbols[position] = symbol;
      do position = (position + step) & (size - 1);
      while (position >= high);
    }
  });
  for (let state = 0; state < size; state++) {
    const symbol = symbols[state] as number;
    const order = next[symbol] as number;
    next[symbol] = order + 1;
    const width = log - (31 - Math.clz32(order));
    bits[state] = width;
    bases[state] = (order << width) - size;
  }
  return { log, symbols, bits, bases };
}

/** The table of one symbol only, which costs no bits. */
export function singleSymbolTable(symbol: number): FseTable {
  return { log: 0, symbols: Uint8Array.of(symbol), bits: new Uint8Array(1), bases: new Uint16Array(1) };
}

/**
 * Reads the description of a table (RFC 8878, 4.1.1) from byte `at` on; it must end before `end`.
 * @returns the table, and the offset of the byte after it
 */
export function readFseTable(
  bytes: Uint8Array,
  at: number,
  end: number,
  maxLog: number,
  maxSymbol: number,
): { readonly table: FseTable; readonly next: number } {
  let position = at * 8;
  const peek = (count: number): number => {
    const byte = position >>> 3;
    const word = (bytes[byte] ?? 0) | ((bytes[byte + 1] ?? 0) << 8) | ((bytes[byte + 2] ?? 0) << 16);
    return (word >>> (position & 7)) & ((1 << count) - 1);
  };
  const log = peek(4) + 5;
  position += 4;
  if (log > maxLog)
    throw codecError('zstd', `an FSE table of 2^${log} states, at most 2^${maxLog} allowed`, { offset: at });
  const counts: number[] = [];
  let remaining = 1 << log;
  while (remaining > 0) {
    if (counts.length > maxSymbol || position > end * 8) throw badTable(at);
    // Values 0 to remaining + 1; the lowest of them take one bit less.
    const width = 32 - Math.clz32(remaining + 1);
    const short = (1 << width) - 1 - (remaining + 1);
    const low = peek(width - 1);
    let value: number;
    if (low < short) {
      value = low;
      position += width - 1;
    } else {
      value = peek(width);
      position += width;
      if (value >= 1 << (width - 1)) value -= short;
    }
    const count = value - 1;
    remaining -= Math.abs(count);
    counts.push(count);
    if (count !== 0) continue;
    let repeats: number;
    do {
      repeats = peek(2);
      position += 2;
      for (let i = 0; i < repeats; i++) counts.push(0);
      if (counts.length > maxSymbol + 1 || position > end * 8) throw badTable(at);
    } while (repeats === 3);
  }
  const next = Math.ceil(position / 8);
  if (remaining < 0 || next > end) throw badTable(at);
  return { table: buildFseTable(counts, log), next };
}

function badTable(offset: number) {
  return codecError('zstd', 'an FSE table that cannot be', { offset });
}
