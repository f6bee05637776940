/** Texts that come again and again (command lines, device names) are kept, by a hash of their bytes. */
const SLOTS = 1024;
const kept: string[] = new Array<string>(SLOTS).fill('');
/** Longer ones seldom come twice. */
const LONGEST_KEPT = 32;

const DOT = 0x2e;

const decoder = new TextDecoder();
const encoder = new TextEncoder();

/** The text from `start` up to the first NUL, or to `end`: UTF-8; what is not becomes U+FFFD. */
export function textUpToNul(bytes: Uint8Array, start: number, end: number): string {
  let hash = 0;
  let high = 0;
  let at = start;
  for (; at < end; at++) {
    const byte = bytes[at] ?? 0;
    if (byte === 0) break;
    hash = (Math.imul(hash, 31) + byte) | 0;
    high |= byte;
  }
  const length = at - start;
  if (length === 0) return '';
  if (high >= 0x80 || length > LONGEST_KEPT) return decoder.decode(bytes.subarray(start, at));
  const slot = (hash ^ (hash >>> 10) ^ (hash >>> 20)) & (SLOTS - 1);
  const before = kept[slot] ?? '';
  if (before.length === length && sameText(before, bytes, start)) return before;
  let text = '';
  for (let index = start; index < at; index++) text += String.fromCharCode(bytes[index] ?? 0);
  kept[slot] = text;
  return text;
}

function sameText(text: string, bytes: Uint8Array, start: number): boolean {
  for (let index = 0; index < text.length; index++) if (text.charCodeAt(index) !== bytes[start + index]) return false;
  return true;
}

/** The kernel's `isprint()` (lib/ctype.c): that of Latin-1, whatever the text is in. */
export function isPrintable(byte: number): boolean {
  return (byte >= 0x20 && byte < 0x7f) || byte >= 0xa0;
}

/** The bytes as text, each that cannot be printed as a dot: UTF-8; what is not becomes U+FFFD. */
export function printableText(bytes: Uint8Array): string {
  return decoder.decode(bytes.map((byte) => (isPrintable(byte) ? byte : DOT)));
}

/** How many bytes a text has in UTF-8: what widths and precisions of the kernel's formats count. */
export function byteLength(text: string): number {
  for (let index = 0; index < text.length; index++) {
    if (text.charCodeAt(index) >= 0x80) return encoder.encode(text).length;
  }
  return text.length;
}

/** The first bytes of a text; a character that they cut becomes U+FFFD. */
export function firstBytes(text: string, bytes: number): string {
  return byteLength(text) <= bytes ? text : decoder.decode(encoder.encode(text).subarray(0, bytes));
}
