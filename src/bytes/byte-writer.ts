import { GrowingBytes } from './growing-bytes.js';

/** Bytes that grow as numbers and texts are put behind each other, in one byte order. */
export class ByteWriter extends GrowingBytes {
  private view = new DataView(this.buffer.buffer);

  constructor(private readonly littleEndian = true) {
    super();
  }

  u8(value: number): this {
    const at = this.grow(1);
    this.view.setUint8(at, value);
    return this;
  }

  u16(value: number): this {
    const at = this.grow(2);
    this.view.setUint16(at, value, this.littleEndian);
    return this;
  }

  u32(value: number): this {
    const at = this.grow(4);
    this.view.setUint32(at, value, this.littleEndian);
    return this;
  }

  u64(value: number | bigint): this {
    const at = this.grow(8);
    this.view.setBigUint64(at, BigInt(value), this.littleEndian);
    return this;
  }

  put(bytes: Uint8Array): this {
    const at = this.grow(bytes.length);
    this.buffer.set(bytes, at);
    return this;
  }

  /** As UTF-8. */
  text(text: string): this {
    return this.put(encoder.encode(text));
  }

  /** As UTF-8, with a NUL behind. */
  string(text: string): this {
    return this.text(text).u8(0);
  }

  /** Zeros up to the next multiple of so many bytes. */
  align(unit: number): this {
    const length = Math.ceil(this.length / unit) * unit - this.length;
    const at = this.grow(length);
    this.buffer.fill(0, at, at + length);
    return this;
  }

  protected override grow(size: number): number {
    const at = super.grow(size);
    if (this.view.buffer !== this.buffer.buffer) this.view = new DataView(this.buffer.buffer);
    return at;
  }
}

const encoder = new TextEncoder();
