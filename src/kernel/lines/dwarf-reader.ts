import { ExhumeError } from '../../bytes/errors.js';
import { viewOf } from '../../bytes/struct-table.js';

/** Reads the primitive values of DWARF (DWARF 5, 7.6) out of bytes, and throws EXH_BAD_STRUCTURE at their end. */
export class DwarfReader {
  private readonly view: DataView;

  constructor(
    readonly bytes: Uint8Array,
    readonly littleEndian: boolean,
    public at = 0,
  ) {
    this.view = viewOf(bytes);
  }

  u8(): number {
    const value = this.bytes[this.at];
    if (value === undefined) throw ended();
    this.at++;
    return value;
  }

  i8(): number {
    return (this.u8() << 24) >> 24;
  }

  u16(): number {
    return this.view.getUint16(this.take(2), this.littleEndian);
  }

  u32(): number {
    return this.view.getUint32(this.take(4), this.littleEndian);
  }

  /** As a number: only the first 53 bits of larger ones are kept. */
  u64(): number {
    return Number(this.view.getBigUint64(this.take(8), this.littleEndian));
  }

  /** An offset into a section: 4 bytes in 32-bit DWARF, 8 in 64-bit DWARF. */
  offset(size: 4 | 8): number {
    return size === 8 ? this.u64() : this.u32();
  }

  /** LEB128, unsigned; exact below 2^53. */
  uleb(): number {
    let value = 0;
    let scale = 1;
    for (;;) {
      const byte = this.u8();
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
      scale *= 128;
    }
  }

  /** LEB128, signed; exact to 53 bits. */
  sleb(): number {
    let value = 0;
    let scale = 1;
    for (;;) {
      const byte = this.u8();
      value += (byte & 0x7f) * scale;
      scale *= 128;
      if (byte < 0x80) return (byte & 0x40) === 0 ? value : value - scale;
    }
  }

  skip(size: number): void {
    this.take(size);
  }

  /** Text up to its NUL. */
  text(): string {
    const end = this.bytes.indexOf(0, this.at);
    if (end < 0) throw ended();
    const text = decoder.decode(this.bytes.subarray(this.at, end));
    this.at = end + 1;
    return text;
  }

  private take(size: number): number {
    const at = this.at;
    if (!(size <= this.bytes.length - at)) throw ended();
    this.at = at + size;
    return at;
  }
}

const decoder = new TextDecoder();

function ended(): ExhumeError {
  return new ExhumeError('EXH_BAD_STRUCTURE', 'the line table ends inside one of its values');
}
