/**
 * Random-access output: the one seam through which exhume writes what is not text.
 * A file, a buffer, makedumpfile's flattened form around either.
 */
export interface ByteSink {
  /** What to call it in messages; usually the file name. */
  readonly name: string;
  /**
   * Puts bytes at an offset, in any order; what was written there before is replaced, and what is never written reads as
   * zeros (a hole, where the medium has them). The array may be used again once this returns.
   * Throws EXH_NO_SPACE when the medium is full, EXH_IO when it fails otherwise.
   */
  write(offset: number, bytes: Uint8Array): void;
  /**
   * Puts zeros at an offset, where nothing was written before: a hole, where the medium has holes.
   * Throws as `write`.
   */
  zeros(offset: number, size: number): void;
  /** Makes it at least `size` bytes long, so that it may end in a hole. Throws as `write`. */
  extend(size: number): void;
}

/** Output that only grows: a pipe, a socket. */
export interface AppendSink {
  /** What to call it in messages. */
  readonly name: string;
  /** Puts bytes behind those before. The array may be used again once this returns. Throws EXH_NO_SPACE or EXH_IO. */
  append(bytes: Uint8Array): void;
}

/** Keeps what is written in memory, growing as needed. */
export class MemorySink implements ByteSink, AppendSink {
  private buffer = new Uint8Array(4096);
  private length = 0;

  constructor(readonly name = 'memory') {}

  write(offset: number, bytes: Uint8Array): void {
    this.extend(offset + bytes.length);
    this.buffer.set(bytes, offset);
  }

  zeros(offset: number, size: number): void {
    this.extend(offset + size);
  }

  append(bytes: Uint8Array): void {
    this.write(this.length, bytes);
  }

  extend(size: number): void {
    if (size > this.buffer.length) {
      const bigger = new Uint8Array(Math.max(size, this.buffer.length * 2));
      bigger.set(this.buffer.subarray(0, this.length));
      this.buffer = bigger;
    }
    this.length = Math.max(this.length, size);
  }

  /** What was written so far; a part of the sink's own buffer. */
  get bytes(): Uint8Array {
    return this.buffer.subarray(0, this.length);
  }
}
