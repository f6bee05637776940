import { ExhumeError } from '../bytes/errors.js';
import { viewOf } from '../bytes/struct-table.js';
import { KallsymsOrder } from './kallsyms-order.js';

/** The name tables as they stand in the kernel image; scripts/kallsyms.c. */
export interface KallsymsNameTables {
  readonly count: number;
  /** Length-prefixed compressed names; may run on past the last one. */
  readonly names: Uint8Array;
  /** 256 NUL-terminated strings. */
  readonly tokenTable: Uint8Array;
  /** u16[256]: where each token begins in `tokenTable`. */
  readonly tokenIndex: Uint8Array;
  /** `kallsyms_seqs_of_names` where the kernel has it, or what may be that. */
  readonly sequences?: Uint8Array | undefined;
  readonly littleEndian: boolean;
}

/** A name is at most KSYM_NAME_LEN (512) bytes; anything longer is not a table of names. */
const LONGEST_NAME = 1024;

/** Compressed symbol names: by number, and by name: in the kernel's own order of names, or through fingerprints. */
export class KallsymsNames {
  readonly count: number;
  private readonly names: Uint8Array;
  /** Where each name's length prefix lies in `names`. */
  private readonly offsets: Uint32Array;
  private readonly tokenBytes: Uint8Array;
  /** Token t is `tokenBytes[tokenStarts[t] … tokenEnds[t])`. */
  private readonly tokenStarts = new Uint16Array(256);
  private readonly tokenEnds = new Uint16Array(256);
  private readonly order: KallsymsOrder | undefined;
  /** Of kernels without that order; taken on first use. */
  private fingerprints: Uint32Array | undefined;

  /** Throws EXH_BAD_STRUCTURE when the names or tokens do not parse. */
  constructor(tables: KallsymsNameTables) {
    this.count = tables.count;
    this.names = tables.names;
    this.tokenBytes = tables.tokenTable;
    this.indexTokens(viewOf(tables.tokenIndex), tables.littleEndian);
    this.offsets = indexNames(tables.names, tables.count);
    this.order = tables.sequences && KallsymsOrder.of(this, tables.sequences);
  }

  /** The type letter followed by the name. */
  expand(index: number): string {
    const { start, end } = this.span(index);
    const codes: number[] = [];
    for (let at = start; at < end; at++) {
      const token = this.names[at] ?? 0;
      const tokenEnd = this.tokenEnds[token] ?? 0;
      for (let i = this.tokenStarts[token] ?? 0; i < tokenEnd; i++) codes.push(this.tokenBytes[i] ?? 0);
    }
    return String.fromCharCode(...codes);
  }

  /** The numbers of all symbols of this name, in the order of the table. */
  *indexesOf(name: string): Generator<number> {
    const wanted = new TextEncoder().encode(name);
    if (wanted.length === 0) return;
    if (this.order !== undefined) {
      yield* this.order.indexesOf(wanted);
      return;
    }
    this.fingerprints ??= this.takeFingerprints();
    const { length } = wanted;
    const fingerprint = fingerprintOf(length, wanted[0], wanted[length - 1], wanted[length - 2]);
    let index = this.fingerprints.indexOf(fingerprint);
    while (index >= 0) {
      if (this.compare(index, wanted) === 0) yield index;
      index = this.fingerprints.indexOf(fingerprint, index + 1);
    }
  }

  /** Where the compressed bytes of a name lie in `names`. */
  private span(index: number): { start: number; end: number } {
    const at = this.offsets[index] ?? 0;
    const first = this.names[at] ?? 0;
    if (first < 0x80) return { start: at + 1, end: at + 1 + first };
    const length = (first & 0x7f) | ((this.names[at + 1] ?? 0) << 7);
    return { start: at + 2, end: at + 2 + length };
  }

  /** How a symbol's name stands to another one, as strcmp() has it: below 0 before it, 0 the same, above 0 after it. */
  compare(index: number, other: Uint8Array): number {
    const { start, end } = this.span(index);
    let position = -1; // the type letter is not part of the name
    for (let at = start; at < end; at++) {
      const token = this.names[at] ?? 0;
      const tokenEnd = this.tokenEnds[token] ?? 0;
      for (let i = this.tokenStarts[token] ?? 0; i < tokenEnd; i++, position++) {
        if (position < 0) continue;
        const difference = (this.tokenBytes[i] ?? 0) - (other[position] ?? 0);
        if (difference !== 0) return difference;
      }
    }
    return position === other.length ? 0 : -1;
  }

  /**
   * The length and three characters of every name. They leave a few candidates of 200,000, and can be had without
   * expanding the names: hashing all of them would be half the time of a report.
   */
  private takeFingerprints(): Uint32Array {
    const { names, tokenBytes, tokenStarts, tokenEnds } = this;
    const fingerprints = new Uint32Array(this.count);
    for (let index = 0; index < this.count; index++) {
      const { start, end } = this.span(index);
      let length = -1; // the type letter is not part of the name
      for (let at = start; at < end; at++) {
        const token = names[at] ?? 0;
        length += (tokenEnds[token] ?? 0) - (tokenStarts[token] ?? 0);
      }
      const first = names[start] ?? 0;
      const afterType = (tokenStarts[first] ?? 0) + 1;
      const second = names[start + 1] ?? 0;
      const firstAt = afterType < (tokenEnds[first] ?? 0) ? afterType : (tokenStarts[second] ?? 0);
      const last = names[end - 1] ?? 0;
      const lastAt = (tokenEnds[last] ?? 0) - 1;
      const before = names[end - 2] ?? 0;
      const beforeAt = lastAt > (tokenStarts[last] ?? 0) ? lastAt - 1 : (tokenEnds[before] ?? 0) - 1;
      fingerprints[index] = fingerprintOf(length, tokenBytes[firstAt], tokenBytes[lastAt], tokenBytes[beforeAt]);
    }
    return fingerprints;
  }

  private indexTokens(index: DataView, littleEndian: boolean): void {
    if (index.byteLength < 512) throw badTable('kallsyms_token_index is shorter than 512 bytes');
    for (let token = 0; token < 256; token++) {
      const start = index.getUint16(token * 2, littleEndian);
      const end = this.tokenBytes.indexOf(0, start);
      if (end <= start) throw badTable(`token ${token} is empty, or does not end inside kallsyms_token_table`);
      this.tokenStarts[token] = start;
      this.tokenEnds[token] = end;
    }
  }
}

function fingerprintOf(length: number, first = 0, last = 0, beforeLast = 0): number {
  // A name of one character has nothing before its last but the type letter.
  return (((length & 0xff) << 24) | (first << 16) | (last << 8) | (length > 1 ? beforeLast : 0)) >>> 0;
}

/** Where each name's length prefix lies: ULEB128 of one or two bytes ("big" names, since 6.1). */
function indexNames(names: Uint8Array, count: number): Uint32Array {
  // A name takes two bytes at the least, so a count from a damaged image cannot make this array large.
  if (count <= 0 || count * 2 > names.length) {
    throw badTable(`${count} symbols do not fit in ${names.length} bytes of names`);
  }
  const offsets = new Uint32Array(count);
  let at = 0;
  for (let index = 0; index < count; index++) {
    offsets[index] = at;
    const next = nextName(names, at);
    if (next === undefined) throw badTable(`the name of symbol ${index} of ${count} is not one`);
    at = next;
  }
  return offsets;
}

/** The offset of the name after the one at `at`; undefined when there is none that could be a symbol's. */
export function nextName(names: Uint8Array, at: number): number | undefined {
  const first = names[at];
  if (first === undefined || first === 0) return undefined;
  if (first < 0x80) return at + 1 + first <= names.length ? at + 1 + first : undefined;
  const length = (first & 0x7f) | ((names[at + 1] ?? 0) << 7);
  if (length < 0x80 || length > LONGEST_NAME) return undefined;
  return at + 2 + length <= names.length ? at + 2 + length : undefined;
}

/** The error for a kallsyms table that does not parse. */
export function badTable(reason: string): ExhumeError {
  return new ExhumeError('EXH_BAD_STRUCTURE', `kallsyms: ${reason}`, {
    hint: 'the page tables or VMCOREINFO may belong to another kernel: see the evidence that `exhume info` lists',
  });
}
