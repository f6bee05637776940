import type { Wide } from './fields.js';

/*
 * Numbers beyond 31 bits are not small integers to JavaScript engines, which take five to ten times as long to put them
 * into digits. So they are put together of small ones.
 */

/** The largest of them in 32-bit engines is below 2^30; from here on all have eight digits. */
const SMALL = 0x1000_0000;
const BYTES = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'));

/** In decimal. */
export function decimal(value: Wide): string {
  if (typeof value === 'bigint' || (value < SMALL && value > -SMALL)) return `${value}`;
  if (value < 0) return `-${decimal(-value)}`;
  const divisor = value < 1e15 ? 1e6 : 1e9;
  const high = Math.floor(value / divisor);
  const low = `${value - high * divisor}`;
  return `${high}${(divisor === 1e6 ? '000000' : '000000000').slice(low.length)}${low}`;
}

/** In hexadecimal, of what is not negative. */
export function hexadecimal(value: Wide): string {
  if (typeof value === 'bigint' || value < SMALL) return value.toString(16);
  if (value <= 0xffff_ffff) return eightDigits(value);
  const high = Math.floor(value / 0x1_0000_0000);
  return hexadecimal(high) + eightDigits(value >>> 0);
}

/** 32 bits in hexadecimal. */
function eightDigits(word: number): string {
  return (
    (BYTES[word >>> 24] ?? '') +
    (BYTES[(word >>> 16) & 0xff] ?? '') +
    (BYTES[(word >>> 8) & 0xff] ?? '') +
    (BYTES[word & 0xff] ?? '')
  );
}
