import { viewOf } from '../../bytes/struct-table.js';
import type { LaidOut } from '../memory-layout.js';
import type { ProcessMemory } from './process-memory.js';
import { heaps, type RamBlock } from './ram-blocks.js';

/** What of a block the guest has where. */
export type GuestRange = LaidOut<RamBlock>;

/** How QEMU itself had laid out the guest's memory. */
export interface FlatView {
  /** Address of `struct FlatView` in the process. */
  readonly at: number;
  /** Ascending. */
  readonly ranges: readonly GuestRange[];
  /** It is the view of the address space called `memory`, which CPUs and dumps see. */
  readonly system: boolean;
}

/**
 * `struct FlatRange` (QEMU system/memory.c): mr 0, offset_in_region 8, addr.start 0x10 and addr.size 0x20 as 128-bit
 * numbers, flags; 0x40 bytes in all QEMUs since 2.5.
 */
const RANGE_BYTES = 0x40;
const MAX_RANGES = 100_000;
/** A machine's map has some dozens of ranges. */
const MOST_IN_VIEW = 4096;
const SYSTEM = 'memory';

/**
 * Finds QEMU's flat views: arrays of ranges that name the blocks' own MemoryRegions. A view counts when a
 * `struct FlatView` points at its array and tells its length; it is the system's when an AddressSpace of that name
 * points at the view.
 */
export function findFlatViews(memory: ProcessMemory, blocks: readonly RamBlock[]): FlatView[] {
  const byRegion = new Map(blocks.map((block) => [block.region, block]));
  const mentions = find(memory, new Set(byRegion.keys()));
  const arrays = arraysAt(memory, mentions, byRegion);
  const owners = find(memory, new Set(arrays));
  const views: FlatView[] = [];
  // Of views that overlap without end, as only a broken core has them, not all are read.
  let read = 0;
  for (const { at, value } of owners) {
    if (read > MAX_RANGES) break;
    const view = viewAt(memory, at, value, byRegion);
    read += view?.ranges.length ?? 1;
    if (view !== undefined) views.push(view);
  }
  const named = find(memory, new Set(views.map(({ at }) => at))).filter(({ at }) => isSystem(memory, at));
  return views.map((view) => ({ ...view, system: named.some(({ value }) => value === view.at) }));
}

interface Mention {
  readonly at: number;
  readonly value: number;
}

/** Where the heaps hold one of these pointers. */
function find(memory: ProcessMemory, values: ReadonlySet<number>): Mention[] {
  const found: Mention[] = [];
  if (values.size === 0) return found;
  const lows = new Set([...values].map((value) => value % 2 ** 32));
  memory.sweep(heaps(memory).likely, (words, address) => {
    for (let i = 0; i < words.length; i += 2) {
      const low = words[i] as number;
      if (low === 0 || !lows.has(low)) continue;
      const value = (words[i + 1] as number) * 2 ** 32 + low;
      if (values.has(value)) found.push({ at: address + 4 * i, value });
      if (found.length === MAX_RANGES) return true;
    }
    return false;
  });
  return found;
}

/** Where arrays may begin that have these mentions in them: the first range may be of no memory, so some before it count too. */
function arraysAt(
  memory: ProcessMemory,
  mentions: readonly Mention[],
  byRegion: ReadonlyMap<number, RamBlock>,
): number[] {
  const begins = new Set<number>();
  for (const { at } of mentions) {
    const range = rangeAt(memory, at);
    const block = range && byRegion.get(range.region);
    if (range === undefined || block === undefined || range.offset + range.size > block.size) continue;
    let first = at;
    begins.add(first);
    for (let count = 0; count < MAX_RANGES; count++) {
      const before = rangeAt(memory, first - RANGE_BYTES);
      const after = rangeAt(memory, first);
      if (before === undefined || after === undefined || before.physical + before.size > after.physical) break;
      first -= RANGE_BYTES;
      if (begins.has(first)) break;
      begins.add(first);
    }
  }
  return [...begins];
}

interface Range {
  readonly region: number;
  readonly offset: number;
  readonly physical: number;
  readonly size: number;
}

function rangeAt(memory: ProcessMemory, at: number): Range | undefined {
  const bytes = memory.bytes(at, RANGE_BYTES);
  if (bytes === undefined) return undefined;
  const view = viewOf(bytes);
  const word = (offset: number): number => Number(view.getBigUint64(offset, true));
  const [region, offset, physical, size] = [word(0), word(8), word(0x10), word(0x20)];
  const high = word(0x18) !== 0 || word(0x28) !== 0;
  if (high || size === 0 || physical + size > 2 ** 53 || memory.at(region) === undefined) return undefined;
  return { region, offset, physical, size };
}

/** @param at where a pointer to an array of ranges lies, which may be `ranges` of a FlatView; `nr` and `nr_allocated` follow it */
function viewAt(
  memory: ProcessMemory,
  at: number,
  array: number,
  byRegion: ReadonlyMap<number, RamBlock>,
): FlatView | undefined {
  const counts = memory.bytes(at + 8, 8);
  if (counts === undefined) return undefined;
  const nr = viewOf(counts).getUint32(0, true);
  const allocated = viewOf(counts).getUint32(4, true);
  if (nr === 0 || nr > allocated || nr > MOST_IN_VIEW) return undefined;
  const ranges: GuestRange[] = [];
  let end = 0;
  for (let i = 0; i < nr; i++) {
    const range = rangeAt(memory, array + i * RANGE_BYTES);
    if (range === undefined || range.physical < end) return undefined;
    end = range.physical + range.size;
    const block = byRegion.get(range.region);
    if (block === undefined) continue;
    if (range.offset + range.size > block.size) return undefined;
    ranges.push({ physical: range.physical, size: range.size, block, offset: range.offset });
  }
  // rcu_head of 16 bytes and `ref` before it.
  return { at: at - RANGES_AT, ranges, system: false };
}

/** Offset of `ranges` in FlatView: behind rcu (16) and ref (4). */
const RANGES_AT = 24;

/** @param at where a pointer to a view lies: is it `current_map` of an AddressSpace {rcu, name, root, current_map}? */
function isSystem(memory: ProcessMemory, at: number): boolean {
  const name = memory.word(at - 16);
  return name !== undefined && memory.string(name, 64) === SYSTEM;
}
