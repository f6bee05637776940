import { BitWriter } from './bit-writer.js';
import { FseEncoder } from './fse-encoder.js';
import { codeLengths, lengthCounts } from './huffman-lengths.js';
import { LARGEST_PAGE, output, outputView } from './workbench.js';

const LONGEST_CODE = 11;
const SYMBOLS = 256;
const MAX_WEIGHTS = 12;
const MAX_WEIGHT_TABLE_LOG = 6;
/** With fewer than these a Huffman table does not pay. */
const FEW_LITERALS = 32;
/** So many fit one stream by its header; more are cut into four. */
const ONE_STREAM = 1023;

/** The literals of the page that is encoded, one after the other. */
const literals = new Uint8Array(LARGEST_PAGE + 4);
export const literalsView = new DataView(literals.buffer);

const counts = new Int32Array(SYMBOLS);
const otherCounts = new Int32Array(SYMBOLS);
const lengths = new Uint8Array(SYMBOLS);
/** A code, and above it how many bits it has. */
const codes = new Int32Array(SYMBOLS);
const CODE = (1 << LONGEST_CODE) - 1;
const weights = new Uint8Array(SYMBOLS);
const weightCounts = new Int32Array(MAX_WEIGHTS + 1);
const weightTable = new FseEncoder(MAX_WEIGHT_TABLE_LOG, MAX_WEIGHTS + 1);
const writer = new BitWriter();
const nextCodes = new Int32Array(LONGEST_CODE + 1);

/** Writes the literals section of a block (RFC 8878, 3.1.1.3.1) with the first `size` literals; gives the end of it. */
export function writeLiterals(size: number, at: number): number {
  countBytes(size);
  if (size > 1 && counts[literals[0] as number] === size) {
    const from = writeHeader(1, size, at);
    output[from] = literals[0] as number;
    return from + 1;
  }
  if (size >= FEW_LITERALS) {
    const end = writeCompressed(size, at);
    if (end > 0) return end;
  }
  const from = writeHeader(0, size, at);
  output.set(literals.subarray(0, size), from);
  return from + size;
}

/** Two tables take turns, as one has to wait where a byte is that of before. */
function countBytes(size: number): void {
  counts.fill(0);
  otherCounts.fill(0);
  let i = 0;
  for (; i + 1 < size; i += 2) {
    const byte = literals[i] as number;
    const next = literals[i + 1] as number;
    counts[byte] = (counts[byte] as number) + 1;
    otherCounts[next] = (otherCounts[next] as number) + 1;
  }
  if (i < size) {
    const byte = literals[i] as number;
    counts[byte] = (counts[byte] as number) + 1;
  }
  for (let byte = 0; byte < SYMBOLS; byte++) counts[byte] = (counts[byte] as number) + (otherCounts[byte] as number);
}

/** The header of literals that are stored (0), or one byte over and over (1). */
function writeHeader(kind: number, size: number, at: number): number {
  if (size < 32) {
    output[at] = kind | (size << 3);
    return at + 1;
  }
  if (size < 4096) {
    outputView.setUint16(at, kind | 4 | (size << 4), true);
    return at + 2;
  }
  outputView.setInt32(at, kind | 12 | (size << 4), true);
  return at + 3;
}

/** Literals in a Huffman code; gives 0 when that takes as many bytes as storing them. */
function writeCompressed(size: number, at: number): number {
  codeLengths(counts, SYMBOLS, LONGEST_CODE, lengths);
  let bits = 0;
  for (let symbol = 0; symbol < SYMBOLS; symbol++) bits += (counts[symbol] as number) * (lengths[symbol] as number);
  if (bits >> 3 >= size - 16) return 0;
  const headerSize = size <= ONE_STREAM ? 3 : size < 16384 ? 4 : 5;
  const described = describeCode(at + headerSize);
  if (described === 0) return 0;
  assignCodes();
  let end = described;
  if (size <= ONE_STREAM) {
    end = writeStream(0, size, described);
  } else {
    end += 6;
    const part = (size + 3) >> 2;
    for (let i = 0; i < 4; i++) {
      const begin = end;
      end = writeStream(i * part, Math.min(size, (i + 1) * part), begin);
      if (i < 3) outputView.setUint16(described + 2 * i, end - begin, true);
    }
  }
  const compressed = end - at - headerSize;
  if (compressed + headerSize >= size + 2) return 0;
  if (headerSize === 3) {
    if (compressed > ONE_STREAM) return 0;
    const header = 2 | (size << 4) | (compressed << 14);
    outputView.setUint16(at, header, true);
    output[at + 2] = header >> 16;
  } else if (headerSize === 4) {
    outputView.setInt32(at, 2 | (2 << 2) | (size << 4) | (compressed << 18), true);
  } else {
    outputView.setInt32(at, 2 | (3 << 2) | (size << 4) | (compressed << 22), true);
    output[at + 4] = compressed >> 10;
  }
  return end;
}

/** Writes the weights of all symbols but the last (RFC 8878, 4.2.1); gives 0 where that cannot be. */
function describeCode(at: number): number {
  let longest = LONGEST_CODE;
  while (lengthCounts[longest] === 0) longest--;
  let last = SYMBOLS - 1;
  while (lengths[last] === 0) last--;
  weightCounts.fill(0);
  for (let symbol = 0; symbol < last; symbol++) {
    const length = lengths[symbol] as number;
    const weight = length === 0 ? 0 : longest + 1 - length;
    weights[symbol] = weight;
    weightCounts[weight] = (weightCounts[weight] as number) + 1;
  }
  let different = 0;
  for (let weight = 0; weight <= MAX_WEIGHTS; weight++) if (weightCounts[weight] !== 0) different++;
  if (different > 1 && last > 2) {
    weightTable.share(weightCounts, last);
    weightTable.build();
    writer.begin(at + 1);
    weightTable.describe(writer);
    writer.begin(writer.end());
    const { states, widths, places, log } = weightTable;
    // Two states take turns: the first has the weights at even places.
    const state: [number, number] = [0, 0];
    const begun: [boolean, boolean] = [false, false];
    for (let i = last - 1; i >= 0; i--) {
      const weight = weights[i] as number;
      const turn = (i & 1) as 0 | 1;
      if (!begun[turn]) {
        begun[turn] = true;
        state[turn] = weightTable.first(weight);
        continue;
      }
      const before = state[turn];
      const bits = (before + (widths[weight] as number)) >> 16;
      writer.put(before & ((1 << bits) - 1), bits);
      state[turn] = states[(before >> bits) + (places[weight] as number)] as number;
    }
    const mask = (1 << log) - 1;
    writer.put(state[1] & mask, log);
    writer.put(state[0] & mask, log);
    const end = writer.endMarked();
    const size = end - at - 1;
    if (size < 128 && (last > 128 || size < (last + 1) >> 1)) {
      output[at] = size;
      return end;
    }
  }
  if (last > 128) return 0;
  output[at] = 127 + last;
  weights[last] = 0;
  for (let symbol = 0; symbol < last; symbol += 2) {
    output[at + 1 + (symbol >> 1)] = ((weights[symbol] as number) << 4) | (weights[symbol + 1] as number);
  }
  return at + 1 + ((last + 1) >> 1);
}

/** The longest codes come first; those of one length in the order of their symbols. */
function assignCodes(): void {
  for (let length = LONGEST_CODE, code = 0; length > 0; length--) {
    nextCodes[length] = code;
    code = (code + (lengthCounts[length] as number)) >> 1;
  }
  for (let symbol = 0; symbol < SYMBOLS; symbol++) {
    const length = lengths[symbol] as number;
    if (length === 0) continue;
    const code = nextCodes[length] as number;
    codes[symbol] = code | (length << LONGEST_CODE);
    nextCodes[length] = code + 1;
  }
}

/** Writes literals `from` to `to` as a stream that is read from its end; gives the end. */
function writeStream(from: number, to: number, at: number): number {
  let buffer = 0;
  let held = 0;
  let i = to - 1;
  for (; i > from; i -= 2) {
    const code = codes[literals[i] as number] as number;
    buffer |= (code & CODE) << held;
    held += code >> LONGEST_CODE;
    const next = codes[literals[i - 1] as number] as number;
    buffer |= (next & CODE) << held;
    held += next >> LONGEST_CODE;
    outputView.setInt32(at, buffer, true);
    at += held >> 3;
    buffer >>>= held & 24;
    held &= 7;
  }
  if (i === from) {
    const code = codes[literals[i] as number] as number;
    buffer |= (code & CODE) << held;
    held += code >> LONGEST_CODE;
    outputView.setInt32(at, buffer, true);
    at += held >> 3;
    buffer >>>= held & 24;
    held &= 7;
  }
  output[at] = buffer | (1 << held);
  return at + 1;
}
