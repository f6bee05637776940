import { PAGE } from '../../source-reader.js';

/** What an owner writes into a page of its own: its number and the page's, over and over. */
export function pattern(id: number, index: number): Uint8Array {
  return new Uint8Array(new Uint32Array(PAGE / 4).fill(wordOf(id, index)).buffer);
}

export function isPattern(page: Uint8Array, id: number, index: number): boolean {
  const word = wordOf(id, index);
  const words = new Uint32Array(page.buffer, page.byteOffset, PAGE / 4);
  let at = 0;
  while (words[at] === word) at++;
  return at === words.length;
}

function wordOf(id: number, index: number): number {
  return id * 0x10000 + index;
}
