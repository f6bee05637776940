import { findAll } from '../bytes/search.js';
import { viewOf } from '../bytes/struct-table.js';

/** What is looked for. */
export type Pattern =
  /** Numbers of a width, at addresses that are multiples of it; bits in the mask do not count. */
  | { readonly kind: 'values'; readonly width: 2 | 4 | 8; readonly values: readonly bigint[]; readonly mask: bigint }
  /** Bytes, at any address. */
  | { readonly kind: 'bytes'; readonly texts: readonly Uint8Array[] };

/** A place where one of them stands. */
export interface Match {
  /** Bytes from the start of what was searched. */
  readonly offset: number;
  /** Index of the value or text. */
  readonly which: number;
}

/** Looks for a pattern in pieces of memory that are given one after another. */
export class Searcher {
  private readonly numbers: Int32Array;
  private readonly overlap: number;
  private carried = new Uint8Array(0);
  private carriedTo = Number.NaN;

  constructor(
    private readonly pattern: Pattern,
    private readonly littleEndian: boolean,
  ) {
    const texts = pattern.kind === 'bytes' ? pattern.texts : [];
    this.overlap = Math.max(0, ...texts.map((text) => text.length - 1));
    const values = pattern.kind === 'values' ? pattern.values : [];
    const mask = pattern.kind === 'values' ? pattern.mask : 0n;
    this.numbers = Int32Array.from(
      values.flatMap((value) => [
        Number(BigInt.asIntN(32, value & ~mask)),
        Number(BigInt.asIntN(32, (value & ~mask) >> 32n)),
      ]),
    );
  }

  /**
   * The matches in a piece that begins at `position`. Of pieces that follow each other without a gap, texts are also
   * found where they cross from one into the next.
   */
  *find(piece: Uint8Array, position: number): Generator<Match> {
    const { pattern } = this;
    if (pattern.kind === 'values') {
      if (pattern.width === 8) yield* this.find64(viewOf(piece), position, pattern.mask);
      else yield* this.findNarrow(viewOf(piece), position, pattern.width, pattern.mask);
      return;
    }
    const joined = this.carriedTo === position && this.carried.length > 0;
    const before = joined ? this.carried.length : 0;
    let bytes = piece;
    if (joined) {
      bytes = new Uint8Array(before + piece.length);
      bytes.set(this.carried);
      bytes.set(piece, before);
    }
    for (const [which, text] of pattern.texts.entries()) {
      for (const at of findAll(bytes, text, Math.max(0, before - text.length + 1))) {
        yield { offset: position - before + at, which };
      }
    }
    this.carried = piece.slice(Math.max(0, piece.length - this.overlap));
    this.carriedTo = position + piece.length;
  }

  private *find64(view: DataView, position: number, mask: bigint): Generator<Match> {
    const { numbers, littleEndian } = this;
    const low = Number(BigInt.asIntN(32, ~mask));
    const high = Number(BigInt.asIntN(32, ~mask >> 32n));
    const lowAt = littleEndian ? 0 : 4;
    for (let at = (8 - (position & 7)) & 7; at + 8 <= view.byteLength; at += 8) {
      const first = view.getInt32(at + lowAt, littleEndian) & low;
      for (let index = 0; index < numbers.length; index += 2) {
        if (first !== numbers[index]) continue;
        if ((view.getInt32(at + 4 - lowAt, littleEndian) & high) !== numbers[index + 1]) continue;
        yield { offset: position + at, which: index >> 1 };
      }
    }
  }

  private *findNarrow(view: DataView, position: number, width: 2 | 4, mask: bigint): Generator<Match> {
    const { numbers, littleEndian } = this;
    const kept = Number(BigInt.asIntN(32, ~mask)) & (width === 2 ? 0xffff : -1);
    for (let at = (width - (position % width)) % width; at + width <= view.byteLength; at += width) {
      const value = (width === 2 ? view.getUint16(at, littleEndian) : view.getInt32(at, littleEndian)) & kept;
      for (let index = 0; index < numbers.length; index += 2) {
        if (value === numbers[index]) yield { offset: position + at, which: index >> 1 };
      }
    }
  }
}
