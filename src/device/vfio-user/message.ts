import { ExhumeError } from '../../bytes/errors.js';
import { viewOf } from '../../bytes/struct-table.js';
import type { Framing } from '../frames.js';
import { HEADER, MOST_MESSAGE } from './protocol.js';

/** A message: its header's fields, and what follows the header. */
export interface Message {
  readonly id: number;
  readonly command: number;
  readonly flags: number;
  readonly errno: number;
  readonly body: Uint8Array;
}

export const FRAMING: Framing = {
  headerSize: HEADER.size,
  lengthOf(header) {
    const { size } = HEADER.read(header);
    if (size >= HEADER.size && size <= MOST_MESSAGE) return size;
    throw new ExhumeError('EXH_DEVICE_PROTOCOL', `vfio-user: a message of ${size} bytes`, { found: size });
  },
};

/** A whole message out of its bytes. */
export function decodeMessage(bytes: Uint8Array): Message {
  const { id, command, flags, errno } = HEADER.read(viewOf(bytes));
  return { id, command, flags, errno, body: bytes.subarray(HEADER.size) };
}

/** A whole message, to be written at once: QEMU does not wait for the rest of one. */
export function encodeMessage(message: Message): Uint8Array {
  const { body, ...header } = message;
  const bytes = new Uint8Array(HEADER.size + body.length);
  HEADER.write(viewOf(bytes), 0, { ...header, size: bytes.length });
  bytes.set(body, HEADER.size);
  return bytes;
}
