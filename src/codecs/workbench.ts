/**
 * Where encoders work: one page, and what is made of it. They are allocated once, so that the compiler knows where they
 * lie, and nothing is allocated for a page.
 */

/** The largest page that encoders take, in bytes: arm64 and ppc64 have some of 64 KiB. */
export const LARGEST_PAGE = 65536;

/** Words are read and compared four bytes at a time, so up to 8 bytes past the page. */
export const input = new Uint8Array(LARGEST_PAGE + 8);
export const inputView = new DataView(input.buffer);

/** Snappy makes most of a page that does not compress: 32 bytes and a sixth more. */
export const output = new Uint8Array(LARGEST_PAGE + LARGEST_PAGE / 4);
export const outputView = new DataView(output.buffer);

/** Copies `size` bytes of the input, and up to 3 more, to `output`: by words, which is faster for short runs than `set`. */
export function copyInput(from: number, size: number, at: number): void {
  for (let i = 0; i < size; i += 4) outputView.setInt32(at + i, inputView.getInt32(from + i, true), true);
}

/** Copies the first `size` bytes of the output, where they fit: see {@link Encoder}. */
export function deliver(size: number, into: Uint8Array): number {
  if (size > into.length) return 0;
  into.set(output.subarray(0, size));
  return size;
}
