import { codecError, type Decoder } from './codec.js';

/**
 * Snappy's raw format (no framing), as in a kdump page with flag 0x4 (makedumpfile -p, QEMU kdump-snappy).
 *
 * The uncompressed length as a varint, then elements: literals, or copies with a 1-, 2- or 4-byte distance.
 * Format: google/snappy's format_description.txt.
 */
export const decodeSnappy: Decoder = (compressed, into) => {
  const inputEnd = compressed.length;
  const outputEnd = into.length;
  let input = 0;
  let output = 0;

  const byte = (): number => {
    if (input >= inputEnd) throw codecError('snappy', 'the data ends inside an element', { offset: input });
    return compressed[input++] as number;
  };
  /** `count` bytes (1 to 4), little-endian. */
  const little = (count: number): number => {
    let value = 0;
    for (let i = 0; i < count; i++) value += byte() * 2 ** (8 * i);
    return value;
  };

  let declared = 0;
  for (let shift = 0; ; shift += 7) {
    const part = byte();
    declared += (part & 0x7f) * 2 ** shift;
    if (part < 0x80) break;
    if (shift === 28) throw codecError('snappy', 'a length of more than 32 bits', { offset: input });
  }
  if (declared !== outputEnd) {
    throw codecError('snappy', `says ${declared} bytes, expected ${outputEnd}`, {
      expected: outputEnd,
      found: declared,
    });
  }

  while (input < inputEnd) {
    const tag = byte();
    const kind = tag & 3;
    let length = (tag >> 2) + 1;
    if (kind === 0) {
      if (length > 60) length = little(length - 60) + 1;
      if (length > inputEnd - input || length > outputEnd - output) {
        throw codecError('snappy', `a run of ${length} literals does not fit`, { offset: input });
      }
      for (let i = 0; i < length; i++) into[output++] = compressed[input++] as number;
      continue;
    }
    let distance: number;
    if (kind === 1) {
      length = ((tag >> 2) & 7) + 4;
      distance = ((tag >> 5) << 8) + byte();
    } else {
      distance = little(kind === 2 ? 2 : 4);
    }
    if (distance === 0 || distance > output) {
      throw codecError('snappy', 'a copy reaches before the first byte', { offset: input });
    }
    if (length > outputEnd - output) throw codecError('snappy', `more than ${outputEnd} bytes`, { offset: input });
    for (let i = 0; i < length; i++) {
      into[output] = into[output - distance] as number;
      output++;
    }
  }
  if (output !== outputEnd) {
    throw codecError('snappy', `${output} bytes instead of ${outputEnd}`, { expected: outputEnd, found: output });
  }
};
