import { structTable, u64 } from '../../bytes/struct-table.js';
import type { MemoryArea } from '../model.js';
import type { Told } from './told.js';

/** `SETUP_KEXEC_KHO` of arch/x86/include/uapi/asm/setup_data.h */
export const SETUP_KHO = 10;

/** `struct kho_data` of the same header: where the tree is, and the array of scratch areas. */
const KHO_DATA = structTable('kho_data', 32, { fdt: u64(0), fdtSize: u64(8), scratch: u64(16), scratchSize: u64(24) });
/** Of the series of 2023/24: where the tree is, the one scratch area, and a list of all memory that is kept. */
const KHO_DATA_2023 = structTable('kho_data', 48, {
  fdt: u64(0),
  fdtSize: u64(8),
  scratch: u64(16),
  scratchSize: u64(24),
  cache: u64(32),
  cacheSize: u64(40),
});
/** Longest of both. */
export const KHO_DATA_SIZE = KHO_DATA_2023.size;

/** What a kernel was given by the one before it, by the structure's length. Undefined: it is neither's. */
export function readKhoData(view: DataView): Pick<Told, 'address' | 'scratch' | 'scratchArray'> | undefined {
  const table = [KHO_DATA, KHO_DATA_2023].find(({ size }) => size === view.byteLength);
  if (table === undefined) return undefined;
  const { fdt, fdtSize, scratch, scratchSize } = table.read(view, 0, true);
  const tree = areaOf(fdt, fdtSize);
  const area = areaOf(scratch, scratchSize);
  return {
    ...(tree !== undefined && { address: tree.address }),
    ...(area !== undefined && (table === KHO_DATA ? { scratchArray: area } : { scratch: [area] })),
  };
}

/** Undefined for what no memory has. */
export function areaOf(address: bigint, size: bigint): MemoryArea | undefined {
  if (size <= 0n || address + size > 1n << 52n) return undefined;
  return { address: Number(address), size: Number(size) };
}
