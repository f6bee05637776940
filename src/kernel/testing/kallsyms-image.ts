import { viewOf } from '../../bytes/struct-table.js';
import type { KallsymsEncoding } from '../kallsyms.js';

/** A symbol to lay out; addresses ascend, as in a kernel. */
export interface LaidOutSymbol {
  readonly name: string;
  readonly type: string;
  readonly address: bigint;
}

export interface ImageOptions {
  /** The tables' order: `old` is to 6.3, `new` from 6.4 (scripts/kallsyms.c). */
  readonly order: 'old' | 'new';
  readonly encoding: KallsymsEncoding;
  /** Virtual address of the image's first byte. */
  readonly start: bigint;
  /** What offsets count from, where the encoding has a base. */
  readonly relativeBase: bigint;
  /** Kernels before 4.20 had 8-byte markers. */
  readonly markerBytes?: 4 | 8;
  /** `kallsyms_seqs_of_names`, since 6.2: three bytes a symbol. */
  readonly sequences?: boolean;
  /** What each table begins at a multiple of: 4 since 7.0, by default 8. */
  readonly alignment?: 4 | 8;
  /** Where the first one begins, in bytes behind a page's beginning. */
  readonly begin?: number;
}

/** Bytes before and after the tables, so that nothing lies at the edge of the image. */
const MARGIN = 4096;

/**
 * Lays kallsyms tables out as scripts/kallsyms.c does, in each order and encoding that kernels have had.
 * The tokens are the characters themselves and a few pairs, which is all that the format asks for.
 */
export function kallsymsImage(symbols: readonly LaidOutSymbol[], options: ImageOptions): Uint8Array {
  const tokens = tokenStrings();
  const names = symbols.map(({ name, type }) => compress(type + name, tokens));
  const nameBytes = Uint8Array.from(names.flatMap((bytes) => [...lengthPrefix(bytes.length), ...bytes]));
  const wide = options.encoding === 'absolute' ? 8 : 4;
  const based = options.encoding === 'absolute-percpu' || options.encoding === 'base-relative';
  const sequences = new Uint8Array(options.sequences === true ? symbols.length * 3 : 0).map((_, i) => (i * 37) & 0xff);
  const token = tokenBytes(tokens);
  const head = [count(symbols.length), nameBytes, markers(names, options.markerBytes ?? 4)];
  const tail = [token.table, token.index];
  const offsets = new Uint8Array(symbols.length * wide);
  const base = based ? [u64(options.relativeBase)] : [];
  const parts =
    options.order === 'old'
      ? [offsets, ...base, ...head, sequences, ...tail]
      : [...head, ...tail, offsets, ...base, sequences];
  const { alignment = 8, begin = 0 } = options;
  const aligned = (length: number): number => Math.ceil(length / alignment) * alignment;
  const image = new Uint8Array(2 * MARGIN + parts.reduce((sum, part) => sum + aligned(part.length), 0));
  let at = MARGIN + begin;
  let offsetsAt = 0;
  for (const part of parts) {
    if (part === offsets) offsetsAt = at;
    image.set(part, at);
    at += aligned(part.length);
  }
  writeOffsets(viewOf(image), offsetsAt, symbols, options);
  return image;
}

function writeOffsets(view: DataView, at: number, symbols: readonly LaidOutSymbol[], options: ImageOptions): void {
  symbols.forEach(({ address }, index) => {
    switch (options.encoding) {
      case 'absolute':
        view.setBigUint64(at + index * 8, address, true);
        break;
      case 'base-relative':
        view.setUint32(at + index * 4, Number(address - options.relativeBase), true);
        break;
      case 'place-relative':
        view.setInt32(at + index * 4, Number(address - (options.start + BigInt(at + index * 4))), true);
        break;
      case 'absolute-percpu': {
        const absolute = address < 1n << 31n;
        view.setInt32(at + index * 4, Number(absolute ? address : options.relativeBase - 1n - address), true);
      }
    }
  });
}

/** Every character stands for itself; the codes that no name uses stand for pairs that are frequent. */
function tokenStrings(): string[] {
  const pairs = ['__', 'in', 'er', 'st', 'et', 're', 'on', 'at', 'de', 'it', 'tr', 'ac'];
  return Array.from(
    { length: 256 },
    (_, code) => (code >= 0x80 ? pairs[code - 0x80] : undefined) ?? String.fromCharCode(code || 1),
  );
}

function compress(text: string, tokens: readonly string[]): number[] {
  const bytes: number[] = [];
  for (let at = 0; at < text.length; ) {
    const pair = tokens.indexOf(text.slice(at, at + 2), 0x80);
    if (pair >= 0 && at + 2 <= text.length && tokens[pair]?.length === 2) {
      bytes.push(pair);
      at += 2;
    } else {
      bytes.push(text.charCodeAt(at));
      at += 1;
    }
  }
  return bytes;
}

function lengthPrefix(length: number): number[] {
  return length < 0x80 ? [length] : [(length & 0x7f) | 0x80, length >> 7];
}

function tokenBytes(tokens: readonly string[]): { table: Uint8Array; index: Uint8Array } {
  const table: number[] = [];
  const index = new Uint8Array(512);
  tokens.forEach((token, code) => {
    viewOf(index).setUint16(code * 2, table.length, true);
    for (const character of token) table.push(character.charCodeAt(0));
    table.push(0);
  });
  return { table: Uint8Array.from(table), index };
}

function markers(names: readonly (readonly number[])[], bytes: 4 | 8): Uint8Array {
  const table = new Uint8Array(Math.ceil(names.length / 256) * bytes);
  let at = 0;
  names.forEach((name, index) => {
    if (index % 256 === 0) viewOf(table).setUint32((index / 256) * bytes, at, true);
    at += name.length + lengthPrefix(name.length).length;
  });
  return table;
}

function count(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  viewOf(bytes).setUint32(0, value, true);
  return bytes;
}

function u64(value: bigint): Uint8Array {
  const bytes = new Uint8Array(8);
  viewOf(bytes).setBigUint64(0, value, true);
  return bytes;
}
