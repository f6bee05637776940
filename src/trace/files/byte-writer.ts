/** Bytes that grow as numbers and texts are put behind each other, in one byte order. */
export class ByteWriter {
  private buffer = new Uint8Array(1024);
  private view = new DataView(this.buffer.buffer);
  length = 0;

  constructor(private readonly littleEndian = true) {}

  /** What was put so far: a part of the writer's own buffer, until it grows. */
  get bytes(): Uint8Array {
    return this.buffer.subarray(0, this.length);
  }

  clear(): void {
    this.length = 0;
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

  /** Makes room and gives its place, which the caller fills; the buffer may be another one afterwards. */
  private grow(size: number): number {
    const at = this.length;
    this.length += size;
    if (this.length > this.buffer.length) {
      const bigger = new Uint8Array(Math.max(this.length, this.buffer.length * 2));
      bigger.set(this.buffer.subarray(0, at));
      this.buffer = bigger;
      this.view = new DataView(bigger.buffer);
    }
    return at;
  }
}

const encoder = new TextEncoder();
