import type { Encoder } from './codec.js';
import { copyLengths, distances, findMatches, literalLengths } from './matches.js';
import { copyInput, deliver, input, LARGEST_PAGE, output } from './workbench.js';

/** What two bytes of distance can say. */
const FARTHEST = 65535;

/** Snappy's raw format, as {@link decodeSnappy} reads it. */
export const encodeSnappy: Encoder = (page, into) => {
  const size = page.length;
  if (size > LARGEST_PAGE) return 0;
  input.set(page);
  let at = 0;
  let left = size;
  for (; left > 0x7f; left >>>= 7) output[at++] = left | 0x80;
  output[at++] = left;
  const count = findMatches(size, FARTHEST, 4, 5);
  let from = 0;
  for (let i = 0; i < count; i++) {
    const run = literalLengths[i] as number;
    if (run > 0) at = writeLiterals(from, run, at);
    let length = copyLengths[i] as number;
    const distance = distances[i] as number;
    from += run + length;
    // The last piece has to have four bytes.
    while (length >= 68) {
      at = writeFarCopy(64, distance, at);
      length -= 64;
    }
    if (length > 64) {
      at = writeFarCopy(60, distance, at);
      length -= 60;
    }
    if (length < 12 && distance < 2048) {
      output[at++] = 1 | ((length - 4) << 2) | ((distance >> 8) << 5);
      output[at++] = distance;
    } else {
      at = writeFarCopy(length, distance, at);
    }
  }
  if (from < size) at = writeLiterals(from, size - from, at);
  return deliver(at, into);
};

function writeLiterals(from: number, run: number, at: number): number {
  const length = run - 1;
  if (length < 60) {
    output[at++] = length << 2;
  } else if (length < 256) {
    output[at++] = 60 << 2;
    output[at++] = length;
  } else {
    output[at++] = 61 << 2;
    output[at++] = length;
    output[at++] = length >> 8;
  }
  copyInput(from, run, at);
  return at + run;
}

/** A copy with a distance of two bytes, of 1 to 64 bytes. */
function writeFarCopy(length: number, distance: number, at: number): number {
  output[at] = 2 | ((length - 1) << 2);
  output[at + 1] = distance;
  output[at + 2] = distance >> 8;
  return at + 3;
}
