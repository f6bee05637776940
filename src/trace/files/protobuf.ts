const VARINT = 0;
const BYTES = 2;

/** Writes one Protocol Buffers message, field by field (protobuf.dev, "Encoding"). */
export class ProtobufWriter {
  private buffer = new Uint8Array(1024);
  length = 0;

  /** What was put so far: a part of the writer's own buffer, until it grows. */
  get bytes(): Uint8Array {
    return this.buffer.subarray(0, this.length);
  }

  clear(): this {
    this.length = 0;
    return this;
  }

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

  /** Makes room and gives its place; the buffer may be another one afterwards. */
  private grow(size: number): number {
    const at = this.length;
    this.length += size;
    if (this.length > this.buffer.length) {
      const bigger = new Uint8Array(Math.max(this.length, this.buffer.length * 2));
      bigger.set(this.buffer.subarray(0, at));
      this.buffer = bigger;
    }
    return at;
  }
}

const encoder = new TextEncoder();
