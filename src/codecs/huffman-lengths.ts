/**
 * How long the codes of a Huffman code are: for Deflate's three and for Zstandard's literals.
 *
 * Symbols are sorted by how often they occur, the tree is built in place by two queues, and where a code would be longer
 * than allowed, a shorter one is lengthened for it; the result is as good as optimal for what a page holds.
 */

const MAX_SYMBOLS = 288;
const MAX_BITS = 16;
/** Counts from here on are sorted by insertion, there are few of them. */
const MANY = 128;

/** The symbols that occur, the rarest first, and how often each does. */
const order = new Int32Array(MAX_SYMBOLS);
const sorted = new Int32Array(MAX_SYMBOLS);
/** Of each inner node of the tree: its weight, then its parent, then its depth. */
const nodes = new Int32Array(MAX_SYMBOLS);
const starts = new Int32Array(MANY + 2);
/** How many codes have each length. */
export const lengthCounts = new Int32Array(MAX_BITS + 1);

/**
 * Sets `lengths` of the first `symbols` symbols, 0 for those that do not occur; fills {@link lengthCounts}.
 * @param longest no code is longer, in bits
 * @returns how many symbols occur; a single one gets a code of one bit
 */
export function codeLengths(counts: Int32Array, symbols: number, longest: number, lengths: Uint8Array): number {
  const used = sortByCount(counts, symbols);
  lengthCounts.fill(0);
  for (let symbol = 0; symbol < symbols; symbol++) lengths[symbol] = 0;
  if (used < 2) {
    if (used === 1) {
      lengths[order[0] as number] = 1;
      lengthCounts[1] = 1;
    }
    return used;
  }
  buildTree(used);
  countLengths(used, longest);
  let next = 0;
  for (let length = longest; length > 0; length--) {
    for (let left = lengthCounts[length] as number; left > 0; left--) lengths[order[next++] as number] = length;
  }
  return used;
}

function sortByCount(counts: Int32Array, symbols: number): number {
  starts.fill(0);
  for (let symbol = 0; symbol < symbols; symbol++) {
    const count = counts[symbol] as number;
    const slot = count < MANY ? count : MANY;
    starts[slot + 1] = (starts[slot + 1] as number) + 1;
  }
  const absent = starts[1] as number;
  starts[1] = 0;
  for (let slot = 1; slot <= MANY; slot++) starts[slot + 1] = (starts[slot + 1] as number) + (starts[slot] as number);
  const used = symbols - absent;
  const frequent = starts[MANY] as number;
  for (let symbol = 0; symbol < symbols; symbol++) {
    const count = counts[symbol] as number;
    if (count === 0) continue;
    const slot = count < MANY ? count : MANY;
    let at = starts[slot] as number;
    starts[slot] = at + 1;
    if (slot === MANY) {
      for (; at > frequent && (sorted[at - 1] as number) > count; at--) {
        sorted[at] = sorted[at - 1] as number;
        order[at] = order[at - 1] as number;
      }
    }
    sorted[at] = count;
    order[at] = symbol;
  }
  return used;
}

/** Joins the two lightest of leaves and nodes, over and over; `nodes[i]` becomes the parent of node i. */
function buildTree(used: number): void {
  let leaf = 0;
  let node = 0;
  for (let made = 0; made < used - 1; made++) {
    let weight = 0;
    for (let side = 0; side < 2; side++) {
      if (leaf < used && (node >= made || (sorted[leaf] as number) <= (nodes[node] as number))) {
        weight += sorted[leaf++] as number;
      } else {
        weight += nodes[node] as number;
        nodes[node++] = made;
      }
    }
    nodes[made] = weight;
  }
}

/** From the root down: a node of some depth makes one code of that length into two that are one longer. */
function countLengths(used: number, longest: number): void {
  const root = used - 2;
  nodes[root] = 0;
  lengthCounts[1] = 2;
  for (let node = root - 1; node >= 0; node--) {
    const depth = (nodes[nodes[node] as number] as number) + 1;
    nodes[node] = depth;
    let length = depth;
    if (length >= longest) {
      length = longest - 1;
      while (lengthCounts[length] === 0) length--;
    }
    lengthCounts[length] = (lengthCounts[length] as number) - 1;
    lengthCounts[length + 1] = (lengthCounts[length + 1] as number) + 2;
  }
}
