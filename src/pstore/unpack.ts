import { inflateSync } from 'fflate';
import { messageOf } from '../bytes/errors.js';
import { decodeZlibStream } from '../codecs/zlib.js';
import { parseDumpHeader } from './dump-header.js';

/**
 * More than any record holds: the largest buffer of a backend is 1 MiB, and a kernel reads back no more than three times
 * its buffer (decompress_record, fs/pstore/platform.c).
 */
export const LARGEST_TEXT = 1 << 22;
/** Deflate makes at most 1032 bytes of one. */
const LARGEST_RATIO = 1032;

/** How a record was compressed: `deflate` has no header (6.1, 7.2), `zlib` has one (older kernels). */
export type PackMethod = 'none' | 'deflate' | 'zlib';

export interface Unpacked {
  readonly text: Uint8Array;
  /** Undefined: by none of the methods that exhume knows. */
  readonly method: PackMethod | undefined;
  /** What is wrong with it; `text` is then as much as could be had. */
  readonly problem: string | undefined;
}

/**
 * Decompresses a record. Never throws: of a record that is cut or damaged, what comes before the damage is given.
 * Allocates for the size of the input, at most {@link LARGEST_TEXT}.
 * @param compressed what the file's name or the request's flag said; a record that says so and begins as text is taken as text
 */
export function unpackRecord(bytes: Uint8Array, compressed: boolean): Unpacked {
  if (!compressed || parseDumpHeader(bytes) !== undefined) return { text: bytes, method: 'none', problem: undefined };
  if (bytes.length === 0) return { text: bytes, method: undefined, problem: 'it is empty' };
  const room = new Uint8Array(Math.min(LARGEST_TEXT, bytes.length * LARGEST_RATIO) + 1);
  const zlib = decodeZlibStream(bytes, room);
  if (zlib !== undefined) return limited(zlib, 'zlib', room);
  try {
    // fflate drops what does not fit, which then shows as the last byte of the room being used.
    return limited(inflateSync(bytes, { out: room }), 'deflate', room);
  } catch (error) {
    return rest(room, messageOf(error));
  }
}

function limited(text: Uint8Array, method: PackMethod, room: Uint8Array): Unpacked {
  if (text.length < room.length) return { text, method, problem: undefined };
  return { text: text.subarray(0, -1), method, problem: `it makes more than ${room.length - 1} bytes: cut there` };
}

/** What was decompressed before it broke: a log holds no zero bytes, so these end it. */
function rest(room: Uint8Array, reason: string): Unpacked {
  let length = room.length;
  while (length > 0 && room[length - 1] === 0) length--;
  const text = room.subarray(0, length);
  if (parseDumpHeader(text) !== undefined) {
    return {
      text,
      method: 'deflate',
      problem: `its compressed data is damaged (${reason}): what comes before is shown`,
    };
  }
  const hint = 'it may be damaged, or compressed with lzo, lz4, 842 or zstd, which carry no mark here';
  return { text: new Uint8Array(0), method: undefined, problem: `neither deflate nor zlib (${reason}): ${hint}` };
}
