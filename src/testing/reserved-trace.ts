import { readFileSync } from 'node:fs';
import { decodeZstd } from '../codecs/zstd.js';
import { SparseMemory } from '../dump/testing/sparse-memory.js';
import { put, tree, u64 } from '../handover/testing/build.js';

/** Of each area, in bytes. */
export const AREA_SIZE = 256 * 1024;
/** Where the tree is, and the areas that it leads to; in the first one a kernel of the sample's build traced 523 events. */
export const TREE = 0x50000;
export const AREAS = { trace: 0x100000, other: 0x200000 };

const REGION = new URL('../../../src/trace/ring/fixtures/region-7.2-256K.zst', import.meta.url);

/** A machine whose kernel hands over two areas of `reserve_mem`, by a tree of `kho-v4`. */
export function reservedTrace(): { readonly memory: SparseMemory; readonly blob: Uint8Array } {
  const memory = new SparseMemory();
  const areas = Object.entries(AREAS).map(([name, start]) => ({
    name,
    properties: [
      { name: 'compatible', value: new TextEncoder().encode('reserve-mem-v1\0') },
      { name: 'start', value: u64(start) },
      { name: 'size', value: u64(AREA_SIZE) },
    ],
    children: [],
  }));
  const described = tree('memblock-v1', {}, areas);
  put(memory, 0x60000, described);
  const memblock = {
    name: 'memblock',
    properties: [
      { name: 'preserved-data', value: u64(0x60000) },
      { name: 'blob-size', value: u64(described.length) },
    ],
    children: [],
  };
  const blob = tree('kho-v4', {}, [memblock]);
  put(memory, TREE, blob);
  const region = new Uint8Array(AREA_SIZE);
  decodeZstd(readFileSync(REGION), region);
  for (let offset = 0; offset < AREA_SIZE; offset += 4096) {
    memory.at((AREAS.trace + offset) / 4096).set(region.subarray(offset, offset + 4096));
    memory.at((AREAS.other + offset) / 4096);
  }
  return { memory, blob };
}
