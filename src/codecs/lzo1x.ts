import { codecError, type Decoder } from './codec.js';

/**
 * LZO1X as liblzo2 writes it, as in a kdump page with flag 0x2 (makedumpfile -l, QEMU kdump-lzo).
 *
 * A stream is a row of instructions. One is a run of literals, or a copy from what was written before
 * followed by 0 to 3 literals; how many is in two bits of the copy, and decides what an instruction below 16 means next.
 * It ends with the bytes 11 00 00: a copy with distance 0. Format: the kernel's Documentation/staging/lzo.rst.
 */
export const decodeLzo1x: Decoder = (compressed, into) => decode(compressed, into, false);

/**
 * LZO1X as the kernel's `lzo-rle` writes it, zram's default: after the bytes 17 and 1 at its start an instruction of an
 * otherwise useless distance is a run of zeros. A stream without them is plain LZO1X.
 */
export const decodeLzoRle: Decoder = (compressed, into) => {
  const versioned = compressed.length >= 5 && compressed[0] === 17;
  decode(versioned ? compressed.subarray(2) : compressed, into, versioned && compressed[1] === 1);
};

/** MIN_ZERO_RUN_LENGTH of lib/lzo/lzodefs.h. */
const SHORTEST_ZEROS = 4;

/** @param zeros there are runs of zeros */
function decode(compressed: Uint8Array, into: Uint8Array, zeros: boolean): void {
  const inputEnd = compressed.length;
  const outputEnd = into.length;
  let input = 0;
  let output = 0;
  /** Literals after the last instruction: 0 none, 1 to 3, 4 for a longer run. */
  let literals = 0;
  /** Literals to copy before the next instruction. */
  let run = 0;

  const first = compressed[0] ?? 0;
  if (first > 17) {
    input = 1;
    run = first - 17;
    literals = Math.min(run, 4);
  }
  for (;;) {
    if (run > 0) {
      if (run > inputEnd - input || run > outputEnd - output) {
        throw codecError('lzo1x', `a run of ${run} literals does not fit`, { offset: input });
      }
      for (const stop = output + run; output < stop; ) into[output++] = compressed[input++] as number;
    }
    // What is read past the end is undefined, and counts as 0 here; `input` is then past the end, and checked below.
    const instruction = compressed[input++] ?? 0;
    let distance = 0;
    let length = 0;
    if (instruction >= 64) {
      distance = 1 + ((instruction >> 2) & 7) + ((compressed[input++] ?? 0) << 3);
      length = (instruction >> 5) + 1;
      run = instruction & 3;
    } else if (instruction < 16 && literals > 0) {
      distance = (literals === 4 ? 0x801 : 1) + (instruction >> 2) + ((compressed[input++] ?? 0) << 2);
      length = literals === 4 ? 3 : 2;
      run = instruction & 3;
    } else {
      const operandOfZeros = (compressed[input] ?? 0) | ((compressed[input + 1] ?? 0) << 8);
      if (zeros && (instruction & 0xf8) === 0x18 && (operandOfZeros & 0xfffc) === 0xfffc) {
        length = ((instruction & 7) | ((compressed[input + 2] ?? 0) << 3)) + SHORTEST_ZEROS;
        input += 3;
        if (input > inputEnd) throw endsInside(input);
        if (length > outputEnd - output) throw codecError('lzo1x', `more than ${outputEnd} bytes`, { offset: input });
        into.fill(0, output, output + length);
        output += length;
        run = operandOfZeros & 3;
        literals = run;
        continue;
      }
      const lengthBits = instruction >= 32 ? 31 : instruction >= 16 ? 7 : 15;
      length = instruction & lengthBits;
      if (length === 0) {
        // The length goes on: 255 for each zero byte, then the first other byte.
        length = lengthBits;
        while (compressed[input] === 0) {
          length += 255;
          input++;
        }
        length += compressed[input++] ?? 0;
      }
      if (instruction < 16) {
        run = length + 3;
        literals = 4;
        if (input > inputEnd) throw endsInside(input);
        continue;
      }
      length += 2;
      const operand = (compressed[input] ?? 0) | ((compressed[input + 1] ?? 0) << 8);
      input += 2;
      run = operand & 3;
      distance = operand >> 2;
      if (instruction >= 32) {
        distance += 1;
      } else {
        distance += (instruction & 8) << 11;
        if (distance === 0) break;
        distance += 0x4000;
      }
    }
    if (input > inputEnd) throw endsInside(input);
    if (distance > output) throw codecError('lzo1x', 'a copy reaches before the first byte', { offset: input });
    if (length > outputEnd - output) throw codecError('lzo1x', `more than ${outputEnd} bytes`, { offset: input });
    for (const stop = output + length; output < stop; output++) into[output] = into[output - distance] as number;
    literals = run;
  }
  if (input > inputEnd) throw endsInside(input);
  if (input < inputEnd) {
    throw codecError('lzo1x', `${inputEnd - input} bytes after the end of the stream`, { offset: input });
  }
  if (output !== outputEnd) {
    throw codecError('lzo1x', `${output} bytes instead of ${outputEnd}`, { expected: outputEnd, found: output });
  }
}

function endsInside(offset: number) {
  return codecError('lzo1x', 'the data ends inside an instruction', { offset });
}
