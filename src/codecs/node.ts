import { deflateSync, inflateSync } from 'node:zlib';
import { ExhumeError, messageOf } from '../bytes/errors.js';
import { type CompressionMethod, codecError, type Decoder, type Decoders, type Encoder } from './codec.js';
import { portableDecoders } from './decoders.js';
import { encoders } from './encoders.js';
import { encodeZstd } from './zstd-encoder.js';

/** Room behind the page, in bytes: an output that is full to the end would make Node allocate another one. Node takes no less. */
const SPARE = 64;

/**
 * zlib through Node's own, whose strictness is that of zlib: a wrong checksum is an error.
 * Each call leaves its stream and its output to the garbage collector, which lets them gather: with the 16 KiB that Node
 * takes for an output when it is told nothing, they were half of the memory of a conversion.
 */
export const decodeZlibNative: Decoder = (compressed, into) => {
  let made: Uint8Array;
  try {
    made = inflateSync(compressed, { maxOutputLength: into.length, chunkSize: into.length + SPARE });
  } catch (error) {
    throw codecError('zlib', messageOf(error));
  }
  if (made.length !== into.length) {
    throw codecError('zlib', `${made.length} bytes instead of ${into.length}`, {
      expected: into.length,
      found: made.length,
    });
  }
  into.set(made);
};

/**
 * The fastest decoders in Node. Measured on 14,500 pages of 4 KiB of a crashed Linux 6.1 (`makedumpfile -d 31`),
 * in µs a page, Node 20 and 22 on one machine:
 *
 *     zlib    fflate 23, node:zlib 12             taken from Node
 *     zstd    ours 31, fzstd 26, node:zlib 26     (Node 22.15 and later) not worth a second path
 *     lzo1x   ours 5
 *     snappy  ours 6
 */
export const nodeDecoders: Decoders = { ...portableDecoders, zlib: decodeZlibNative };

/** The levels of a method. Without one it is the first (of zstd the second): dumps are written in a hurry. */
const ENCODERS: Readonly<Record<CompressionMethod, readonly Encoder[]>> = {
  zlib: [encoders.zlib, ...[2, 3, 4, 5, 6, 7, 8, 9].map(zlibEncoder)],
  lzo1x: [encoders.lzo1x],
  snappy: [encoders.snappy],
  zstd: [encodeZstd, encoders.zstd],
};

/**
 * The fastest encoder of a method in Node, at a level from 1 on: zlib has 1 to 9 (above 1 they are Node's), zstd 1 and 2,
 * the others none. Throws EXH_USAGE for a level that the method does not have.
 */
export function nodeEncoder(method: CompressionMethod, level?: number): Encoder {
  if (level === undefined) return encoders[method];
  const levels = ENCODERS[method];
  const encoder = levels[level - 1];
  if (encoder !== undefined && levels.length > 1) return encoder;
  const has = levels.length > 1 ? `levels 1 to ${levels.length}` : 'no levels';
  throw new ExhumeError('EXH_USAGE', `${method} has ${has}, ${level} was asked for`, { found: level });
}

function zlibEncoder(level: number): Encoder {
  return (page, into) => {
    const made = deflateSync(page, { level });
    if (made.length > into.length) return 0;
    into.set(made);
    return made.length;
  };
}
