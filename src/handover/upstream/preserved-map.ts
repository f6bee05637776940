import { type Damage, damageOf, ExhumeError } from '../../bytes/errors.js';
import type { MemoryArea, PreservedBlock, PreservedMap } from '../model.js';
import { type HandoverReader, PAGE } from '../source-reader.js';

/** The part that damage to a map is told of. */
export const MAP_PART = 'preserved memory map';
const PAGE_SHIFT = 12n;
/** `KHO_TREE_MAX_DEPTH`: five levels of tables above one of bitmaps. */
const LEVELS = 5;
const TABLE_BITS = 9n;
const LEAF_BITS = 15n;
/** Of an order-0 page's key, the bit that tells the order. */
const ORDER_0_BIT = 52;
/** Pages that a map may take, and blocks that it may name: some TiB of single pages. */
const MOST_PAGES = 1 << 16;
const MOST_BLOCKS = 1 << 24;
/** Physical addresses end here, in bytes. */
const HIGHEST = 1n << 52n;
/** `struct khoser_mem_chunk`: u64 next, u32 order, u32 count, then pairs of u64. */
const CHUNK_HEADER = 16;
const MOST_ELEMENTS = (PAGE - CHUNK_HEADER) / 16;

/** What is being gathered of a map. */
class Gathering {
  readonly blocks: PreservedBlock[] = [];
  readonly own: MemoryArea[] = [];
  readonly damage: Damage[] = [];
  private readonly seen = new Set<bigint>();

  constructor(readonly reader: HandoverReader) {}

  /** A page of the map. Undefined, and damage: it was there before, there are too many, or it cannot be read. */
  page(address: bigint, size = PAGE): Uint8Array | undefined {
    try {
      if (this.seen.has(address) || this.seen.size >= MOST_PAGES || this.blocks.length >= MOST_BLOCKS) {
        throw new ExhumeError('EXH_BAD_STRUCTURE', `the map leads to 0x${address.toString(16)} again, or has no end`);
      }
      if (address % BigInt(size) !== 0n) {
        throw new ExhumeError(
          'EXH_BAD_STRUCTURE',
          `the map leads to 0x${address.toString(16)}, where none of its pages begins`,
        );
      }
      this.seen.add(address);
      const bytes = this.reader.bytes(address, size);
      this.own.push({ address: Number(address), size });
      return bytes;
    } catch (error) {
      this.damaged(error);
      return undefined;
    }
  }

  broken(what: string, address: bigint): void {
    this.damaged(
      new ExhumeError('EXH_BAD_STRUCTURE', `the map has ${what}, at 0x${address.toString(16)}`, { address }),
    );
  }

  private damaged(error: unknown): void {
    if (this.damage.length < 16) this.damage.push(damageOf(MAP_PART, error));
  }

  add(address: bigint, order: number): void {
    if (address + (1n << (PAGE_SHIFT + BigInt(order))) > HIGHEST) {
      this.broken(`a block of order ${order}, which is no memory`, address);
    } else if (this.blocks.length < MOST_BLOCKS) {
      this.blocks.push({ address: Number(address), size: PAGE * 2 ** order, order });
    }
  }

  done(form: string): PreservedMap {
    this.blocks.sort((a, b) => a.address - b.address);
    return { form, blocks: this.blocks, own: this.own, damage: this.damage };
  }
}

/**
 * The radix tree since kho-v2 (`include/linux/kho/abi/kexec_handover.h`): tables of physical addresses, then bitmaps; a bit's
 * place is the order and the address of a block.
 */
export function readRadixTree(reader: HandoverReader, root: bigint): PreservedMap {
  const gathering = new Gathering(reader);
  const walk = (address: bigint, level: number, key: bigint): void => {
    const bytes = gathering.page(address);
    if (bytes === undefined) return;
    if (level === 0) {
      for (const bit of bitsOf(bytes)) addKey(gathering, (key << LEAF_BITS) | BigInt(bit));
      return;
    }
    const view = new DataView(bytes.buffer, bytes.byteOffset);
    for (let index = 0; index < PAGE / 8; index++) {
      const next = view.getBigUint64(index * 8, true);
      if (next !== 0n) walk(next, level - 1, (key << TABLE_BITS) | BigInt(index));
    }
  };
  walk(root, LEVELS, 0n);
  return gathering.done('radix tree');
}

function addKey(gathering: Gathering, key: bigint): void {
  const top = key.toString(2).length - 1;
  const order = ORDER_0_BIT - top;
  if (order < 0 || key === 0n) {
    gathering.broken('a key of no order', key);
    return;
  }
  const block = key ^ (1n << BigInt(top));
  gathering.add(block << (PAGE_SHIFT + BigInt(order)), order);
}

/**
 * The list of kho-v1: chunks of bitmaps, each for one stretch of memory and one order.
 * @param bitmapBytes 512 up to 6.17.8, a page since; told by `bitmapSize`
 */
export function readBitmaps(reader: HandoverReader, first: bigint, bitmapBytes: number): PreservedMap {
  const gathering = new Gathering(reader);
  for (let next = first; next !== 0n; ) {
    const chunk = gathering.page(next);
    if (chunk === undefined) break;
    const view = new DataView(chunk.buffer, chunk.byteOffset);
    const { order, count } = chunkHeader(view);
    if (order > ORDER_0_BIT || count > MOST_ELEMENTS) {
      gathering.broken(`a chunk of ${count} bitmaps of order ${order}`, next);
      break;
    }
    for (let index = 0; index < count; index++) {
      const start = view.getBigUint64(CHUNK_HEADER + index * 16, true);
      const bitmap = gathering.page(view.getBigUint64(CHUNK_HEADER + index * 16 + 8, true), bitmapBytes);
      if (bitmap === undefined) continue;
      for (const bit of bitsOf(bitmap)) gathering.add(start + (BigInt(bit) << (PAGE_SHIFT + BigInt(order))), order);
    }
    next = view.getBigUint64(0, true);
  }
  return gathering.done(`bitmaps of ${bitmapBytes === PAGE ? 'a page' : `${bitmapBytes} bytes`}`);
}

/**
 * How large the bitmaps of a kho-v1 list are, which its `compatible` does not tell: those of a page lie each in a page of
 * their own, those of 512 bytes anywhere; and the stretches of memory begin at multiples of what a bitmap covers.
 */
export function bitmapSize(reader: HandoverReader, first: bigint): number {
  const seen = new Set<bigint>();
  for (let at = first; at !== 0n && !seen.has(at) && seen.size < MOST_PAGES; ) {
    seen.add(at);
    const chunk = reader.view(at, PAGE);
    const { order, count } = chunkHeader(chunk);
    if (order > ORDER_0_BIT || count > MOST_ELEMENTS) break;
    const span = BigInt(PAGE * 8) << (PAGE_SHIFT + BigInt(order));
    for (let index = 0; index < count; index++) {
      const start = chunk.getBigUint64(CHUNK_HEADER + index * 16, true);
      const bitmap = chunk.getBigUint64(CHUNK_HEADER + index * 16 + 8, true);
      if (start % span !== 0n || bitmap % BigInt(PAGE) !== 0n) return 512;
    }
    at = chunk.getBigUint64(0, true);
  }
  return PAGE;
}

function chunkHeader(view: DataView): { readonly order: number; readonly count: number } {
  return { order: view.getUint32(8, true), count: view.getUint32(12, true) };
}

function* bitsOf(bytes: Uint8Array): Generator<number> {
  for (let index = 0; index < bytes.length; index++) {
    const byte = bytes[index] ?? 0;
    for (let bit = 0; byte !== 0 && bit < 8; bit++) if ((byte >> bit) & 1) yield index * 8 + bit;
  }
}
