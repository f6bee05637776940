import { ExhumeError } from '../bytes/errors.js';

/** In a token: the length goes on in bytes, up to one that is not 255. */
const MORE = 15;
const LEAST_COPY = 4;

/**
 * Decompresses an LZ4 block (lz4/doc/lz4_Block_format.md) so that it fills `into` exactly: zram's `lz4` and `lz4hc`.
 * Throws EXH_CODEC when the data is broken, or makes one byte more or less. Reads and writes only inside the arrays.
 */
export function decodeLz4(compressed: Uint8Array, into: Uint8Array): void {
  let input = 0;
  let output = 0;
  while (input < compressed.length) {
    const token = compressed[input++] as number;
    let literals = token >>> 4;
    if (literals === MORE) {
      const end = lengthEnd(compressed, input);
      literals += lengthOf(compressed, input, end);
      input = end;
    }
    if (literals > compressed.length - input || literals > into.length - output) fail('literals do not fit');
    into.set(compressed.subarray(input, input + literals), output);
    input += literals;
    output += literals;
    // The last sequence has no copy.
    if (input === compressed.length) break;
    if (input + 2 > compressed.length) fail('the data ends inside a distance');
    const distance = (compressed[input] as number) | ((compressed[input + 1] as number) << 8);
    input += 2;
    let copied = (token & 15) + LEAST_COPY;
    if ((token & 15) === MORE) {
      const end = lengthEnd(compressed, input);
      copied += lengthOf(compressed, input, end);
      input = end;
    }
    if (distance === 0 || distance > output) fail('a copy reaches before the first byte');
    if (copied > into.length - output) fail(`more than ${into.length} bytes`);
    for (const stop = output + copied; output < stop; output++) into[output] = into[output - distance] as number;
  }
  if (output !== into.length) fail(`${output} bytes instead of ${into.length}`);
}

/** Where the bytes of a length end: behind the first that is not 255. */
function lengthEnd(compressed: Uint8Array, start: number): number {
  for (let at = start; at < compressed.length; at++) if (compressed[at] !== 255) return at + 1;
  return fail('the data ends inside a length');
}

function lengthOf(compressed: Uint8Array, start: number, end: number): number {
  return (end - start - 1) * 255 + (compressed[end - 1] as number);
}

function fail(problem: string): never {
  throw new ExhumeError('EXH_CODEC', `lz4: ${problem}`);
}
