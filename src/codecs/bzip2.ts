import { ExhumeError } from '../bytes/errors.js';

const BLOCK_MAGIC = 0x314159265359;
const END_MAGIC = 0x177245385090;
/** Codes are at most 20 bits long; symbols: two for runs, 255 places, one that ends the block. */
const LONGEST_CODE = 20;
const MOST_SYMBOLS = 258;
const GROUP = 50;

/**
 * A bzip2 stream, as `bzip2` makes it. Gives how many bytes it made, at most as many as `into` has room for.
 * Blocks' checksums are checked. Throws EXH_CODEC. What follows the stream is not looked at.
 *
 * Each block is run-length encoded, sorted (Burrows-Wheeler), moved to front, and packed with up to six Huffman tables
 * that change every 50 symbols. Memory: 3.6 MB at the most.
 */
export function decodeBzip2(compressed: Uint8Array, into: Uint8Array): number {
  const level = (compressed[3] ?? 0) - 0x30;
  if (compressed[0] !== 0x42 || compressed[1] !== 0x5a || compressed[2] !== 0x68 || level < 1 || level > 9) {
    throw bad('no stream begins here');
  }
  const bits = new Bits(compressed, 4);
  const block = new Uint32Array(level * 100_000);
  let written = 0;
  for (;;) {
    const magic = bits.take(24) * 2 ** 24 + bits.take(24);
    if (magic === END_MAGIC) return written;
    if (magic !== BLOCK_MAGIC) throw bad('no block where one should begin');
    const checksum = bits.take(16) * 2 ** 16 + bits.take(16);
    if (bits.take(1) !== 0) throw bad('a randomised block, which no bzip2 since 0.9.5 writes');
    const origin = bits.take(24);
    const length = readBlock(bits, block);
    if (origin >= length) throw bad('a block begins outside of itself');
    const start = written;
    written = unsort(block, length, origin, into, written);
    if (crcOf(into, start, written) !== checksum) throw bad('wrong checksum');
  }
}

/** Bits, the highest of a byte first. Throws at the end of the data. */
class Bits {
  private held = 0;
  private count = 0;

  constructor(
    private readonly bytes: Uint8Array,
    private at: number,
  ) {}

  /** Up to 24 bits. */
  take(wanted: number): number {
    while (this.count < wanted) {
      const byte = this.bytes[this.at++];
      if (byte === undefined) throw bad('the data ends too soon');
      this.held = ((this.held << 8) | byte) >>> 0;
      this.count += 8;
    }
    this.count -= wanted;
    const value = (this.held >>> this.count) & ((1 << wanted) - 1);
    this.held &= (1 << this.count) - 1;
    return value;
  }
}

/** A canonical Huffman code: for each length the last code of it, and where its symbols stand in order. */
interface Table {
  readonly limits: Int32Array;
  readonly bases: Int32Array;
  readonly symbols: Uint16Array;
}

/** A block's bytes as they were before they were moved to front, in the low 8 bits; gives how many. */
function readBlock(bits: Bits, block: Uint32Array): number {
  const front = usedBytes(bits);
  const symbolCount = front.length + 2;
  const tableCount = bits.take(3);
  const selectorCount = bits.take(15);
  if (tableCount < 2 || tableCount > 6 || selectorCount === 0) throw bad(`${tableCount} tables`);
  const selectors = readSelectors(bits, selectorCount, tableCount);
  const tables = Array.from({ length: tableCount }, () => readTable(bits, symbolCount));
  const end = symbolCount - 1;
  let length = 0;
  let run = 0;
  let weight = 1;
  let table: Table | undefined;
  for (let left = 0, group = 0; ; left--) {
    if (left === 0) {
      table = tables[selectors[group++] ?? 6];
      left = GROUP;
    }
    if (table === undefined) throw bad('more symbols than tables were chosen for');
    const symbol = readSymbol(bits, table);
    if (symbol < 2) {
      // A run's length in digits 1 and 2, the lowest first.
      run += weight << symbol;
      weight *= 2;
      if (run > block.length) throw bad('a block is longer than it may be');
      continue;
    }
    if (run > 0) {
      if (run > block.length - length) throw bad('a block is longer than it may be');
      block.fill(front[0] as number, length, length + run);
      length += run;
      run = 0;
      weight = 1;
    }
    if (symbol === end) return length;
    if (length >= block.length) throw bad('a block is longer than it may be');
    const byte = front[symbol - 1] as number;
    front.copyWithin(1, 0, symbol - 1);
    front[0] = byte;
    block[length++] = byte;
  }
}

/** Which bytes occur: a bit for each sixteen, then a bit for each of those. */
function usedBytes(bits: Bits): Uint8Array {
  const rows = bits.take(16);
  const used: number[] = [];
  for (let row = 0; row < 16; row++) {
    if (((rows << row) & 0x8000) === 0) continue;
    const columns = bits.take(16);
    for (let column = 0; column < 16; column++) {
      if (((columns << column) & 0x8000) !== 0) used.push(row * 16 + column);
    }
  }
  if (used.length === 0) throw bad('a block without bytes');
  return Uint8Array.from(used);
}

/** Numbers of tables, moved to front and in unary. */
function readSelectors(bits: Bits, count: number, tables: number): Uint8Array {
  const front = Uint8Array.from({ length: tables }, (_, index) => index);
  const selectors = new Uint8Array(count);
  for (let i = 0; i < count; i++) {
    let place = 0;
    while (bits.take(1) === 1) if (++place >= tables) throw bad('a table that is not there is chosen');
    const chosen = front[place] as number;
    front.copyWithin(1, 0, place);
    front[0] = chosen;
    selectors[i] = chosen;
  }
  return selectors;
}

function readTable(bits: Bits, symbolCount: number): Table {
  const lengths = new Uint8Array(symbolCount);
  let length = bits.take(5);
  for (let symbol = 0; symbol < symbolCount; symbol++) {
    for (;;) {
      if (length < 1 || length > LONGEST_CODE) throw bad(`a code of ${length} bits`);
      if (bits.take(1) === 0) break;
      length += bits.take(1) === 0 ? 1 : -1;
    }
    lengths[symbol] = length;
  }
  const limits = new Int32Array(LONGEST_CODE + 1).fill(-1);
  const bases = new Int32Array(LONGEST_CODE + 1);
  const symbols = new Uint16Array(MOST_SYMBOLS);
  let code = 0;
  let place = 0;
  for (let bitsOfCode = 1; bitsOfCode <= LONGEST_CODE; bitsOfCode++) {
    bases[bitsOfCode] = place - code;
    for (let symbol = 0; symbol < symbolCount; symbol++) {
      if (lengths[symbol] !== bitsOfCode) continue;
      symbols[place++] = symbol;
      limits[bitsOfCode] = code++;
    }
    code *= 2;
  }
  return { limits, bases, symbols };
}

function readSymbol(bits: Bits, { limits, bases, symbols }: Table): number {
  let code = 0;
  for (let length = 1; length <= LONGEST_CODE; length++) {
    code = (code << 1) | bits.take(1);
    if (code > (limits[length] as number)) continue;
    const place = code + (bases[length] as number);
    if (place >= 0) return symbols[place] as number;
  }
  throw bad('a code that no symbol has');
}

/** Undoes the sorting, and the runs that were encoded before it: four equal bytes are followed by a count of more. */
function unsort(block: Uint32Array, length: number, origin: number, into: Uint8Array, start: number): number {
  const starts = new Uint32Array(257);
  for (let i = 0; i < length; i++) (starts[((block[i] as number) & 0xff) + 1] as number)++;
  for (let byte = 0; byte < 256; byte++) (starts[byte + 1] as number) += starts[byte] as number;
  for (let i = 0; i < length; i++) {
    const byte = (block[i] as number) & 0xff;
    const place = starts[byte] as number;
    starts[byte] = place + 1;
    block[place] = (block[place] as number) | (i << 8);
  }
  let written = start;
  let next = (block[origin] as number) >>> 8;
  let last = -1;
  let equal = 0;
  for (let left = length; left > 0; left--) {
    const entry = block[next] as number;
    next = entry >>> 8;
    const byte = entry & 0xff;
    if (equal === 4) {
      if (byte > into.length - written) throw bad(`more than ${into.length} bytes`);
      into.fill(last, written, written + byte);
      written += byte;
      equal = 0;
      last = -1;
      continue;
    }
    if (written >= into.length) throw bad(`more than ${into.length} bytes`);
    into[written++] = byte;
    equal = byte === last ? equal + 1 : 1;
    last = byte;
  }
  return written;
}

const CRC = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte << 24;
  for (let bit = 0; bit < 8; bit++) value = value < 0 ? (value << 1) ^ 0x04c11db7 : value << 1;
  return value >>> 0;
});

/** CRC-32 as bzip2 has it: the highest bit first. */
function crcOf(bytes: Uint8Array, start: number, end: number): number {
  let crc = -1;
  for (let i = start; i < end; i++) crc = (crc << 8) ^ (CRC[(crc >>> 24) ^ (bytes[i] as number)] as number);
  return ~crc >>> 0;
}

function bad(problem: string): ExhumeError {
  return new ExhumeError('EXH_CODEC', `bzip2: ${problem}`);
}
