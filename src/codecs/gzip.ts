import { gunzipSync } from 'fflate';
import { ExhumeError } from '../bytes/errors.js';
import { viewOf } from '../bytes/struct-table.js';
import { crc32 } from './crc.js';

/**
 * A gzip file of one member (RFC 1952), which ends where `compressed` does. Gives how many bytes it made, at most as many
 * as `into` has room for. Throws EXH_CODEC; the checksum at its end is checked, which fflate itself does not.
 */
export function decodeGzip(compressed: Uint8Array, into: Uint8Array): number {
  if (compressed.length < 18 || compressed[0] !== 0x1f || compressed[1] !== 0x8b) throw bad('no file begins here');
  // One byte more than there is room for, so that too long an answer shows; fflate drops what does not fit.
  const room = new Uint8Array(into.length + 1);
  let made: Uint8Array;
  try {
    made = gunzipSync(compressed, { out: room });
  } catch (error) {
    throw bad(error instanceof Error ? error.message : 'invalid data');
  }
  if (made.length > into.length) throw bad(`more than ${into.length} bytes`);
  const view = viewOf(compressed);
  if (view.getUint32(compressed.length - 8, true) !== crc32(made)) throw bad('wrong checksum');
  into.set(made);
  return made.length;
}

function bad(problem: string): ExhumeError {
  return new ExhumeError('EXH_CODEC', `gzip: ${problem}`);
}
