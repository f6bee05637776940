import { decompress } from 'fzstd';
import { codecError, type Decoder } from './codec.js';

/** One Zstandard frame (RFC 8878), as in a kdump page with flag 0x20 (makedumpfile -z). */
export const decodeZstd: Decoder = (compressed, into) => {
  let made: Uint8Array;
  try {
    made = decompress(compressed);
  } catch (error) {
    throw codecError('zstd', error instanceof Error ? error.message : 'invalid data');
  }
  if (made.length !== into.length) {
    throw codecError('zstd', `${made.length} bytes instead of ${into.length}`, {
      expected: into.length,
      found: made.length,
    });
  }
  into.set(made);
};
