import { ExhumeError } from '../bytes/errors.js';

/**
 * Decompresses an LZ4 block (lz4/doc/lz4_Block_format.md) so that it fills `into` exactly: zram's `lz4` and `lz4hc`.
 * Throws EXH_CODEC when the data is broken, or makes one byte more or less. Reads and writes only inside the arrays.
 */
export function decodeLz4(compressed: Uint8Array, into: Uint8Array): void {
  let input = 0;
  let output = 0;
  /** A length of 15 goes on in bytes, up to one that is not 255. */
  const length = (start: number): number => {
    let sum = start;
    if (start !== 15) return sum;
    for (let byte = 255; byte === 255; ) {
      byte = compressed[input++] ?? fail('the data ends inside a length');
      sum += byte;
    }
    return sum;
  };
  while (input < compressed.length) {
    const token = compressed[input++] as number;
    const literals = length(token >>> 4);
    if (literals > compressed.length - input || literals > into.length - output) fail('literals do not fit');
    into.set(compressed.subarray(input, input + literals), output);
    input += literals;
    output += literals;
    // The last sequence has no copy.
    if (input === compressed.length) break;
    if (input + 2 > compressed.length) fail('the data ends inside a distance');
    const distance = (compressed[input] as number) | ((compressed[input + 1] as number) << 8);
    input += 2;
    const copied = length(token & 15) + 4;
    if (distance === 0 || distance > output) fail('a copy reaches before the first byte');
    if (copied > into.length - output) fail(`more than ${into.length} bytes`);
    for (const stop = output + copied; output < stop; output++) into[output] = into[output - distance] as number;
  }
  if (output !== into.length) fail(`${output} bytes instead of ${into.length}`);
}

function fail(problem: string): never {
  throw new ExhumeError('EXH_CODEC', `lz4: ${problem}`);
}
