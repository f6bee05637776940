import type { Decoders } from './codec.js';
import { decodeLzo1x } from './lzo1x.js';
import { decodeSnappy } from './snappy.js';
import { decodeZlib } from './zlib.js';
import { decodeZstd } from './zstd.js';

/** Decoders that run anywhere. Node's own, where faster, are in `codecs/node.ts`. */
export const portableDecoders: Decoders = {
  zlib: decodeZlib,
  lzo1x: decodeLzo1x,
  snappy: decodeSnappy,
  zstd: decodeZstd,
};
