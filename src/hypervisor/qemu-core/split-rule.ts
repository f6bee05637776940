import type { GuestRange } from './flat-view.js';
import type { RamBlock } from './ram-blocks.js';

const GIB = 2 ** 30;
/** Where memory that does not fit below the hole for devices goes on. */
const ABOVE = 4 * GIB;

/**
 * Where machines put their memory: with `from` bytes or more of it only `low` bytes are below the hole for devices
 * (QEMU hw/i386/pc_piix.c, pc_q35.c, microvm.c).
 */
export const SPLITS = [
  { machine: 'q35', from: 0xb000_0000, low: 2 * GIB },
  { machine: 'pc and microvm', from: 0xe000_0000, low: 3 * GIB },
] as const;

/** Blocks that are ROMs, tables and video memory, by their names; what else there is is the machine's memory. */
const OTHER = /^\/rom@|\.(?:bios|rom|vram|vga)|^(?:pc\.(?:bios|rom)|system\.flash)|vga|\.rom$|flash/i;

/** Blocks that a machine's memory is made of, in the order in which QEMU made them. */
export function mainMemory(blocks: readonly RamBlock[]): RamBlock[] {
  return blocks.filter(({ name }) => !OTHER.test(name));
}

/** A machine's memory laid out by one of the rules: one block behind the other, from 0 on. */
export function bySplit(blocks: readonly RamBlock[], split: (typeof SPLITS)[number]): GuestRange[] {
  const total = blocks.reduce((sum, { size }) => sum + size, 0);
  const low = total >= split.from ? split.low : total;
  const ranges: GuestRange[] = [];
  let done = 0;
  for (const block of blocks) {
    const below = Math.min(block.size, Math.max(0, low - done));
    if (below > 0) ranges.push({ physical: done, size: below, block, offset: 0 });
    if (below < block.size) {
      ranges.push({ physical: ABOVE + done + below - low, size: block.size - below, block, offset: below });
    }
    done += block.size;
  }
  return ranges;
}
