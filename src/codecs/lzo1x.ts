import { codecError, type Decoder } from './codec.js';

/**
 * LZO1X as liblzo2 writes it, as in a kdump page with flag 0x2 (makedumpfile -l, QEMU kdump-lzo).
 *
 * A stream is a row of instructions. One is a run of literals, or a copy from what was written before
 * followed by 0 to 3 literals; how many is in two bits of the copy, and decides what an instruction below 16 means next.
 * It ends with the bytes 11 00 00: a copy with distance 0. Format: the kernel's Documentation/staging/lzo.rst.
 */
export const decodeLzo1x: Decoder = (compressed, into) => {
  const inputEnd = compressed.length;
  const outputEnd = into.length;
  let input = 0;
  let output = 0;
  /** Literals after the last instruction: 0 none, 1 to 3, 4 for a longer run. */
  let literals = 0;

  const byte = (): number => {
    if (input >= inputEnd) throw codecError('lzo1x', 'the data ends inside an instruction', { offset: input });
    return compressed[input++] as number;
  };
  const copyLiterals = (count: number): void => {
    if (count > inputEnd - input || count > outputEnd - output) {
      throw codecError('lzo1x', `a run of ${count} literals does not fit`, { offset: input });
    }
    for (let i = 0; i < count; i++) into[output++] = compressed[input++] as number;
  };
  /** A length whose bits in the instruction are all zero goes on: 255 for each zero byte, then the first other byte. */
  const longLength = (base: number): number => {
    let length = base;
    for (;;) {
      const next = byte();
      if (next !== 0) return length + next;
      length += 255;
    }
  };

  const first = compressed[0] ?? 0;
  if (first > 17) {
    input = 1;
    copyLiterals(first - 17);
    literals = Math.min(first - 17, 4);
  }
  for (;;) {
    const instruction = byte();
    let distance: number;
    let length: number;
    let trailing = instruction & 3;
    if (instruction >= 64) {
      distance = 1 + ((instruction >> 2) & 7) + (byte() << 3);
      length = (instruction >> 5) + 1;
    } else if (instruction >= 16) {
      const bits = instruction >= 32 ? 31 : 7;
      length = (instruction & bits || longLength(bits)) + 2;
      const low = byte();
      trailing = low & 3;
      distance = (low >> 2) + (byte() << 6);
      if (instruction >= 32) {
        distance += 1;
      } else {
        distance += (instruction & 8) << 11;
        if (distance === 0) break;
        distance += 0x4000;
      }
    } else if (literals === 0) {
      copyLiterals((instruction || longLength(15)) + 3);
      literals = 4;
      continue;
    } else {
      distance = (literals === 4 ? 0x801 : 1) + (instruction >> 2) + (byte() << 2);
      length = literals === 4 ? 3 : 2;
    }
    if (distance > output) throw codecError('lzo1x', 'a copy reaches before the first byte', { offset: input });
    if (length > outputEnd - output) throw codecError('lzo1x', `more than ${outputEnd} bytes`, { offset: input });
    for (let i = 0; i < length; i++) {
      into[output] = into[output - distance] as number;
      output++;
    }
    copyLiterals(trailing);
    literals = trailing;
  }
  if (input !== inputEnd) {
    throw codecError('lzo1x', `${inputEnd - input} bytes after the end of the stream`, { offset: input });
  }
  if (output !== outputEnd) {
    throw codecError('lzo1x', `${output} bytes instead of ${outputEnd}`, { expected: outputEnd, found: output });
  }
};
