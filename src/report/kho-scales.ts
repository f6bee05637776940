import type { MemoryArea } from '../handover/model.js';

/** A stretch of the address space that is drawn by itself. */
export interface Window {
  /** Physical, in bytes; a multiple of the column's bytes. */
  readonly start: number;
  /** Bytes in a column: a power of 2. */
  readonly column: number;
  /** Empty for the first, which is all memory. */
  readonly letter: string;
  /** The one on which it is too small. */
  readonly parent: Window | undefined;
}

/** The finest: nothing is smaller than a page. */
const FINEST = 4096;
const MOST_WINDOWS = 8;
/** So many empty columns part one crowd from the next. */
const APART = 2;
/** A window is worth drawing when it is so many times larger. */
const LARGER = 4;

/**
 * Chooses the scales to draw: all memory, and the places where more lies than columns can show, where the most is first.
 * @param marks what is to be seen, ascending by address; they may overlap
 * @param furthest where memory ends
 */
export function chosenScales(
  marks: readonly MemoryArea[],
  furthest: number,
  columns: number,
): { readonly windows: readonly Window[]; readonly undrawn: number } {
  const whole: Draft = { start: 0, column: columnFor(furthest, columns), parent: undefined, inside: marks };
  const chosen: Draft[] = [];
  let waiting: Draft[] = [whole];
  while (waiting.length > 0 && chosen.length < MOST_WINDOWS) {
    const [next, ...rest] = waiting.sort((a, b) => b.inside.length - a.inside.length);
    if (next === undefined) break;
    chosen.push(next);
    waiting = [...rest, ...crowdsOf(next, columns)];
  }
  return { windows: lettered(chosen), undrawn: waiting.reduce((sum, { inside }) => sum + inside.length, 0) };
}

interface Draft {
  readonly start: number;
  readonly column: number;
  readonly parent: Draft | undefined;
  readonly inside: readonly MemoryArea[];
}

/** The smallest power of 2 by which so many bytes fit into the columns. */
function columnFor(bytes: number, columns: number): number {
  let column = FINEST;
  while (column * columns < bytes) column *= 2;
  return column;
}

/** Where a window's columns hide something: a mark smaller than a column, or several in one. */
function crowdsOf(draft: Draft, columns: number): Draft[] {
  const { start, column } = draft;
  if (column <= FINEST) return [];
  const found: Draft[] = [];
  let crowd: MemoryArea[] = [];
  let lastColumn = Number.NEGATIVE_INFINITY;
  const finish = (): void => {
    const next = crowdWindow(draft, crowd, columns);
    if (next !== undefined) found.push(next);
    crowd = [];
  };
  for (const mark of draft.inside) {
    // What fills columns is seen as it is.
    if (mark.size >= column * APART) continue;
    const first = Math.floor((mark.address - start) / column);
    if (first - lastColumn > APART) finish();
    crowd.push(mark);
    lastColumn = Math.max(lastColumn, Math.floor((mark.address + mark.size - 1 - start) / column));
  }
  finish();
  return found;
}

function crowdWindow(parent: Draft, crowd: readonly MemoryArea[], columns: number): Draft | undefined {
  const [first] = crowd;
  if (first === undefined) return undefined;
  const low = first.address;
  const high = crowd.reduce((most, { address, size }) => Math.max(most, address + size), 0);
  let column = columnFor(high - low, columns);
  let start = Math.floor(low / column) * column;
  // Aligned, the last column may lie outside.
  if (start + column * columns < high) {
    column *= 2;
    start = Math.floor(low / column) * column;
  }
  if (column * LARGER > parent.column) {
    // It is as wide as the window itself: its fullest part, as large as is worth it.
    column = parent.column / LARGER;
    if (column < FINEST) return undefined;
    start = fullest(crowd, column * columns, column);
  }
  const end = start + column * columns;
  const inside = crowd.filter(({ address, size }) => address < end && address + size > start);
  return { start, column, parent, inside };
}

/** Where a window of this many bytes has the most marks, which ascend by address. */
function fullest(marks: readonly MemoryArea[], bytes: number, column: number): number {
  let best = 0;
  let most = 0;
  let last = 0;
  for (const [index, { address }] of marks.entries()) {
    while (last < marks.length && (marks[last]?.address ?? 0) < address + bytes - column) last++;
    if (last - index > most) {
      most = last - index;
      best = address;
    }
  }
  return Math.floor(best / column) * column;
}

/** In the order of their addresses, each behind the one that it is a part of. */
function lettered(drafts: readonly Draft[]): Window[] {
  const windows: Window[] = [];
  const add = (draft: Draft, parent: Window | undefined): void => {
    const letter = windows.length === 0 ? '' : String.fromCharCode(0x40 + windows.length);
    const window: Window = { start: draft.start, column: draft.column, letter, parent };
    windows.push(window);
    const children = drafts.filter((one) => one.parent === draft).sort((a, b) => a.start - b.start);
    for (const child of children) add(child, window);
  };
  const whole = drafts.find(({ parent }) => parent === undefined);
  if (whole !== undefined) add(whole, undefined);
  return windows;
}
