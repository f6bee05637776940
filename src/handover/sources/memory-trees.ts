import { orUndefined } from '../../bytes/errors.js';
import { viewOf } from '../../bytes/struct-table.js';
import type { PhysicalMemory } from '../../dump/memory.js';
import { FDT_MAGIC, fdtStrings, isFdt, readFdt } from '../fdt/fdt.js';
import { PAGE } from '../source-reader.js';

/** More than any kernel's tree has, in bytes. */
export const LARGEST_TREE = 1 << 24;

/** The bytes of a tree in memory, as many as its header says and are there. Undefined: there is none. */
export function treeAt(memory: PhysicalMemory, address: number): Uint8Array | undefined {
  const header = new Uint8Array(8);
  if (memory.tryRead(address as Parameters<PhysicalMemory['tryRead']>[0], header) !== undefined) return undefined;
  if (!isFdt(header)) return undefined;
  const bytes = new Uint8Array(Math.min(viewOf(header).getUint32(4), LARGEST_TREE));
  const stopped = memory.tryRead(address as Parameters<PhysicalMemory['tryRead']>[0], bytes);
  return stopped === undefined ? bytes : bytes.subarray(0, stopped.address - address);
}

/** Addresses of pages that begin with a tree whose root may be a handover's: all memory is looked at. */
export function* treesIn(memory: PhysicalMemory): Generator<number> {
  for (const { start, end } of memory.presentRanges()) {
    for (let at = Math.ceil(start / PAGE) * PAGE; at + PAGE <= end; at += PAGE) {
      const page = memory.peek((at / PAGE) as Parameters<PhysicalMemory['peek']>[0]);
      if (typeof page === 'string' || page[0] !== 0xd0 || viewOf(page).getUint32(0) !== FDT_MAGIC) continue;
      // Names may stand pages behind the root: only where it looks like one is all of it read.
      if (!rootValues(page.slice(0, PAGE)).some((value) => /^kho-v/.test(value))) continue;
      const [compatible = ''] = rootValues(treeAt(memory, at), 'compatible');
      if (/^kho-v/.test(compatible)) yield at;
    }
  }
}

/** The first strings of the root's properties, or of those of one name. */
function rootValues(blob: Uint8Array | undefined, name?: string): string[] {
  if (blob === undefined) return [];
  const properties = orUndefined(() => readFdt(blob).root.properties) ?? [];
  return properties
    .filter((one) => name === undefined || one.name === name)
    .map(({ value }) => fdtStrings(value)[0] ?? '');
}
