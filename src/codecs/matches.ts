import { input, inputView } from './workbench.js';

/** What a page is made of, one entry for each copy: literals, then a copy of what was `distance` bytes before. */
export const literalLengths = new Int32Array(input.length);
export const copyLengths = new Int32Array(input.length);
export const distances = new Int32Array(input.length);

const HASH_BITS = 12;
const BUCKETS = 1 << HASH_BITS;
/** For each hash of four bytes, the place where they were seen last, and where before that; plus `epoch`. */
const last = new Int32Array(BUCKETS);
const before = new Int32Array(BUCKETS);
/** Places below it are of earlier pages: tables are not cleared from page to page. */
let epoch = 1;

const MULTIPLIER = 0x9e3779b1;

/**
 * Splits the first `size` bytes of `input` into literals and copies of at least 4 bytes from at most `farthest` bytes
 * before; gives the number of copies. What is left after the last one are literals.
 */
export function findMatches(size: number, farthest: number): number {
  if (epoch > 0x7000_0000) {
    last.fill(0);
    before.fill(0);
    epoch = 1;
  }
  const base = epoch;
  epoch += size;
  const end = size - 4;
  let count = 0;
  let from = 0;
  let at = 0;
  while (at <= end) {
    const word = inputView.getInt32(at, true);
    const bucket = Math.imul(word, MULTIPLIER) >>> (32 - HASH_BITS);
    const candidate = (last[bucket] as number) - base;
    last[bucket] = base + at;
    if (candidate < 0 || at - candidate > farthest || inputView.getInt32(candidate, true) !== word) {
      at += 1 + ((at - from) >> 6);
      continue;
    }
    const length = matchLength(candidate, at, size);
    literalLengths[count] = at - from;
    copyLengths[count] = length;
    distances[count] = at - candidate;
    count++;
    at += length;
    from = at;
  }
  return count;
}

/** How far the bytes at two places are alike, the second being the later one; the first four are known to be. */
function matchLength(earlier: number, later: number, size: number): number {
  const most = size - later;
  let length = 4;
  while (length < most) {
    const difference = inputView.getInt32(earlier + length, true) ^ inputView.getInt32(later + length, true);
    if (difference !== 0) {
      length += (31 - Math.clz32(difference & -difference)) >> 3;
      return length < most ? length : most;
    }
    length += 4;
  }
  return most;
}
