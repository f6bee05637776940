import { type ByteSource, readExactly, readUpTo } from '../../bytes/byte-source.js';
import { ExhumeError } from '../../bytes/errors.js';
import { viewOf } from '../../bytes/struct-table.js';

/** So many bytes are looked at for the end of a string. */
const LONGEST_STRING = 4096;

/** Reads numbers and texts one behind the other. Throws EXH_TRUNCATED where the source ends before. */
export class ByteReader {
  constructor(
    readonly source: ByteSource,
    readonly littleEndian: boolean,
    /** Of the next byte. */
    public at = 0,
  ) {}

  get left(): number {
    return this.source.size - this.at;
  }

  bytes(length: number, what: string): Uint8Array {
    const bytes = readExactly(this.source, this.at, length, what);
    this.at += length;
    return bytes;
  }

  u16(what: string): number {
    return viewOf(this.bytes(2, what)).getUint16(0, this.littleEndian);
  }

  u32(what: string): number {
    return viewOf(this.bytes(4, what)).getUint32(0, this.littleEndian);
  }

  /** Throws EXH_BAD_HEADER above 2^53. */
  u64(what: string): number {
    const at = this.at;
    const value = viewOf(this.bytes(8, what)).getBigUint64(0, this.littleEndian);
    if (value > BigInt(Number.MAX_SAFE_INTEGER)) {
      const { name } = this.source;
      throw new ExhumeError('EXH_BAD_HEADER', `${name}: ${what} at ${at} is ${value}`, {
        file: name,
        offset: at,
        found: value,
      });
    }
    return Number(value);
  }

  /** A text with a NUL behind. Throws EXH_BAD_HEADER when there is none near. */
  string(what: string): string {
    const { source, at } = this;
    const bytes = readUpTo(source, at, LONGEST_STRING);
    const end = bytes.indexOf(0);
    if (end < 0) {
      throw new ExhumeError('EXH_BAD_HEADER', `${source.name}: ${what} at ${at} does not end`, {
        file: source.name,
        offset: at,
      });
    }
    this.at += end + 1;
    return new TextDecoder().decode(bytes.subarray(0, end));
  }

  /** A text of a length that stands before it. */
  text(length: number, what: string): string {
    return new TextDecoder().decode(this.bytes(length, what));
  }
}
