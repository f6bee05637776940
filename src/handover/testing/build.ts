import { viewOf } from '../../bytes/struct-table.js';
import { Layout } from '../build/layout.js';
import { MapPages, placeRadixTree } from '../build/preserved-map.js';
import { type NewNode, writeFdt } from '../fdt/fdt-write.js';

const PAGE = 4096;

/** Memory whose pages can be written. */
export interface WritableMemory {
  at(pfn: number): Uint8Array;
}

/** Little endian. */
export function u64(...values: readonly (number | bigint)[]): Uint8Array {
  return new Uint8Array(BigUint64Array.from(values, BigInt).buffer);
}

/** Writes bytes into memory, whose pages are made. */
export function put(memory: WritableMemory, address: number, bytes: Uint8Array): void {
  for (const [index, byte] of bytes.entries()) {
    const at = address + index;
    memory.at(Math.floor(at / PAGE))[at % PAGE] = byte;
  }
}

/** A handover's tree. */
export function tree(compatible: string, properties: Record<string, Uint8Array>, children: NewNode[] = []): Uint8Array {
  const list = Object.entries(properties).map(([name, value]) => ({ name, value }));
  const first = { name: 'compatible', value: new TextEncoder().encode(`${compatible}\0`) };
  return writeFdt({ root: { name: '', properties: [first, ...list], children } });
}

/** A radix tree with these blocks, its pages from `root` on. */
export function radixTree(
  memory: WritableMemory,
  root: number,
  blocks: readonly (readonly [address: number, order: number])[],
): void {
  const layout = new Layout(root, []);
  const planned = blocks.map(([address, order]) => {
    const size = PAGE * 2 ** order;
    // As a key does: what stands amid a block is the block.
    return { address: address - (address % size), order, size, path: 'blocks' };
  });
  placeRadixTree(new MapPages(layout, [], 'map'), planned);
  layout.settle();
  const image = layout.image();
  for (const { start, end } of image.presentRanges()) {
    for (let at: number = start; at < end; at += PAGE) memory.at(at / PAGE).set(image.bytes(at, PAGE));
  }
}

/** A live update session `vm` with a memfd of 5000 bytes, token 7, from 0x500000 on; its folios at 0x600000 and 0x777000. */
export function luoWithMemfd(memory: WritableMemory): NewNode {
  const luo = viewOf(memory.at(0x500));
  put(memory, 0x500000, new TextEncoder().encode('luo-v5'));
  luo.setBigUint64(8, 3n, true);
  luo.setBigUint64(16, 0x501000n, true);
  put(memory, 0x501000, u64(0, 1));
  put(memory, 0x501010, new TextEncoder().encode('vm'));
  put(memory, 0x501010 + 64, u64(0x502000, 1));
  put(memory, 0x502000, u64(0, 1));
  put(memory, 0x502010, new TextEncoder().encode('memfd-v2'));
  put(memory, 0x502010 + 48, u64(0x503000, 7));
  put(memory, 0x503000, u64(0, 5000));
  put(memory, 0x503018, u64(2));
  put(memory, 0x503020, u64(0x504000));
  viewOf(memory.at(0x503)).setUint32(0x28, 1, true);
  put(memory, 0x504000, u64(0, 0x505000, 0));
  put(memory, 0x505000, u64(0x600n | (3n << 52n), 0, 0x777n | (2n << 52n), 1));
  return {
    name: 'LUO',
    properties: [
      { name: 'blob-size', value: u64(32) },
      { name: 'preserved-data', value: u64(0x500000) },
    ],
    children: [],
  };
}
