import type { PreservedBlock } from './model.js';

/** The block that begins at an address, the largest of them; blocks ascend by address. */
export function blockAt(blocks: readonly PreservedBlock[], address: number): PreservedBlock | undefined {
  let low = 0;
  let high = blocks.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((blocks[middle]?.address ?? 0) < address) low = middle + 1;
    else high = middle;
  }
  let found: PreservedBlock | undefined;
  for (let block = blocks[low]; block?.address === address; block = blocks[++low]) {
    if (found === undefined || block.order > found.order) found = block;
  }
  return found;
}
