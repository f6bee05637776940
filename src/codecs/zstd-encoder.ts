import { BitWriter } from './bit-writer.js';
import type { Encoder } from './codec.js';
import { FseEncoder } from './fse-encoder.js';
import { copyLengths, distances, findMatches, literalLengths } from './matches.js';
import { deliver, input, inputView, LARGEST_PAGE, output, outputView } from './workbench.js';
import { literalsView, writeLiterals } from './zstd-literals-encoder.js';
import {
  type Codes,
  DEFAULT_LITERAL_LENGTHS,
  DEFAULT_MATCH_LENGTHS,
  DEFAULT_OFFSETS,
  LITERAL_LENGTHS,
  MATCH_LENGTHS,
} from './zstd-sequences.js';

const MAGIC = 0xfd2fb528;
/** One segment, its size in two bytes. */
const DESCRIPTOR = 0x60;
/** With fewer sequences a table of their own does not pay. */
const FEW_SEQUENCES = 24;
/** No description of a table takes fewer bits. */
const LEAST_DESCRIPTION = 24;
const FRAME_HEADER = 7;
const BLOCK_HEADER = 3;

/** The code of a value below `size`. */
function codeTable({ bases }: Codes, size: number): Uint8Array {
  const table = new Uint8Array(size);
  for (let value = 0, code = 0; value < size; value++) {
    while (code + 1 < bases.length && (bases[code + 1] as number) <= value) code++;
    table[value] = code;
  }
  return table;
}

const literalLengthCodes = codeTable(LITERAL_LENGTHS, LARGEST_PAGE + 1);
const matchLengthCodes = codeTable(MATCH_LENGTHS, LARGEST_PAGE + 1);

/** One of the three columns of the sequences: its codes, and how they are encoded. */
class Column {
  readonly codes = new Uint8Array(LARGEST_PAGE);
  readonly counts: Int32Array;
  readonly own: FseEncoder;
  readonly preset: FseEncoder;
  /** The one that is used for this page. */
  table: FseEncoder;
  /** As written in the section's header: 0 the preset distribution, 1 one symbol only, 2 its own. */
  mode = 0;

  constructor(shares: readonly number[], log: number, maxLog: number, symbols: number) {
    this.counts = new Int32Array(symbols);
    this.own = new FseEncoder(maxLog, symbols);
    this.preset = new FseEncoder(log, symbols);
    this.preset.log = log;
    this.preset.shares.set(shares);
    this.preset.build();
    this.table = this.preset;
  }
}

/** The table of one symbol only, whichever, which costs no bits. */
const single = new FseEncoder(1, 53);
single.log = 0;
single.states.fill(1);

const lengthColumn = new Column(DEFAULT_LITERAL_LENGTHS, 6, 9, 36);
const matchColumn = new Column(DEFAULT_MATCH_LENGTHS, 6, 9, 53);
const offsetColumn = new Column(DEFAULT_OFFSETS, 5, 8, 32);
/** What an offset is written as: one of the last three (1 to 3), or 3 more than the distance. */
const offsetValues = new Int32Array(LARGEST_PAGE);
const writer = new BitWriter();

/** One Zstandard frame of one block (RFC 8878), without a checksum, as {@link decodeZstd} reads it. */
export const encodeZstd: Encoder = (page, into) => encode(page, into, 4, 7);

/** The same with copies of three bytes too: pages get 4 % smaller than by {@link encodeZstd}, in half as much time again. */
export const encodeZstdHarder: Encoder = (page, into) => encode(page, into, 3, 7);

function encode(page: Uint8Array, into: Uint8Array, leastCopy: number, patience: number): number {
  const size = page.length;
  if (size > LARGEST_PAGE || size < 256) return 0;
  input.set(page);
  const count = findMatches(size, size, leastCopy, patience);
  outputView.setUint32(0, MAGIC, true);
  output[4] = DESCRIPTOR;
  outputView.setUint16(5, size - 256, true);
  const begin = FRAME_HEADER + BLOCK_HEADER;
  let at = writeLiterals(gatherSequences(count, size), begin);
  at = writeSequences(count, at);
  const header = 1 | (2 << 1) | ((at - begin) << 3);
  outputView.setUint16(FRAME_HEADER, header, true);
  output[FRAME_HEADER + 2] = header >> 16;
  return deliver(at, into);
}

/** Puts the literals together, and finds the codes of each sequence; gives how many literals there are. */
function gatherSequences(count: number, size: number): number {
  let from = 0;
  let gathered = 0;
  let recent0 = 1;
  let recent1 = 4;
  let recent2 = 8;
  lengthColumn.counts.fill(0);
  matchColumn.counts.fill(0);
  offsetColumn.counts.fill(0);
  for (let i = 0; i < count; i++) {
    const run = literalLengths[i] as number;
    const length = copyLengths[i] as number;
    const distance = distances[i] as number;
    gather(from, run, gathered);
    gathered += run;
    from += run + length;
    // RFC 8878, 3.1.1.5: values 1 to 3 mean a recent one; which of them it was is how many move down.
    let value = distance + 3;
    let moved = 2;
    if (run > 0) {
      if (distance === recent0) {
        value = 1;
        moved = 0;
      } else if (distance === recent1) {
        value = 2;
        moved = 1;
      } else if (distance === recent2) value = 3;
    } else if (distance === recent1) {
      value = 1;
      moved = 1;
    } else if (distance === recent2) value = 2;
    else if (distance === recent0 - 1) value = 3;
    if (moved > 0) {
      if (moved > 1) recent2 = recent1;
      recent1 = recent0;
      recent0 = distance;
    }
    offsetValues[i] = value;
    count1(lengthColumn, i, literalLengthCodes[run] as number);
    count1(matchColumn, i, matchLengthCodes[length] as number);
    count1(offsetColumn, i, 31 - Math.clz32(value));
  }
  gather(from, size - from, gathered);
  return gathered + size - from;
}

/** Copies literals by words, up to 3 bytes too many. */
function gather(from: number, run: number, to: number): void {
  for (let i = 0; i < run; i += 4) literalsView.setInt32(to + i, inputView.getInt32(from + i, true), true);
}

function count1(column: Column, i: number, code: number): void {
  column.codes[i] = code;
  column.counts[code] = (column.counts[code] as number) + 1;
}

/** Writes the sequences section (RFC 8878, 3.1.1.3.2); gives its end. */
function writeSequences(count: number, at: number): number {
  if (count < 128) {
    output[at++] = count;
  } else if (count < 0x7f00) {
    output[at++] = 128 + (count >> 8);
    output[at++] = count;
  } else {
    output[at] = 255;
    outputView.setUint16(at + 1, count - 0x7f00, true);
    at += 3;
  }
  if (count === 0) return at;
  const modes = at++;
  at = chooseTable(lengthColumn, count, at);
  at = chooseTable(offsetColumn, count, at);
  at = chooseTable(matchColumn, count, at);
  output[modes] = (lengthColumn.mode << 6) | (offsetColumn.mode << 4) | (matchColumn.mode << 2);
  return writeStream(count, at);
}

/** Takes the table that makes the column smallest, and writes its description where it has one; gives the end of that. */
function chooseTable(column: Column, count: number, at: number): number {
  const { counts, own, preset } = column;
  column.mode = 0;
  column.table = preset;
  const first = column.codes[0] as number;
  if (counts[first] === count) {
    if (count < 3) return at;
    column.mode = 1;
    column.table = single;
    output[at] = first;
    return at + 1;
  }
  if (count < FEW_SEQUENCES) return at;
  own.share(counts, count);
  const presetBits = preset.cost(counts);
  const ownBits = own.cost(counts);
  if (ownBits + LEAST_DESCRIPTION > presetBits) return at;
  writer.begin(at);
  own.describe(writer);
  const end = writer.end();
  if (ownBits + 8 * (end - at) >= presetBits) return at;
  own.build();
  column.mode = 2;
  column.table = own;
  return end;
}

function writeStream(count: number, at: number): number {
  const { codes: lengthCodes } = lengthColumn;
  const { codes: matchCodes } = matchColumn;
  const { codes: offsetCodes } = offsetColumn;
  const { states: lengthStates, widths: lengthWidths, places: lengthPlaces } = lengthColumn.table;
  const { states: matchStates, widths: matchWidths, places: matchPlaces } = matchColumn.table;
  const { states: offsetStates, widths: offsetWidths, places: offsetPlaces } = offsetColumn.table;
  const { bits: lengthBits, bases: lengthBases } = LITERAL_LENGTHS;
  const { bits: matchBits, bases: matchBases } = MATCH_LENGTHS;
  const last = count - 1;
  let lengthState = lengthColumn.table.first(lengthCodes[last] as number);
  let matchState = matchColumn.table.first(matchCodes[last] as number);
  let offsetState = offsetColumn.table.first(offsetCodes[last] as number);
  let buffer = 0;
  let held = 0;
  for (let i = last; i >= 0; i--) {
    const lengthCode = lengthCodes[i] as number;
    const matchCode = matchCodes[i] as number;
    const offsetCode = offsetCodes[i] as number;
    if (i !== last) {
      // At most 8 bits, then 9.
      let bits = (offsetState + (offsetWidths[offsetCode] as number)) >> 16;
      buffer |= (offsetState & ((1 << bits) - 1)) << held;
      held += bits;
      offsetState = offsetStates[(offsetState >> bits) + (offsetPlaces[offsetCode] as number)] as number;
      bits = (matchState + (matchWidths[matchCode] as number)) >> 16;
      buffer |= (matchState & ((1 << bits) - 1)) << held;
      held += bits;
      matchState = matchStates[(matchState >> bits) + (matchPlaces[matchCode] as number)] as number;
      outputView.setInt32(at, buffer, true);
      at += held >> 3;
      buffer >>>= held & 24;
      held &= 7;
      bits = (lengthState + (lengthWidths[lengthCode] as number)) >> 16;
      buffer |= (lengthState & ((1 << bits) - 1)) << held;
      held += bits;
      lengthState = lengthStates[(lengthState >> bits) + (lengthPlaces[lengthCode] as number)] as number;
    }
    // At most 9 bits, then 15.
    buffer |= ((literalLengths[i] as number) - (lengthBases[lengthCode] as number)) << held;
    held += lengthBits[lengthCode] as number;
    outputView.setInt32(at, buffer, true);
    at += held >> 3;
    buffer >>>= held & 24;
    held &= 7;
    buffer |= ((copyLengths[i] as number) - (matchBases[matchCode] as number)) << held;
    held += matchBits[matchCode] as number;
    if (held + offsetCode > 31) {
      outputView.setInt32(at, buffer, true);
      at += held >> 3;
      buffer >>>= held & 24;
      held &= 7;
    }
    buffer |= ((offsetValues[i] as number) - (1 << offsetCode)) << held;
    held += offsetCode;
    outputView.setInt32(at, buffer, true);
    at += held >> 3;
    buffer >>>= held & 24;
    held &= 7;
  }
  writer.begin(at);
  writer.put(buffer, held);
  writer.put(matchState & ((1 << matchColumn.table.log) - 1), matchColumn.table.log);
  writer.put(offsetState & ((1 << offsetColumn.table.log) - 1), offsetColumn.table.log);
  writer.put(lengthState & ((1 << lengthColumn.table.log) - 1), lengthColumn.table.log);
  return writer.endMarked();
}
