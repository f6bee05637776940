import { codecError } from './codec.js';

/**
 * A bit stream that is read from its end to its start, as Zstandard's entropy-coded parts are (RFC 8878, 4.1 and 4.2):
 * the highest set bit of the last byte marks the end, below it lie the bits, the most significant of a value first.
 */
export class BackwardBits {
  /** Bits that are left. */
  left: number;

  /** Bytes `start` to `end` of `bytes`. Throws EXH_CODEC when the end mark is missing. */
  constructor(
    private readonly bytes: Uint8Array,
    private readonly start: number,
    end: number,
  ) {
    const last = end > start ? (bytes[end - 1] as number) : 0;
    if (last === 0) throw codecError('zstd', 'a bit stream has no end mark', { offset: end });
    this.left = (end - start) * 8 - Math.clz32(last << 24) - 1;
  }

  /** Takes `count` bits, at most 24. Throws EXH_CODEC when there are fewer. */
  take(count: number): number {
    const left = this.left - count;
    if (left < 0) throw codecError('zstd', 'a bit stream ends too early', { offset: this.start });
    this.left = left;
    return this.at(left) & ((1 << count) - 1);
  }

  /** Looks at the next `count` bits, at most 24, with zeros behind the last one. */
  peek(count: number): number {
    const from = this.left - count;
    const mask = (1 << count) - 1;
    if (from >= 0) return this.at(from) & mask;
    return (this.at(0) << -from) & mask & -(1 << -from);
  }

  /** At least 25 bits from bit `position` on; a byte past the array reads as 0. */
  private at(position: number): number {
    const { bytes } = this;
    const byte = this.start + (position >>> 3);
    const word =
      (bytes[byte] as number) |
      ((bytes[byte + 1] as number) << 8) |
      ((bytes[byte + 2] as number) << 16) |
      ((bytes[byte + 3] as number) << 24);
    return word >>> (position & 7);
  }
}
