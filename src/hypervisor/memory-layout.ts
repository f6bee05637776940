/** A range of guest-physical addresses and the part of a block of memory that is there, in bytes. */
export interface LaidOut<Block> {
  readonly physical: number;
  readonly size: number;
  readonly block: Block;
  /** Where in the block it begins. */
  readonly offset: number;
}

/** A block of memory, by its name and size in bytes. */
interface Sized {
  readonly name: string;
  readonly size: number;
}

const GIB = 2 ** 30;
/** Where memory that does not fit below the hole for devices goes on. */
const ABOVE = 4 * GIB;

/**
 * Where machines put their memory: with `from` bytes or more of it only `low` bytes are below the hole for devices
 * (QEMU hw/i386/pc_piix.c, pc_q35.c, microvm.c).
 */
export const SPLITS = [
  { machine: 'q35', types: /q35/, from: 0xb000_0000, low: 2 * GIB },
  { machine: 'pc and microvm', types: /i440fx|microvm|^pc/, from: 0xe000_0000, low: 3 * GIB },
] as const;

export type Split = (typeof SPLITS)[number];

/** Blocks that are ROMs, tables and video memory, by their names; what else there is is the machine's memory. */
const OTHER = /^\/rom@|vga|vram|flash|\.rom$|^pc\.(?:bios|rom)$|\.bios$/i;
/** The firmware, which ends where 4 GiB do. */
const FIRMWARE = /^(?:pc\.bios|microvm\.bios|system\.flash\d?)$/;

/** Blocks that a machine's memory is made of, in the order in which QEMU made them. */
export function mainMemory<Block extends Sized>(blocks: readonly Block[]): Block[] {
  return blocks.filter(({ name }) => !OTHER.test(name));
}

/** A machine's memory laid out by one of the rules: one block behind the other, from 0 on; and its firmware. */
export function bySplit<Block extends Sized>(blocks: readonly Block[], split: Split): LaidOut<Block>[] {
  const main = mainMemory(blocks);
  const total = main.reduce((sum, { size }) => sum + size, 0);
  const low = total >= split.from ? split.low : total;
  const ranges: LaidOut<Block>[] = [];
  let done = 0;
  for (const block of main) {
    const below = Math.min(block.size, Math.max(0, low - done));
    if (below > 0) ranges.push({ physical: done, size: below, block, offset: 0 });
    if (below < block.size) {
      ranges.push({ physical: ABOVE + done + below - low, size: block.size - below, block, offset: below });
    }
    done += block.size;
  }
  const firmware = blocks.find(({ name }) => FIRMWARE.test(name));
  if (firmware !== undefined && firmware.size < GIB) {
    ranges.push({ physical: ABOVE - firmware.size, size: firmware.size, block: firmware, offset: 0 });
  }
  return ranges;
}

/** A machine's memory by one of the rules, and what speaks for it. */
export interface Fitting<Block> {
  readonly split: Split;
  readonly layout: readonly LaidOut<Block>[];
  readonly fits: number;
}

/**
 * The rule that fits best, by what `judge` counts; among equals the one of the machine type that is named, else the first.
 * @param type QEMU's name of the machine, where it is known
 */
export function bestSplit<Block extends Sized>(
  blocks: readonly Block[],
  judge: (layout: readonly LaidOut<Block>[]) => number,
  type?: string,
): Fitting<Block> {
  const named = SPLITS.find(({ types }) => type !== undefined && types.test(type));
  const fitting = (split: Split): Fitting<Block> => {
    const layout = bySplit(blocks, split);
    return { split, layout, fits: judge(layout) };
  };
  const [first, ...rest] = SPLITS;
  return rest.map(fitting).reduce((best, one) => {
    return one.fits > best.fits || (one.fits === best.fits && one.split === named) ? one : best;
  }, fitting(first));
}
