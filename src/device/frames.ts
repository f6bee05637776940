import { viewOf } from '../bytes/struct-table.js';

/** How long the messages of a protocol are. */
export interface Framing {
  readonly headerSize: number;
  /** The length of the whole message, by its header. Throws EXH_DEVICE_PROTOCOL when no message can have such a length. */
  lengthOf(header: DataView): number;
}

/** Cuts what comes out of a socket, in chunks of any size, into messages: each with its header. */
export class FrameReader {
  private buffer = new Uint8Array(4096);
  private filled = 0;

  constructor(private readonly framing: Framing) {}

  /** How many bytes the message lacks that is coming, as far as is known. */
  get wants(): number {
    const { headerSize, lengthOf } = this.framing;
    return (this.filled < headerSize ? headerSize : lengthOf(viewOf(this.buffer))) - this.filled;
  }

  /** The messages that this chunk completes. Throws EXH_DEVICE_PROTOCOL. */
  push(chunk: Uint8Array): Uint8Array[] {
    this.append(chunk);
    const { headerSize, lengthOf } = this.framing;
    const frames: Uint8Array[] = [];
    let at = 0;
    while (this.filled - at >= headerSize) {
      const length = lengthOf(viewOf(this.buffer.subarray(at, at + headerSize)));
      if (this.filled - at < length) break;
      frames.push(this.buffer.slice(at, at + length));
      at += length;
    }
    this.buffer.copyWithin(0, at, this.filled);
    this.filled -= at;
    return frames;
  }

  private append(chunk: Uint8Array): void {
    const needed = this.filled + chunk.length;
    if (needed > this.buffer.length) {
      const larger = new Uint8Array(Math.max(needed, 2 * this.buffer.length));
      larger.set(this.buffer.subarray(0, this.filled));
      this.buffer = larger;
    }
    this.buffer.set(chunk, this.filled);
    this.filled = needed;
  }
}
