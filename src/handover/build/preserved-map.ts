import { hex } from '../../bytes/address.js';
import { viewOf } from '../../bytes/struct-table.js';
import { PAGE } from '../source-reader.js';
import { type Layout, type Piece, type PlannedBlock, usage } from './layout.js';

/** Levels of tables above the bitmaps; each of 512 addresses (`KHO_TREE_MAX_DEPTH` - 1). */
const LEVELS = 5;
const TABLE = PAGE / 8;
/** Bits of a page. */
const PAGE_BITS = PAGE * 8;
/** Of an order-0 page's key, the bit that tells the order (`KHO_ORDER_0_LOG2`). */
const ORDER_0_BIT = 52;
/** `struct khoser_mem_chunk`: u64 next, u32 order, u32 count, then pairs of u64. */
const CHUNK_HEADER = 16;
const CHUNK_ELEMENTS = Math.floor((PAGE - CHUNK_HEADER) / 16);

/** Where pages of a map are to lie: in the order in which a kernel makes them; where it ends, wherever there is room. */
export class MapPages {
  private used = 0;

  constructor(
    private readonly layout: Layout,
    private readonly addresses: readonly number[],
    private readonly path: string,
  ) {
    for (const address of addresses) layout.reserve({ address, size: PAGE });
  }

  place(what: string, content: () => Uint8Array): Piece {
    const address = this.addresses[this.used++];
    return this.layout.place({ what, path: this.path, size: PAGE, address, preserve: 'no', content });
  }
}

/** A page of the radix tree. */
interface RadixNode {
  readonly children: Map<number, RadixNode>;
  readonly bits: Uint8Array | undefined;
  readonly piece: Piece;
}

/**
 * Places the radix tree of kho-v2 and later (`kho_radix_add_page`): gives its root.
 * Throws EXH_USAGE for a block that does not begin at a multiple of its size, which it cannot express.
 */
export function placeRadixTree(pages: MapPages, blocks: readonly PlannedBlock[]): Piece {
  const makeNode = (level: number): RadixNode => {
    const children = new Map<number, RadixNode>();
    const bits = level === 0 ? new Uint8Array(PAGE) : undefined;
    const piece = pages.place(
      level === 0 ? 'bitmap of the radix tree' : 'table of the radix tree',
      () => bits ?? tableOf(children),
    );
    return { children, bits, piece };
  };
  const root = makeNode(LEVELS);
  for (const { address, order, size, path } of blocks) {
    const place = address / size;
    if (!Number.isInteger(place)) {
      throw usage(
        path,
        `a block of order ${order} at ${hex(address)} is no multiple of ${size}: a radix tree has no place for it`,
      );
    }
    // Exact: below 2^53.
    const key = 2 ** (ORDER_0_BIT - order) + place;
    let node = root;
    for (let level = LEVELS; level > 0; level--) {
      const index = Math.floor(key / (PAGE_BITS * TABLE ** (level - 1))) % TABLE;
      let next = node.children.get(index);
      if (next === undefined) {
        next = makeNode(level - 1);
        node.children.set(index, next);
      }
      node = next;
    }
    if (node.bits !== undefined) setBit(node.bits, key % PAGE_BITS);
  }
  return root.piece;
}

function tableOf(children: ReadonlyMap<number, RadixNode>): Uint8Array {
  const page = new Uint8Array(PAGE);
  const view = viewOf(page);
  for (const [index, { piece }] of children) view.setBigUint64(index * 8, BigInt(piece.address), true);
  return page;
}

/** Of one stretch of memory, in blocks of one order. */
interface Bitmap {
  readonly start: number;
  readonly bits: Uint8Array;
  address: () => number;
}

/**
 * Places the list of bitmaps of kho-v1 (`kho_mem_serialize`): gives its first chunk; undefined: nothing is preserved.
 * @param size of a bitmap in bytes: 512 up to 6.17.8, a page since
 */
export function placeBitmaps(pages: MapPages, blocks: readonly PlannedBlock[], size: 512 | 4096): Piece | undefined {
  const orders = bitmapsOf(blocks, size);
  const chunks: { readonly order: number; readonly bitmaps: readonly Bitmap[] }[] = [];
  for (const [order, bitmaps] of orders) {
    for (let at = 0; at < bitmaps.length; at += CHUNK_ELEMENTS) {
      chunks.push({ order, bitmaps: bitmaps.slice(at, at + CHUNK_ELEMENTS) });
    }
  }
  const placed: Piece[] = [];
  for (const [index, { order, bitmaps }] of chunks.entries()) {
    const content = () => chunkOf(placed[index + 1]?.address ?? 0, order, bitmaps);
    placed.push(pages.place('chunk of the preserved memory map', content));
  }
  const all = [...orders.values()].flat();
  const inPage = PAGE / size;
  for (let first = 0; first < all.length; first += inPage) {
    const here = all.slice(first, first + inPage);
    const piece = pages.place('bitmaps of the preserved memory map', () => {
      const page = new Uint8Array(PAGE);
      for (const [index, { bits }] of here.entries()) page.set(bits, index * size);
      return page;
    });
    for (const [index, bitmap] of here.entries()) bitmap.address = () => piece.address + index * size;
  }
  return placed[0];
}

/** Ascending by order, then by address. */
function bitmapsOf(blocks: readonly PlannedBlock[], bytes: number): Map<number, Bitmap[]> {
  const orders = new Map<number, Bitmap[]>();
  const known = new Map<string, Bitmap>();
  for (const { address, order, size } of [...blocks].sort((a, b) => a.order - b.order || a.address - b.address)) {
    // A block amid another's place gets a bitmap of its own: a kernel makes none.
    const offset = address % size;
    const start = Math.floor((address - offset) / (bytes * 8 * size)) * bytes * 8 * size + offset;
    const key = `${order} ${start}`;
    let bitmap = known.get(key);
    if (bitmap === undefined) {
      bitmap = { start, bits: new Uint8Array(bytes), address: () => 0 };
      known.set(key, bitmap);
      const list = orders.get(order);
      if (list === undefined) orders.set(order, [bitmap]);
      else list.push(bitmap);
    }
    setBit(bitmap.bits, (address - start) / size);
  }
  return orders;
}

function chunkOf(next: number, order: number, bitmaps: readonly Bitmap[]): Uint8Array {
  const page = new Uint8Array(PAGE);
  const view = viewOf(page);
  view.setBigUint64(0, BigInt(next), true);
  view.setUint32(8, order, true);
  view.setUint32(12, bitmaps.length, true);
  for (const [index, { start, address }] of bitmaps.entries()) {
    view.setBigUint64(CHUNK_HEADER + index * 16, BigInt(start), true);
    view.setBigUint64(CHUNK_HEADER + index * 16 + 8, BigInt(address()), true);
  }
  return page;
}

function setBit(bytes: Uint8Array, bit: number): void {
  bytes[Math.floor(bit / 8)] = (bytes[Math.floor(bit / 8)] ?? 0) | (1 << (bit % 8));
}
