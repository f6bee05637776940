import { codecError } from './codec.js';
import { BackwardBits } from './zstd-bits.js';
import { readFseTable } from './zstd-fse.js';

const MAX_CODE_BITS = 11;
const MAX_WEIGHT_TABLE_LOG = 6;
const MAX_SYMBOLS = 256;

/** A Huffman table: for each pattern of `log` bits the symbol that it begins with, times 16, plus how many bits that takes. */
export interface HuffmanTable {
  readonly log: number;
  readonly entries: Uint16Array;
}

/** The literals of a block, and what the next one may use again. */
export interface Literals {
  readonly bytes: Uint8Array;
  readonly table: HuffmanTable | undefined;
  /** Offset of the byte after the literals section. */
  readonly next: number;
}

/**
 * Reads the literals section of a block (RFC 8878, 3.1.1.3.1) from byte `at`; the block ends at `end`.
 * @param most how many literals there may be: all of them end up in the output
 * @param previous the Huffman table of the block before
 */
export function readLiterals(
  bytes: Uint8Array,
  at: number,
  end: number,
  most: number,
  previous: HuffmanTable | undefined,
): Literals {
  const first = bytes[at] as number;
  const kind = first & 3;
  const format = (first >> 2) & 3;
  if (kind < 2) {
    const headerSize = (format & 1) === 0 ? 1 : format === 1 ? 2 : 3;
    const header = little(bytes, at, end, headerSize);
    const size = headerSize === 1 ? header >> 3 : header >> 4;
    checkSize(size, most, at);
    const from = at + headerSize;
    const next = from + (kind === 0 ? size : 1);
    if (next > end) throw codecError('zstd', 'literals do not fit their block', { offset: at });
    const literals = kind === 0 ? bytes.subarray(from, next) : new Uint8Array(size).fill(bytes[from] as number);
    return { bytes: literals, table: previous, next };
  }

  const headerSize = format < 2 ? 3 : format + 2;
  const width = format < 2 ? 10 : format === 2 ? 14 : 18;
  const header = Math.floor(little(bytes, at, end, headerSize) / 16);
  const size = header % 2 ** width;
  const next = at + headerSize + Math.floor(header / 2 ** width);
  checkSize(size, most, at);
  if (next > end) throw codecError('zstd', 'literals do not fit their block', { offset: at });
  let from = at + headerSize;
  let table = previous;
  if (kind === 2) ({ table, next: from } = readHuffmanTable(bytes, from, next));
  if (table === undefined) throw codecError('zstd', 'no Huffman table to use again', { offset: at });
  const literals = new Uint8Array(size);
  if (format === 0) {
    decodeStream(bytes, from, next, table, literals);
  } else {
    decodeFourStreams(bytes, from, next, table, literals);
  }
  return { bytes: literals, table, next };
}

/** `count` bytes (1 to 5), little-endian. */
function little(bytes: Uint8Array, at: number, end: number, count: number): number {
  if (at + count > end) throw codecError('zstd', 'a block ends inside a header', { offset: at });
  let value = 0;
  for (let i = 0; i < count; i++) value += (bytes[at + i] as number) * 2 ** (8 * i);
  return value;
}

function checkSize(size: number, most: number, offset: number): void {
  if (size > most) throw codecError('zstd', `${size} literals where ${most} bytes are left`, { offset });
}

/** Three sizes of 16 bits, then four streams, each with a quarter of the literals; the last one has what is left. */
function decodeFourStreams(
  bytes: Uint8Array,
  at: number,
  end: number,
  table: HuffmanTable,
  literals: Uint8Array,
): void {
  const quarter = Math.floor((literals.length + 3) / 4);
  let from = at + 6;
  for (let stream = 0; stream < 4; stream++) {
    const size = stream < 3 ? little(bytes, at + 2 * stream, end, 2) : end - from;
    if (size < 1 || from + size > end || stream * quarter > literals.length) {
      throw codecError('zstd', 'the streams of literals do not fit', { offset: at });
    }
    const into = literals.subarray(stream * quarter, stream < 3 ? (stream + 1) * quarter : literals.length);
    decodeStream(bytes, from, from + size, table, into);
    from += size;
  }
}

function decodeStream(bytes: Uint8Array, at: number, end: number, table: HuffmanTable, into: Uint8Array): void {
  const stream = new BackwardBits(bytes, at, end);
  const { log, entries } = table;
  const mask = (1 << log) - 1;
  let { left } = stream;
  let done = 0;
  // Two symbols take at most 22 bits, which 4 bytes hold wherever they begin.
  while (done + 2 <= into.length && left >= 2 * log) {
    const from = left - 2 * log;
    const byte = at + (from >>> 3);
    const word =
      ((bytes[byte] as number) |
        ((bytes[byte + 1] as number) << 8) |
        ((bytes[byte + 2] as number) << 16) |
        ((bytes[byte + 3] as number) << 24)) >>>
      (from & 7);
    const first = entries[(word >>> log) & mask] as number;
    const second = entries[(word >>> (log - (first & 15))) & mask] as number;
    into[done] = first >>> 4;
    into[done + 1] = second >>> 4;
    done += 2;
    left -= (first & 15) + (second & 15);
  }
  stream.left = left;
  for (; done < into.length; done++) {
    const entry = entries[stream.peek(log)] as number;
    into[done] = entry >>> 4;
    stream.left -= entry & 15;
    if (stream.left < 0) throw codecError('zstd', 'a stream of literals ends too early', { offset: at });
  }
  if (stream.left !== 0) throw codecError('zstd', 'a stream of literals has bits left over', { offset: at });
}

/** The weights of the symbols, 4 bits each or compressed by FSE (RFC 8878, 4.2.1). */
function readHuffmanTable(
  bytes: Uint8Array,
  at: number,
  end: number,
): { readonly table: HuffmanTable; readonly next: number } {
  if (at >= end) throw codecError('zstd', 'no room for a Huffman table', { offset: at });
  const header = bytes[at] as number;
  const weights: number[] = [];
  let next: number;
  if (header >= 128) {
    const count = header - 127;
    next = at + 1 + Math.ceil(count / 2);
    if (next > end) throw codecError('zstd', 'a Huffman table does not fit', { offset: at });
    for (let i = 0; i < count; i++) {
      const pair = bytes[at + 1 + (i >> 1)] as number;
      weights.push((i & 1) === 0 ? pair >> 4 : pair & 15);
    }
  } else {
    next = at + 1 + header;
    if (next > end) throw codecError('zstd', 'a Huffman table does not fit', { offset: at });
    readWeights(bytes, at + 1, next, weights);
  }
  return { table: buildHuffmanTable(weights, at), next };
}

/** Two states take turns until the bits run out. */
function readWeights(bytes: Uint8Array, at: number, end: number, weights: number[]): void {
  const { table, next } = readFseTable(bytes, at, end, MAX_WEIGHT_TABLE_LOG, MAX_CODE_BITS + 1);
  const stream = new BackwardBits(bytes, next, end);
  let state = stream.take(table.log);
  let other = stream.take(table.log);
  for (;;) {
    weights.push(table.symbols[state] as number);
    const width = table.bits[state] as number;
    if (width > stream.left) {
      weights.push(table.symbols[other] as number);
      return;
    }
    const following = (table.bases[state] as number) + stream.take(width);
    state = other;
    other = following;
    if (weights.length >= MAX_SYMBOLS) throw codecError('zstd', 'too many Huffman weights', { offset: at });
  }
}

/** The last symbol's weight is not written: it fills the table up to a power of two; it is added to `weights`. */
function buildHuffmanTable(weights: number[], offset: number): HuffmanTable {
  let sum = 0;
  for (const weight of weights) {
    if (weight > MAX_CODE_BITS) throw codecError('zstd', `a Huffman weight of ${weight}`, { offset });
    if (weight > 0) sum += 1 << (weight - 1);
  }
  const log = 32 - Math.clz32(sum);
  const rest = (1 << log) - sum;
  if (sum === 0 || log > MAX_CODE_BITS || (rest & (rest - 1)) !== 0 || weights.length >= MAX_SYMBOLS) {
    throw codecError('zstd', 'a Huffman table that cannot be', { offset });
  }
  weights.push(32 - Math.clz32(rest));
  // Symbols of a low weight come first; those of one weight in their own order.
  const nextOfWeight = new Uint16Array(MAX_CODE_BITS + 2);
  for (const weight of weights)
    if (weight > 0) nextOfWeight[weight + 1] = (nextOfWeight[weight + 1] as number) + (1 << (weight - 1));
  for (let weight = 1; weight <= log; weight++) {
    nextOfWeight[weight + 1] = (nextOfWeight[weight + 1] as number) + (nextOfWeight[weight] as number);
  }
  const entries = new Uint16Array(1 << log);
  for (let symbol = 0; symbol < weights.length; symbol++) {
    const weight = weights[symbol] as number;
    if (weight === 0) continue;
    const from = nextOfWeight[weight] as number;
    const to = from + (1 << (weight - 1));
    const entry = (symbol << 4) | (log + 1 - weight);
    for (let pattern = from; pattern < to; pattern++) entries[pattern] = entry;
    nextOfWeight[weight] = to;
  }
  return { log, entries };
}
