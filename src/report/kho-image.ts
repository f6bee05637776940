import type { PhysicalRange } from '../dump/memory.js';
import { AreaSet, overlaps } from '../handover/area-set.js';
import type { Handover, MemoryArea, NamedArea } from '../handover/model.js';
import { headReport } from './kho.js';
import { namedByAddress, type OwnedBlock, ownedBlocks } from './kho-owners.js';
import { chosenScales, type Window } from './kho-scales.js';
import type { KhoHead } from './schema/kho.js';

/** How many columns a scale is drawn in. */
export const COLUMNS = 64;

/** What a bar stands for. */
export type BarKind =
  | 'ram'
  | 'scratch'
  /** Memory in the map of preserved memory. */
  | 'preserved'
  /** Memory that is named, and is not in the map, or the map is not there. */
  | 'named'
  /** A page of the map itself. */
  | 'map'
  /** What should not be: preserved memory in scratch memory or where no RAM is, memory that two name. */
  | 'fault'
  /** A part that a scale of its own shows. */
  | 'zoom';

/** Memory of one kind; what lies closer than can be drawn is one. */
export interface ImageBar {
  readonly kind: BarKind;
  /** Physical, in bytes; `end` is the first byte after. */
  readonly start: number;
  readonly end: number;
  /** The same in columns of the scale, cut off at its edges. */
  readonly from: number;
  readonly to: number;
  /** The largest order of the blocks in it. */
  readonly order: number | undefined;
  /** How many places it is, and how many bytes they have together. */
  readonly places: number;
  readonly bytes: number;
  /** What to say of it besides. */
  readonly about: string | undefined;
}

/** A row of a scale. */
export interface ImageLane {
  readonly name: string;
  readonly bars: readonly ImageBar[];
}

/** A stretch of the address space, drawn in one size. */
export interface ImageScale {
  /** A letter; empty for all memory. */
  readonly letter: string;
  readonly start: number;
  readonly end: number;
  /** Bytes in a column. */
  readonly column: number;
  readonly lanes: readonly ImageLane[];
}

/** A picture of a handover's memory. */
export interface HandoverImage extends KhoHead {
  readonly scales: readonly ImageScale[];
  /** Places that are too small to be seen, and are drawn on no scale of their own. */
  readonly undrawn: number;
}

/** More rows than these nobody reads: the smallest owners share one. */
const MOST_OWNERS = 12;
/** Less than this part of all RAM is a scrap. */
const SCRAP = 1024;
/** Bars in a column: finer than anybody sees. */
const FINENESS = 16;

/** Draws the memory of handovers: RAM, scratch, what is preserved and for whom, the map's own pages, and what overlaps. */
export function buildKhoImage(
  handovers: readonly Handover[],
  ranges: readonly PhysicalRange[] | undefined,
): HandoverImage[] {
  return handovers.map((handover) => handoverImage(handover, ranges));
}

/** What is drawn in a row, before it is put on a scale. */
interface Row {
  readonly name: string;
  readonly kind: BarKind;
  readonly marks: readonly Mark[];
}

interface Mark extends MemoryArea {
  readonly kind: BarKind;
  readonly order?: number;
  readonly count?: number;
  readonly about?: string;
}

function handoverImage(handover: Handover, ranges: readonly PhysicalRange[] | undefined): HandoverImage {
  const named = namedByAddress(handover);
  const blocks = ownedBlocks(handover, named);
  const ram = ranges?.map(({ start, end }): Mark => ({ kind: 'ram', address: start, size: end - start }));
  const owners = ownerRows(handover, named, blocks);
  const map = (handover.preserved?.own ?? []).map((area): Mark => ({ ...area, kind: 'map' }));
  const faults = faultsOf(handover, named, blocks, ranges);
  const rows: Row[] = [
    ...(ram === undefined ? [] : [{ name: 'RAM', kind: 'ram' as const, marks: ram }]),
    {
      name: 'scratch',
      kind: 'scratch',
      marks: sorted(handover.scratch.map((area) => ({ ...area, kind: 'scratch' as const }))),
    },
    ...owners,
    { name: "the map's own pages", kind: 'map', marks: sorted(map) },
    { name: 'overlaps', kind: 'fault', marks: faults },
  ];
  const drawn = rows.filter(({ marks, kind }) => marks.length > 0 || kind === 'scratch');
  const crowded = sorted([...owners.flatMap(({ marks }) => marks), ...map, ...faults]);
  const { windows, undrawn } = chosenScales(crowded, furthestOf(drawn), COLUMNS);
  return {
    ...headReport(handover),
    scales: windows.map((window) => scaleOf(window, windows, drawn)),
    undrawn,
  };
}

/** Where memory ends. A scrap of RAM far away, as firmware's flash below 4 GiB, is not worth most of the columns. */
function furthestOf(rows: readonly Row[]): number {
  const all = rows.flatMap(({ kind, marks }) => {
    const least = kind === 'ram' ? bytesOf(marks) / SCRAP : 0;
    return marks.filter(({ size }) => size >= least);
  });
  return all.reduce((most, { address, size }) => Math.max(most, address + size), 0);
}

/** A row for each owner, by where it begins; the smallest share one when there are many. */
function ownerRows(handover: Handover, named: readonly NamedArea[], blocks: readonly OwnedBlock[]): Row[] {
  const kept = new AreaSet(handover.preserved?.blocks ?? []);
  const { preserved } = handover;
  const known = preserved !== undefined && preserved.overwritten !== true;
  const unmapped = known ? 'not in the map' : 'named, and the map is not there';
  const marks: (readonly [owner: string, mark: Mark])[] = [];
  for (const { owner = NOBODY, order, count, address, size } of blocks) {
    marks.push([ofWhom(owner), { kind: 'preserved', address, size, order, count, about: owner }]);
  }
  for (const { what, address, size } of named) {
    for (const gap of kept.gaps({ address, size })) {
      marks.push([ofWhom(what), { ...gap, kind: 'named', about: `${what}: ${unmapped}` }]);
    }
  }
  const fine = byOwner(marks);
  const rows = fine.size <= MOST_OWNERS ? fine : byOwner(marks.map(([owner, mark]) => [sessionOf(owner), mark]));
  const bySize = [...rows].sort(([, a], [, b]) => bytesOf(b) - bytesOf(a));
  const shown = bySize.length > MOST_OWNERS ? bySize.slice(0, MOST_OWNERS - 1) : bySize;
  const others = bySize.slice(shown.length).flatMap(([, list]) => list);
  const own = shown
    .map(([name, list]): Row => ({ name, kind: 'preserved', marks: sorted(list) }))
    .sort((a, b) => (a.marks[0]?.address ?? 0) - (b.marks[0]?.address ?? 0));
  if (others.length === 0) return own;
  return [...own, { name: `${bySize.length - shown.length} others`, kind: 'preserved', marks: sorted(others) }];
}

function byOwner(marks: readonly (readonly [owner: string, mark: Mark])[]): Map<string, Mark[]> {
  const rows = new Map<string, Mark[]>();
  for (const [owner, mark] of marks) {
    const list = rows.get(owner);
    if (list === undefined) rows.set(owner, [mark]);
    else list.push(mark);
  }
  return rows;
}

const NOBODY = 'nobody known';

/** A row is for all that somebody has: `vm/7: folio` and `vm/7: list of folios` are of one file. */
function ofWhom(owner: string): string {
  const end = owner.lastIndexOf(': ');
  return end > 0 ? owner.slice(0, end) : owner;
}

/** All files of a session are one owner where there are many of them. */
function sessionOf(owner: string): string {
  return owner.replace(/\/\d+$/, '/*');
}

function bytesOf(marks: readonly MemoryArea[]): number {
  return marks.reduce((sum, { size }) => sum + size, 0);
}

function sorted(marks: readonly Mark[]): Mark[] {
  return [...marks].sort((a, b) => a.address - b.address);
}

/** What lies where it should not. */
function faultsOf(
  { scratch, preserved }: Handover,
  named: readonly NamedArea[],
  blocks: readonly OwnedBlock[],
  ranges: readonly PhysicalRange[] | undefined,
): Mark[] {
  const found: Mark[] = [];
  const add = (areas: Iterable<MemoryArea>, about: string): void => {
    for (const area of areas) found.push({ kind: 'fault', address: area.address, size: area.size, about });
  };
  const free = new AreaSet(scratch);
  const ram = ranges && AreaSet.ofRanges(ranges);
  for (const block of blocks) {
    const owner = block.owner ?? 'preserved memory';
    add(free.within(block), `${owner}: in scratch memory`);
    if (ram !== undefined) add(ram.gaps(block), `${owner}: no RAM is there`);
  }
  for (const own of preserved?.own ?? []) add(free.within(own), 'a page of the map: in scratch memory');
  add(overlaps(blocks), 'blocks that overlap each other');
  for (const [one, other] of pairsThatOverlap(named)) {
    const start = Math.max(one.address, other.address);
    const size = Math.min(one.address + one.size, other.address + other.size) - start;
    add([{ address: start, size }], `${one.what} and ${other.what} overlap`);
  }
  return sorted(found);
}

/** Each area with the one that reaches furthest before it, where they overlap. */
function* pairsThatOverlap(named: readonly NamedArea[]): Generator<[NamedArea, NamedArea]> {
  let furthest: NamedArea | undefined;
  for (const area of named) {
    if (furthest !== undefined && area.address < furthest.address + furthest.size && area.what !== furthest.what) {
      yield [furthest, area];
    }
    if (furthest === undefined || area.address + area.size > furthest.address + furthest.size) furthest = area;
  }
}

function scaleOf(window: Window, windows: readonly Window[], rows: readonly Row[]): ImageScale {
  const { start, column, letter } = window;
  const end = start + column * COLUMNS;
  const zooms = windows
    .filter(({ parent }) => parent === window)
    .map((child): Mark => {
      const size = child.column * COLUMNS;
      return { kind: 'zoom', address: child.start, size, about: child.letter };
    });
  const lanes = rows.flatMap(({ name, kind, marks }): ImageLane[] => {
    const bars = barsOf(marks, start, column);
    // Rows of a scale are those that have something there, and what everything is seen against.
    const always = kind === 'ram' || (kind === 'scratch' && window.parent === undefined);
    return bars.length > 0 || always ? [{ name, bars }] : [];
  });
  const zoomed = zooms.flatMap((mark) => barsOf([mark], start, column));
  return {
    letter,
    start,
    end,
    column,
    lanes: zooms.length === 0 ? lanes : [...lanes, { name: 'drawn larger', bars: zoomed }],
  };
}

/** Marks, ascending, as bars of a scale: those of one kind that nobody could tell apart are one. */
function barsOf(marks: readonly Mark[], start: number, column: number): ImageBar[] {
  const end = start + column * COLUMNS;
  const bars: ({ -readonly [key in keyof ImageBar]: ImageBar[key] } & { end: number })[] = [];
  for (const { kind, address, size, order, count = 1, about } of marks) {
    if (address >= end || address + size <= start || size <= 0) continue;
    const from = Math.max(0, (address - start) / column);
    const to = Math.min(COLUMNS, (address + size - start) / column);
    const last = bars.at(-1);
    if (
      last !== undefined &&
      last.kind === kind &&
      last.about === about &&
      from - last.to < 1 / FINENESS &&
      isFine(last, to)
    ) {
      last.end = Math.max(last.end, address + size);
      last.to = Math.max(last.to, to);
      last.order = order === undefined ? last.order : Math.max(last.order ?? 0, order);
      last.places += count;
      last.bytes += size;
    } else {
      bars.push({ kind, start: address, end: address + size, from, to, order, places: count, bytes: size, about });
    }
  }
  return bars;
}

/** Would both together still be less than a sixteenth of a column, or is the last one so small that they must be one? */
function isFine(last: ImageBar, to: number): boolean {
  return to - last.from < 1 / FINENESS || last.to - last.from < 1 / FINENESS;
}
