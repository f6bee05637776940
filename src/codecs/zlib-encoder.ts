import type { Encoder } from './codec.js';
import { codeLengths, lengthCounts } from './huffman-lengths.js';
import { copyLengths, distances, findMatches, literalLengths } from './matches.js';
import { deliver, input, inputView, LARGEST_PAGE, output, outputView } from './workbench.js';

const END_OF_BLOCK = 256;
const LONGEST_COPY = 258;
const FARTHEST = 32768;
const LITERAL_SYMBOLS = 286;
const DISTANCE_SYMBOLS = 30;
const PRECODE_SYMBOLS = 19;
/**
 * Deflate would allow 15 bits. With fewer, two codes fit a word behind 7 bits, and so do a distance and its extra 13;
 * a page is too small to gain from longer ones.
 */
const LONGEST_CODE = 12;
const LONGEST_DISTANCE_CODE = 11;
const LONGEST_PRECODE = 7;
/** In which order the lengths of the precode are written (RFC 1951, 3.2.7). */
const PRECODE_ORDER = Uint8Array.of(16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15);

/** RFC 1951, 3.2.5: the symbol of a length (3 to 258), its extra bits and the least length of each symbol. */
const lengthSymbols = new Uint16Array(LONGEST_COPY + 1);
const lengthBits = new Uint8Array(LITERAL_SYMBOLS);
const lengthBases = new Uint16Array(LITERAL_SYMBOLS);
/** The symbol of a distance: by (distance - 1) up to 256, then by (distance - 1) / 128. */
const nearSymbols = new Uint8Array(256);
const farSymbols = new Uint8Array(256);
const distanceBits = new Uint8Array(DISTANCE_SYMBOLS);
const distanceBases = new Uint16Array(DISTANCE_SYMBOLS);

for (let symbol = 257, length = 3; symbol < 285; symbol++) {
  const bits = symbol < 265 ? 0 : (symbol - 261) >> 2;
  lengthBits[symbol] = bits;
  lengthBases[symbol] = length;
  for (let i = 0; i < 1 << bits; i++) lengthSymbols[length++] = symbol;
}
lengthSymbols[LONGEST_COPY] = 285;
lengthBases[285] = LONGEST_COPY;
for (let symbol = 0, distance = 0; symbol < DISTANCE_SYMBOLS; symbol++) {
  const bits = symbol < 4 ? 0 : (symbol - 2) >> 1;
  distanceBits[symbol] = bits;
  distanceBases[symbol] = distance + 1;
  for (let i = 0; i < 1 << bits; i++, distance++) {
    if (distance < 256) nearSymbols[distance] = symbol;
    else farSymbols[distance >> 7] = symbol;
  }
}

const literalCounts = new Int32Array(LITERAL_SYMBOLS);
const distanceCounts = new Int32Array(DISTANCE_SYMBOLS);
const precodeCounts = new Int32Array(PRECODE_SYMBOLS);
/** Code lengths of the literals, then (at `literalsUsed`) of the distances, as they are written. */
const allLengths = new Uint8Array(LITERAL_SYMBOLS + DISTANCE_SYMBOLS);
const literalCodeLengths = new Uint8Array(LITERAL_SYMBOLS + 2);
const distanceCodeLengths = new Uint8Array(DISTANCE_SYMBOLS + 2);
const precodeLengths = new Uint8Array(PRECODE_SYMBOLS);
/** Codes, each with how many bits it has above. */
const literalCodes = new Int32Array(LITERAL_SYMBOLS + 2);
const distanceCodes = new Int32Array(DISTANCE_SYMBOLS + 2);
const precodes = new Int32Array(PRECODE_SYMBOLS);
/** The code lengths in runs: a symbol of the precode, and its extra bits above. */
const precodeItems = new Uint16Array(LITERAL_SYMBOLS + DISTANCE_SYMBOLS);

/** The fixed code (RFC 1951, 3.2.6). */
const fixedLengths = new Uint8Array(288).fill(8, 0, 144).fill(9, 144, 256).fill(7, 256, 280).fill(8, 280);
const fixedCodes = new Int32Array(288);
const fixedDistanceLengths = new Uint8Array(32).fill(5);
const fixedDistanceCodes = new Int32Array(32);
const reversedBytes = Uint8Array.from({ length: 256 }, (_, byte) => {
  let reversed = 0;
  for (let bit = 0; bit < 8; bit++) reversed |= ((byte >> bit) & 1) << (7 - bit);
  return reversed;
});
const nextCodes = new Int32Array(LONGEST_CODE + 1);

lengthCounts.fill(0);
lengthCounts[7] = 24;
lengthCounts[8] = 152;
lengthCounts[9] = 112;
assignCodes(fixedLengths, 288, fixedCodes);
lengthCounts.fill(0);
lengthCounts[5] = 32;
assignCodes(fixedDistanceLengths, 32, fixedDistanceCodes);

/** The canonical code of these lengths (RFC 1951, 3.2.2), each with its first bit lowest, as it is written. */
function assignCodes(lengths: Uint8Array, symbols: number, codes: Int32Array): void {
  for (let length = 1, code = 0; length <= LONGEST_CODE; length++) {
    nextCodes[length] = code;
    code = (code + (lengthCounts[length] as number)) << 1;
  }
  for (let symbol = 0; symbol < symbols; symbol++) {
    const length = lengths[symbol] as number;
    if (length === 0) continue;
    const code = nextCodes[length] as number;
    nextCodes[length] = code + 1;
    const reversed = ((reversedBytes[code & 0xff] as number) << 8) | (reversedBytes[code >> 8] as number);
    codes[symbol] = (reversed >> (16 - length)) | (length << 16);
  }
}

/**
 * zlib's format (RFC 1950 and 1951), as {@link decodeZlib} reads it: one block, of the fixed code or of its own.
 */
export const encodeZlib: Encoder = (page, into) => {
  const size = page.length;
  if (size > LARGEST_PAGE) return 0;
  input.set(page);
  const count = findMatches(size, FARTHEST, 3, 6);
  countSymbols(count, size);

  const fixedBits = 3 + costOf(fixedLengths, fixedDistanceLengths);
  const usedLiterals = codeLengths(literalCounts, LITERAL_SYMBOLS, LONGEST_CODE, literalCodeLengths);
  if (usedLiterals === 1) {
    // A code of one symbol is incomplete, which inflate refuses for literals: give another one the other half.
    literalCodeLengths[0] = 1;
    lengthCounts[1] = 2;
  }
  assignCodes(literalCodeLengths, LITERAL_SYMBOLS, literalCodes);
  codeLengths(distanceCounts, DISTANCE_SYMBOLS, LONGEST_DISTANCE_CODE, distanceCodeLengths);
  assignCodes(distanceCodeLengths, DISTANCE_SYMBOLS, distanceCodes);
  const literals = usedSymbols(literalCodeLengths, LITERAL_SYMBOLS, 257);
  const distinct = usedSymbols(distanceCodeLengths, DISTANCE_SYMBOLS, 1);
  allLengths.set(literalCodeLengths.subarray(0, literals));
  allLengths.set(distanceCodeLengths.subarray(0, distinct), literals);
  const items = packLengths(literals + distinct);
  codeLengths(precodeCounts, PRECODE_SYMBOLS, LONGEST_PRECODE, precodeLengths);
  assignCodes(precodeLengths, PRECODE_SYMBOLS, precodes);
  let ordered = PRECODE_SYMBOLS;
  while (ordered > 4 && precodeLengths[PRECODE_ORDER[ordered - 1] as number] === 0) ordered--;
  let ownBits = 17 + 3 * ordered + costOf(literalCodeLengths, distanceCodeLengths);
  for (let i = 0; i < PRECODE_SYMBOLS; i++) {
    ownBits +=
      (precodeCounts[i] as number) * ((precodeLengths[i] as number) + (i < 16 ? 0 : i === 16 ? 2 : i === 17 ? 3 : 7));
  }
  const bits = Math.min(ownBits, fixedBits);
  const total = 2 + ((bits + 7) >> 3) + 4;
  if (total > into.length) return 0;

  output[0] = 0x78;
  output[1] = 0x01;
  at = 2;
  bitBuffer = 0;
  bitCount = 0;
  if (fixedBits <= ownBits) {
    put(1 | (1 << 1), 3);
    writeSymbols(count, size, fixedCodes, fixedDistanceCodes);
  } else {
    put(1 | (2 << 1), 3);
    put(literals - 257, 5);
    put(distinct - 1, 5);
    put(ordered - 4, 4);
    for (let i = 0; i < ordered; i++) put(precodeLengths[PRECODE_ORDER[i] as number] as number, 3);
    for (let i = 0; i < items; i++) {
      const item = precodeItems[i] as number;
      const symbol = item & 31;
      put((precodes[symbol] as number) & 0xffff, precodeLengths[symbol] as number);
      if (symbol >= 16) put(item >> 5, symbol === 16 ? 2 : symbol === 17 ? 3 : 7);
    }
    writeSymbols(count, size, literalCodes, distanceCodes);
  }
  if (bitCount > 0) output[at++] = bitBuffer;
  outputView.setUint32(at, adler32(size));
  return deliver(at + 4, into);
};

/** Where the next byte of the output goes, and the bits before it; up to 7 between calls. */
let at = 0;
let bitBuffer = 0;
let bitCount = 0;

function put(value: number, bits: number): void {
  bitBuffer |= value << bitCount;
  bitCount += bits;
  while (bitCount >= 8) {
    output[at++] = bitBuffer;
    bitBuffer >>>= 8;
    bitCount -= 8;
  }
}

function countSymbols(count: number, size: number): void {
  literalCounts.fill(0);
  distanceCounts.fill(0);
  literalCounts[END_OF_BLOCK] = 1;
  let from = 0;
  for (let i = 0; i < count; i++) {
    const distance = (distances[i] as number) - 1;
    const run = literalLengths[i] as number;
    countBytes(from, from + run);
    from += run;
    const symbol = distance < 256 ? (nearSymbols[distance] as number) : (farSymbols[distance >> 7] as number);
    let left = copyLengths[i] as number;
    from += left;
    while (left > 0) {
      const piece = nextPiece(left);
      const lengthSymbol = lengthSymbols[piece] as number;
      literalCounts[lengthSymbol] = (literalCounts[lengthSymbol] as number) + 1;
      distanceCounts[symbol] = (distanceCounts[symbol] as number) + 1;
      left -= piece;
    }
  }
  countBytes(from, size);
}

function countBytes(from: number, to: number): void {
  for (let i = from; i < to; i++) {
    const byte = input[i] as number;
    literalCounts[byte] = (literalCounts[byte] as number) + 1;
  }
}

/** A long copy is cut into pieces of up to 258 bytes, of which none may have fewer than 3. */
function nextPiece(left: number): number {
  return left <= LONGEST_COPY ? left : left < LONGEST_COPY + 3 ? left - 3 : LONGEST_COPY;
}

/** Bits that the symbols take with these codes, without what describes them. */
function costOf(literal: Uint8Array, distance: Uint8Array): number {
  let bits = 0;
  for (let i = 0; i < LITERAL_SYMBOLS; i++) {
    bits += (literalCounts[i] as number) * ((literal[i] as number) + (lengthBits[i] as number));
  }
  for (let i = 0; i < DISTANCE_SYMBOLS; i++) {
    bits += (distanceCounts[i] as number) * ((distance[i] as number) + (distanceBits[i] as number));
  }
  return bits;
}

function usedSymbols(lengths: Uint8Array, symbols: number, least: number): number {
  while (symbols > least && lengths[symbols - 1] === 0) symbols--;
  return symbols;
}

/** Code lengths in runs (RFC 1951, 3.2.7), counted by their symbols; gives how many. */
function packLengths(size: number): number {
  precodeCounts.fill(0);
  let items = 0;
  const add = (symbol: number, extra: number): void => {
    precodeCounts[symbol] = (precodeCounts[symbol] as number) + 1;
    precodeItems[items++] = symbol | (extra << 5);
  };
  for (let i = 0; i < size; ) {
    const length = allLengths[i] as number;
    let run = 1;
    while (i + run < size && allLengths[i + run] === length) run++;
    i += run;
    if (length === 0) {
      for (; run >= 11; run -= Math.min(run, 138)) add(18, Math.min(run, 138) - 11);
      if (run >= 3) {
        add(17, run - 3);
        run = 0;
      }
    } else if (run >= 4) {
      add(length, 0);
      run--;
      while (run >= 3) {
        const piece = Math.min(run, 6);
        add(16, piece - 3);
        run -= piece;
      }
    }
    for (; run > 0; run--) add(length, 0);
  }
  return items;
}

function writeSymbols(count: number, size: number, codes: Int32Array, farCodes: Int32Array): void {
  let place = at;
  let buffer = bitBuffer;
  let held = bitCount;
  let from = 0;
  for (let i = 0; i <= count; i++) {
    const stop = i < count ? from + (literalLengths[i] as number) : size;
    // Two codes of at most 12 bits fit behind 7.
    for (; from + 1 < stop; from += 2) {
      const code = codes[input[from] as number] as number;
      buffer |= (code & 0xffff) << held;
      held += code >> 16;
      const next = codes[input[from + 1] as number] as number;
      buffer |= (next & 0xffff) << held;
      held += next >> 16;
      outputView.setInt32(place, buffer, true);
      place += held >> 3;
      buffer >>>= held & 24;
      held &= 7;
    }
    if (from < stop) {
      const code = codes[input[from++] as number] as number;
      buffer |= (code & 0xffff) << held;
      held += code >> 16;
      outputView.setInt32(place, buffer, true);
      place += held >> 3;
      buffer >>>= held & 24;
      held &= 7;
    }
    if (i === count) break;
    const distance = distances[i] as number;
    const far = distance <= 256 ? (nearSymbols[distance - 1] as number) : (farSymbols[(distance - 1) >> 7] as number);
    const farCode = farCodes[far] as number;
    const farLength = farCode >> 16;
    const farBits = (farCode & 0xffff) | ((distance - (distanceBases[far] as number)) << farLength);
    const farHeld = farLength + (distanceBits[far] as number);
    let left = copyLengths[i] as number;
    from += left;
    while (left > 0) {
      const piece = nextPiece(left);
      left -= piece;
      const symbol = lengthSymbols[piece] as number;
      const code = codes[symbol] as number;
      buffer |= (code & 0xffff) << held;
      held += code >> 16;
      buffer |= (piece - (lengthBases[symbol] as number)) << held;
      held += lengthBits[symbol] as number;
      outputView.setInt32(place, buffer, true);
      place += held >> 3;
      buffer >>>= held & 24;
      held &= 7;
      buffer |= farBits << held;
      held += farHeld;
      outputView.setInt32(place, buffer, true);
      place += held >> 3;
      buffer >>>= held & 24;
      held &= 7;
    }
  }
  at = place;
  bitBuffer = buffer;
  bitCount = held;
  const end = codes[END_OF_BLOCK] as number;
  put(end & 0xffff, end >> 16);
}

/** RFC 1950, 8.2. */
function adler32(size: number): number {
  let low = 1;
  let high = 0;
  let from = 0;
  while (from < size) {
    // As many as keep both sums below 2^31.
    const stop = Math.min(size, from + 2048);
    for (; from + 4 <= stop; from += 4) {
      const word = inputView.getInt32(from, true);
      const first = word & 0xff;
      const second = (word >> 8) & 0xff;
      const third = (word >> 16) & 0xff;
      const fourth = word >>> 24;
      high += 4 * (low + first) + 3 * second + 2 * third + fourth;
      low += first + second + third + fourth;
    }
    for (; from < stop; from++) {
      low += input[from] as number;
      high += low;
    }
    low %= 65521;
    high %= 65521;
  }
  return ((high << 16) | low) >>> 0;
}
