import type { ByteSource } from '../bytes/byte-source.js';

/**
 * A source that may lack bytes inside its size: a flattened file that was cut off.
 * Its `read` gives zeros there, as a sparse file would, so whoever must not take them for content asks first.
 */
export interface GappedSource extends ByteSource {
  /** Does the source hold all of these bytes? */
  has(offset: number, length: number): boolean;
}

/**
 * Does the source hold all of these bytes, neither past its end nor in a gap?
 * Offsets past 2^53 are whole pages of /proc/kcore, and exact.
 */
export function hasBytes(source: ByteSource, offset: number, length: number): boolean {
  if (offset < 0 || !Number.isInteger(offset + length) || offset + length > source.size) return false;
  return !isGapped(source) || source.has(offset, length);
}

function isGapped(source: ByteSource): source is GappedSource {
  return 'has' in source && typeof source.has === 'function';
}
