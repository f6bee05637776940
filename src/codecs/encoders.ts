import type { CompressionMethod, Encoder } from './codec.js';
import { encodeLzo1x } from './lzo1x-encoder.js';
import { encodeSnappy } from './snappy-encoder.js';
import { encodeZlib } from './zlib-encoder.js';
import { encodeZstdHarder } from './zstd-encoder.js';

/** Encoders that run anywhere, for pages of up to 64 KiB; for a larger one they give 0. Measured: docs/dependencies.md. */
export const encoders: Readonly<Record<CompressionMethod, Encoder>> = {
  zlib: encodeZlib,
  lzo1x: encodeLzo1x,
  snappy: encodeSnappy,
  // The easier one makes dumps that are larger than libzstd's level 1 by more than a hundredth.
  zstd: encodeZstdHarder,
};
