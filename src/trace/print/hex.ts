/** `hex_asc_hi()`, `hex_asc_lo()` of the kernel. */
const PAIRS = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'));

/** Bytes in hexadecimal with something between them: `%*ph`. */
export function hexBytes(bytes: Uint8Array, separator: string): string {
  let text = '';
  for (let at = 0; at < bytes.length; at++) {
    if (at > 0) text += separator;
    text += PAIRS[bytes[at] ?? 0];
  }
  return text;
}

/** A character for a byte where it is printable ASCII, else a dot. */
export function printable(byte: number): string {
  return byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : '.';
}

/** How a dump's lines begin: `DUMP_PREFIX_*` of linux/printk.h. */
export const DUMP_PREFIX_ADDRESS = 1;
export const DUMP_PREFIX_OFFSET = 2;

/** One line of a hex dump: `hex_dump_to_buffer()` of lib/hexdump.c. */
export function hexDumpLine(
  bytes: Uint8Array,
  rowSize: number,
  groupSize: number,
  ascii: boolean,
  littleEndian: boolean,
): string {
  const row = rowSize === 32 ? 32 : 16;
  const whole = [1, 2, 4, 8].includes(groupSize) && bytes.length % groupSize === 0;
  const group = whole ? groupSize : 1;
  let text = '';
  for (let at = 0; at < bytes.length; at += group) {
    const part = bytes.slice(at, at + group);
    if (littleEndian) part.reverse();
    text += (at > 0 ? ' ' : '') + hexBytes(part, '');
  }
  if (!ascii || bytes.length === 0) return text;
  return text.padEnd(row * 2 + row / group + 1) + Array.from(bytes, printable).join('');
}

/** A bit mask as `%*pb` prints it: 32 bits at a time, the highest first. */
export function bitmap(bytes: Uint8Array, bits: number, littleEndian: boolean, longSize: number): string {
  const words: string[] = [];
  for (let from = 0; from < bits; from += 32) {
    const count = Math.min(32, bits - from);
    let word = 0;
    for (let bit = 0; bit < count; bit++) if (bitOf(bytes, from + bit, littleEndian, longSize)) word += 2 ** bit;
    words.unshift(word.toString(16).padStart(Math.ceil(count / 4), '0'));
  }
  return words.join(',');
}

/** A bit mask as `%*pbl` prints it: `0-3,7`. */
export function bitmapList(bytes: Uint8Array, bits: number, littleEndian: boolean, longSize: number): string {
  const ranges: string[] = [];
  for (let bit = 0; bit < bits; bit++) {
    if (!bitOf(bytes, bit, littleEndian, longSize)) continue;
    let last = bit;
    while (last + 1 < bits && bitOf(bytes, last + 1, littleEndian, longSize)) last++;
    ranges.push(last === bit ? `${bit}` : `${bit}-${last}`);
    bit = last;
  }
  return ranges.join(',');
}

/** A bit of an array of `long`s. */
function bitOf(bytes: Uint8Array, bit: number, littleEndian: boolean, longSize: number): boolean {
  const at = bit >> 3;
  const swapped = littleEndian ? at : at - (at % longSize) + (longSize - 1 - (at % longSize));
  return (((bytes[swapped] ?? 0) >> (bit & 7)) & 1) !== 0;
}
