import type { ByteSource } from '../../bytes/byte-source.js';
import { ExhumeError } from '../../bytes/errors.js';
import { viewOf } from '../../bytes/struct-table.js';

const WINDOW = 1024 * 1024;
const decoder = new TextDecoder('latin1');

/** Reads a migration stream from front to back; all numbers are big-endian (QEMU migration/qemu-file.c). */
export class StreamReader {
  private readonly window = new Uint8Array(WINDOW);
  private readonly view = viewOf(this.window);
  private windowAt = 0;
  private windowSize = 0;

  constructor(
    private readonly source: ByteSource,
    /** Where the next byte is, in the source. */
    public position: number,
  ) {}

  get left(): number {
    return this.source.size - this.position;
  }

  u8(): number {
    return this.view.getUint8(this.take(1));
  }

  u16(): number {
    return this.view.getUint16(this.take(2));
  }

  u32(): number {
    return this.view.getUint32(this.take(4));
  }

  /** As a number; what is 2^53 or more comes out as Infinity, which no bound lets pass. */
  u64(): number {
    const value = this.view.getBigUint64(this.take(8));
    return value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : Number.POSITIVE_INFINITY;
  }

  /** A string behind its length in one byte. */
  string(): string {
    const length = this.u8();
    const at = this.take(length);
    return decoder.decode(this.window.subarray(at, at + length));
  }

  /** Goes on behind so many bytes. Throws EXH_TRUNCATED where the source ends before. */
  skip(bytes: number): void {
    if (!(bytes <= this.left)) throw this.ended();
    this.position += bytes;
  }

  /** Where so many bytes lie in the window, which is moved there if need be; they count as read. */
  private take(bytes: number): number {
    let at = this.position - this.windowAt;
    if (at < 0 || at + bytes > this.windowSize) {
      this.windowAt = this.position;
      this.windowSize = this.source.read(this.position, this.window);
      at = 0;
      if (bytes > this.windowSize) throw this.ended();
    }
    this.position += bytes;
    return at;
  }

  private ended(): ExhumeError {
    return new ExhumeError(
      'EXH_TRUNCATED',
      `${this.source.name} ends at ${this.source.size}, in the middle of a record`,
      {
        file: this.source.name,
        offset: this.position,
      },
    );
  }
}
