/** Bytes that grow as something is put behind them. */
export class GrowingBytes {
  protected buffer = new Uint8Array(1024);
  length = 0;

  /** What was put so far: a part of its own buffer, until that grows. */
  get bytes(): Uint8Array {
    return this.buffer.subarray(0, this.length);
  }

  /** What is put next stands at the front. */
  clear(): this {
    this.length = 0;
    return this;
  }

  /** Makes room for so many bytes and gives their place; the buffer may be another one afterwards. */
  protected grow(size: number): number {
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
