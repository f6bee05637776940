import { input, inputView } from './workbench.js';

/** What a page is made of, one entry for each copy: literals, then a copy of what was `distance` bytes before. */
export const literalLengths = new Int32Array(input.length);
export const copyLengths = new Int32Array(input.length);
export const distances = new Int32Array(input.length);

const HASH_BITS = 13;
const SHIFT = 32 - HASH_BITS;
const MULTIPLIER = 0x9e3779b1;
/** For each hash of four bytes, and of three, the place where they were seen last, plus `epoch`. */
const lastFours = new Int32Array(1 << HASH_BITS);
const lastThrees = new Int32Array(1 << HASH_BITS);
/** Places below it are of earlier pages: the tables are not cleared from page to page. */
let epoch = 1;
const LAST_EPOCH = 0x7000_0000;

/**
 * Splits the first `size` bytes of `input` into literals and copies from at most `farthest` bytes before; gives the
 * number of copies. What is left after the last one are literals.
 *
 * It looks at one place only: where the same four bytes were seen last. That finds nearly as much as zlib's level 1.
 * @param least the shortest copy, 3 or 4
 * @param patience after so many literals in a row (a power of two, by its exponent) not every place is looked at
 */
export function findMatches(size: number, farthest: number, least: number, patience: number): number {
  if (epoch > LAST_EPOCH) {
    lastFours.fill(0);
    lastThrees.fill(0);
    epoch = 1;
  }
  const base = epoch;
  epoch += size;
  const end = size - 4;
  const threes = least === 3;
  let count = 0;
  let from = 0;
  let at = 0;
  while (at <= end) {
    const word = inputView.getInt32(at, true);
    const bucket = Math.imul(word, MULTIPLIER) >>> SHIFT;
    let candidate = (lastFours[bucket] as number) - base;
    lastFours[bucket] = base + at;
    let length = 0;
    if (candidate >= 0 && inputView.getInt32(candidate, true) === word) length = matchLength(candidate, at, size);
    if (threes) {
      const bucketOfThree = Math.imul(word << 8, MULTIPLIER) >>> SHIFT;
      const other = (lastThrees[bucketOfThree] as number) - base;
      lastThrees[bucketOfThree] = base + at;
      if (length === 0 && other >= 0 && (inputView.getInt32(other, true) ^ word) << 8 === 0) {
        candidate = other;
        length = 3;
      }
    }
    if (length === 0 || at - candidate > farthest) {
      at += 1 + ((at - from) >> patience);
      continue;
    }
    const distance = at - candidate;
    // The bytes before it may be alike too.
    while (at > from && candidate > 0 && input[at - 1] === input[candidate - 1]) {
      at--;
      candidate--;
      length++;
    }
    literalLengths[count] = at - from;
    copyLengths[count] = length;
    distances[count] = distance;
    count++;
    at += length;
    from = at;
    // What was just copied is often what comes again.
    for (let recent = at - 3; recent < at && recent <= end; recent++) {
      lastFours[Math.imul(inputView.getInt32(recent, true), MULTIPLIER) >>> SHIFT] = base + recent;
    }
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
