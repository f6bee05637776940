/** Every offset in `haystack` at which `needle` begins, ascending. An empty needle is found nowhere. */
export function* findAll(haystack: Uint8Array, needle: Uint8Array, from = 0): Generator<number> {
  const first = needle[0];
  if (first === undefined) return;
  let at = haystack.indexOf(first, from);
  while (at >= 0 && at + needle.length <= haystack.length) {
    if (matches(haystack, at, needle)) yield at;
    at = haystack.indexOf(first, at + 1);
  }
}

/** The first offset at which `needle` begins, or -1. */
export function find(haystack: Uint8Array, needle: Uint8Array, from = 0): number {
  for (const at of findAll(haystack, needle, from)) return at;
  return -1;
}

/** Do the bytes at `at` equal `needle`? */
export function matches(haystack: Uint8Array, at: number, needle: Uint8Array): boolean {
  if (at + needle.length > haystack.length) return false;
  for (let i = 0; i < needle.length; i++) {
    if (haystack[at + i] !== needle[i]) return false;
  }
  return true;
}

const encoder = new TextEncoder();

/** The bytes of a string, for searching. */
export function bytesOf(text: string): Uint8Array {
  return encoder.encode(text);
}
