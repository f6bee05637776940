import { type ErrorData, ExhumeError } from '../bytes/errors.js';

/** How a page in a kdump file may be compressed. */
export const COMPRESSION_METHODS = ['zlib', 'lzo1x', 'snappy', 'zstd'] as const;

export type CompressionMethod = (typeof COMPRESSION_METHODS)[number];

/**
 * Decompresses all of `compressed` so that it fills `into` exactly.
 * Throws EXH_CODEC when the data is broken, or makes one byte more or less than that.
 * Reads and writes only inside the two arrays; the time is bounded by their lengths.
 */
export type Decoder = (compressed: Uint8Array, into: Uint8Array) => void;

/** A decoder for each method: the portable ones, or faster ones that the runtime has. */
export type Decoders = Readonly<Record<CompressionMethod, Decoder>>;

/**
 * Compresses all of `page` into `into`, and gives the bytes written; 0 when the result does not fit there.
 * Callers pass room for `page.length - 1` bytes: a page that does not gain is stored as it is.
 */
export type Encoder = (page: Uint8Array, into: Uint8Array) => number;

/** The error of a decoder. */
export function codecError(method: CompressionMethod, problem: string, data: ErrorData = {}): ExhumeError {
  return new ExhumeError('EXH_CODEC', `${method}: ${problem}`, { method, ...data });
}
