import { GrowingBytes } from '../../bytes/growing-bytes.js';

const VARINT = 0;
const BYTES = 2;

/** Writes one Protocol Buffers message, field by field (protobuf.dev, "Encoding"). */
export class ProtobufWriter extends GrowingBytes {
  /** An integer: int32, int64, uint64, bool, enum. Negative ones are written as 64 bits. */
  integer(field: number, value: number | bigint): this {
    this.varint(field * 8 + VARINT);
    if (typeof value === 'number' && value >= 0) this.varint(value);
    else this.wide(BigInt.asUintN(64, BigInt(value)));
    return this;
  }

  /** UTF-8. */
  string(field: number, text: string): this {
    this.varint(field * 8 + BYTES);
    let ascii = true;
    for (let index = 0; index < text.length && ascii; index++) ascii = text.charCodeAt(index) < 0x80;
    if (!ascii) return this.raw(encoder.encode(text));
    this.varint(text.length);
    const at = this.grow(text.length);
    for (let index = 0; index < text.length; index++) this.buffer[at + index] = text.charCodeAt(index);
    return this;
  }

  /** A message within, or bytes. */
  message(field: number, bytes: Uint8Array): this {
    this.varint(field * 8 + BYTES);
    return this.raw(bytes);
  }

  private raw(bytes: Uint8Array): this {
    this.varint(bytes.length);
    const at = this.grow(bytes.length);
    this.buffer.set(bytes, at);
    return this;
  }

  /** Of a number from 0 up to 2^53. */
  private varint(value: number): void {
    let at = this.grow(8);
    while (value >= 0x80) {
      this.buffer[at++] = (value % 0x80) | 0x80;
      value = Math.floor(value / 0x80);
    }
    this.buffer[at++] = value;
    this.length = at;
  }

  private wide(value: bigint): void {
    let at = this.grow(10);
    for (; value >= 0x80n; value >>= 7n) this.buffer[at++] = Number(value & 0x7fn) | 0x80;
    this.buffer[at++] = Number(value);
    this.length = at;
  }
}

const encoder = new TextEncoder();
