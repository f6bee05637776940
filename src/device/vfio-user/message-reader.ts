import { ExhumeError } from '../../bytes/errors.js';
import { viewOf } from '../../bytes/struct-table.js';
import { HEADER, MOST_MESSAGE } from './protocol.js';

/** A message: its header's fields, and what follows the header. */
export interface Message {
  readonly id: number;
  readonly command: number;
  readonly flags: number;
  readonly errno: number;
  readonly body: Uint8Array;
}

/** Cuts what comes out of a socket, in chunks of any size, into messages. */
export class MessageReader {
  private buffer = new Uint8Array(4096);
  private filled = 0;

  /** The messages that this chunk completes. Throws EXH_DEVICE_PROTOCOL when no message can have such a size. */
  push(chunk: Uint8Array): Message[] {
    this.append(chunk);
    const messages: Message[] = [];
    let at = 0;
    while (this.filled - at >= HEADER.size) {
      const { id, command, size, flags, errno } = HEADER.read(viewOf(this.buffer), at);
      if (size < HEADER.size || size > MOST_MESSAGE) {
        throw new ExhumeError('EXH_DEVICE_PROTOCOL', `vfio-user: a message of ${size} bytes`, { found: size });
      }
      if (this.filled - at < size) break;
      messages.push({ id, command, flags, errno, body: this.buffer.slice(at + HEADER.size, at + size) });
      at += size;
    }
    this.buffer.copyWithin(0, at, this.filled);
    this.filled -= at;
    return messages;
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

/** A whole message, to be written at once: QEMU does not wait for the rest of one. */
export function encodeMessage(message: Message): Uint8Array {
  const { body, ...header } = message;
  const bytes = new Uint8Array(HEADER.size + body.length);
  HEADER.write(viewOf(bytes), 0, { ...header, size: bytes.length });
  bytes.set(body, HEADER.size);
  return bytes;
}
