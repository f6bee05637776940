import { inflateSync, unzlibSync } from 'fflate';
import { messageOf } from '../bytes/errors.js';
import { codecError, type Decoder } from './codec.js';

/**
 * A zlib stream (RFC 1950), as in a kdump page with flag 0x1 (makedumpfile -c, QEMU kdump-zlib).
 * The checksum at its end is checked: fflate itself does not.
 */
export const decodeZlib: Decoder = (compressed, into) => {
  if (compressed.length < 6) throw codecError('zlib', `${compressed.length} bytes are too few for a stream`);
  inflateInto(into, (out) => unzlibSync(compressed, { out }));
  const stored = checksumAtEnd(compressed);
  const computed = adler32(into);
  if (stored !== computed) throw codecError('zlib', 'wrong checksum', { expected: stored, found: computed });
};

/** A deflate stream by itself (RFC 1951), with neither header nor checksum: `deflate` of zram. */
export const decodeDeflate: Decoder = (compressed, into) => {
  inflateInto(into, (out) => inflateSync(compressed, { out }));
};

function inflateInto(into: Uint8Array, inflate: (out: Uint8Array) => Uint8Array): void {
  // One byte more than expected, so that too long an answer shows; fflate drops what does not fit.
  const output = new Uint8Array(into.length + 1);
  let made: number;
  try {
    made = inflate(output).length;
  } catch (error) {
    throw codecError('zlib', messageOf(error));
  }
  if (made !== into.length) {
    const found = made > into.length ? `more than ${into.length}` : made;
    throw codecError('zlib', `${found} bytes instead of ${into.length}`, { expected: into.length, found });
  }
  into.set(output.subarray(0, into.length));
}

/**
 * A zlib stream of unknown length, decompressed into the start of `room`, which it does not outgrow: what does not fit is
 * dropped, and fills `room`. Undefined when it is none, or its checksum is wrong.
 */
export function decodeZlibStream(compressed: Uint8Array, room: Uint8Array): Uint8Array | undefined {
  const header = ((compressed[0] ?? 0) << 8) | (compressed[1] ?? 0);
  // RFC 1950: method 8, and a multiple of 31.
  if (compressed.length < 6 || (header & 0x0f00) !== 0x0800 || header % 31 !== 0) return undefined;
  try {
    const made = unzlibSync(compressed, { out: room });
    return made.length === room.length || checksumAtEnd(compressed) === adler32(made) ? made : undefined;
  } catch {
    return undefined;
  }
}

/** The Adler-32 that ends a stream, most significant byte first. */
function checksumAtEnd(compressed: Uint8Array): number {
  const at = compressed.length - 4;
  return (
    (((compressed[at] as number) << 24) |
      ((compressed[at + 1] as number) << 16) |
      ((compressed[at + 2] as number) << 8) |
      (compressed[at + 3] as number)) >>>
    0
  );
}

/** Adler-32 (RFC 1950): two sums modulo 65521. */
export function adler32(bytes: Uint8Array): number {
  let low = 1;
  let high = 0;
  for (let start = 0; start < bytes.length; ) {
    // So many additions stay below 2^32 between two reductions.
    const end = Math.min(start + 3800, bytes.length);
    for (; start < end; start++) {
      low += bytes[start] as number;
      high += low;
    }
    low %= 65521;
    high %= 65521;
  }
  return ((high << 16) | low) >>> 0;
}
