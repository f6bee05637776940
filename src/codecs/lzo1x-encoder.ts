import type { Encoder } from './codec.js';
import { copyLengths, distances, findMatches, literalLengths } from './matches.js';
import { copyInput, deliver, input, LARGEST_PAGE, output } from './workbench.js';

/** The farthest that a copy reaches back. */
const FARTHEST = 0xbfff;

/** LZO1X as liblzo2's `lzo1x_1_compress` writes it, and {@link decodeLzo1x} reads it. */
export const encodeLzo1x: Encoder = (page, into) => {
  const size = page.length;
  if (size > LARGEST_PAGE) return 0;
  input.set(page);
  const count = findMatches(size, FARTHEST, 4, 5);
  let at = 0;
  let from = 0;
  for (let i = 0; i < count; i++) {
    const run = literalLengths[i] as number;
    const length = copyLengths[i] as number;
    const distance = distances[i] as number;
    at = writeLiterals(from, run, at);
    at = writeCopy(length, distance, at);
    from += run + length;
  }
  at = writeLiterals(from, size - from, at);
  output[at] = 0x11;
  output[at + 1] = 0;
  output[at + 2] = 0;
  return deliver(at + 3, into);
};

/** Up to three literals are counted in the instruction before, whose low bits lie two bytes back. */
function writeLiterals(from: number, run: number, at: number): number {
  if (run === 0) return at;
  if (at === 0 && run <= 238) {
    output[at++] = 17 + run;
  } else if (run <= 3) {
    output[at - 2] = (output[at - 2] as number) | run;
  } else if (run <= 18) {
    output[at++] = run - 3;
  } else {
    output[at++] = 0;
    at = writeLength(run - 18, at);
  }
  copyInput(from, run, at);
  return at + run;
}

function writeCopy(length: number, distance: number, at: number): number {
  if (length <= 8 && distance <= 0x800) {
    output[at] = ((length - 1) << 5) | (((distance - 1) & 7) << 2);
    output[at + 1] = (distance - 1) >> 3;
    return at + 2;
  }
  let operand = distance - 1;
  let instruction = 32;
  let most = 33;
  if (distance > 0x4000) {
    operand = distance - 0x4000;
    instruction = 16 | ((operand >> 11) & 8);
    most = 9;
  }
  if (length <= most) {
    output[at++] = instruction | (length - 2);
  } else {
    output[at++] = instruction;
    at = writeLength(length - most, at);
  }
  output[at] = operand << 2;
  output[at + 1] = operand >> 6;
  return at + 2;
}

/** What a length is more than its instruction holds: a zero byte for each 255, then the rest. */
function writeLength(rest: number, at: number): number {
  for (; rest > 255; rest -= 255) output[at++] = 0;
  output[at++] = rest;
  return at;
}
