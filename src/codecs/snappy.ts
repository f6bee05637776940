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

  let declared = 0;
  for (let shift = 0; ; shift += 7) {
    if (input >= inputEnd || shift > 28)
      throw codecError('snappy', 'the length at the start is broken', { offset: input });
    const part = compressed[input++] as number;
    declared += (part & 0x7f) * 2 ** shift;
    if (part < 0x80) break;
  }
  if (declared !== outputEnd) {
    throw codecError('snappy', `says ${declared} bytes, expected ${outputEnd}`, {
      expected: outputEnd,
      found: declared,
    });
  }

  while (input < inputEnd) {
    const tag = compressed[input++] as number;
    const kind = tag & 3;
    let length = (tag >> 2) + 1;
    if (kind === 0) {
      if (length > 60) {
        const bytes = length - 60;
        if (input + bytes > inputEnd) throw endsInside(input);
        length = little(compressed, input, bytes) + 1;
        input += bytes;
      }
      if (length > inputEnd - input || length > outputEnd - output) {
        throw codecError('snappy', `a run of ${length} literals does not fit`, { offset: input });
      }
      for (const stop = output + length; output < stop; ) into[output++] = compressed[input++] as number;
      continue;
    }
    const bytes = kind === 3 ? 4 : kind;
    if (input + bytes > inputEnd) throw endsInside(input);
    let distance = little(compressed, input, bytes);
    input += bytes;
    if (kind === 1) {
      length = ((tag >> 2) & 7) + 4;
      distance += (tag >> 5) << 8;
    }
    if (distance === 0 || distance > output) {
      throw codecError('snappy', 'a copy reaches before the first byte', { offset: input });
    }
    if (length > outputEnd - output) throw codecError('snappy', `more than ${outputEnd} bytes`, { offset: input });
    for (const stop = output + length; output < stop; output++) into[output] = into[output - distance] as number;
  }
  if (output !== outputEnd) {
    throw codecError('snappy', `${output} bytes instead of ${outputEnd}`, { expected: outputEnd, found: output });
  }
};

/** `count` bytes (1 to 4) from `at` on, little-endian. */
function little(bytes: Uint8Array, at: number, count: number): number {
  let value = bytes[at] as number;
  if (count > 1) value |= (bytes[at + 1] as number) << 8;
  if (count > 2) value |= (bytes[at + 2] as number) << 16;
  if (count > 3) value += (bytes[at + 3] as number) * 2 ** 24;
  return value;
}

function endsInside(offset: number) {
  return codecError('snappy', 'the data ends inside an element', { offset });
}
