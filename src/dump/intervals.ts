/**
 * Intervals of numbers that may overlap, made disjoint: where several cover a place, the one with the highest rank owns it.
 * All in typed arrays, for files with hundreds of thousands of them.
 */
export class IntervalIndex {
  private last = 0;

  private constructor(
    /** How many disjoint intervals there are. */
    readonly length: number,
    /** First number of each, ascending. */
    readonly starts: Float64Array,
    /** First number after each. */
    readonly ends: Float64Array,
    /** Which of the given intervals each is a part of. */
    readonly owners: Uint32Array,
    /** Did any of the given intervals overlap? */
    readonly overlapping: boolean,
  ) {}

  /**
   * @param starts first number of each interval
   * @param ends first number after each; intervals that are not longer than 0 are left out
   * @param ranks which wins where two overlap: the higher; no two alike
   */
  static build(starts: Float64Array, ends: Float64Array, ranks: (index: number) => number): IntervalIndex {
    const order = ascending(starts, ends);
    if (!anyOverlap(order, starts, ends)) {
      const sorted = (values: Float64Array) => Float64Array.from(order, (index) => values[index] as number);
      return new IntervalIndex(order.length, sorted(starts), sorted(ends), order, false);
    }
    return IntervalIndex.resolve(order, starts, ends, ranks);
  }

  /** Of intervals that are known not to overlap; were they to, the first given wins. */
  static of(intervals: readonly { readonly start: number; readonly end: number }[]): IntervalIndex {
    return IntervalIndex.build(
      Float64Array.from(intervals, ({ start }) => start),
      Float64Array.from(intervals, ({ end }) => end),
      (index) => -index,
    );
  }

  /** Sweeps from left to right; a heap holds the intervals that are open, the highest rank on top. */
  private static resolve(
    order: Uint32Array,
    starts: Float64Array,
    ends: Float64Array,
    ranks: (index: number) => number,
  ): IntervalIndex {
    // Each interval begins at most one piece where it starts, and at most one where a higher one ends.
    const outStarts = new Float64Array(2 * order.length);
    const outEnds = new Float64Array(2 * order.length);
    const outOwners = new Uint32Array(2 * order.length);
    let pieces = 0;
    const heap = new RankHeap(order.length, ranks);
    let next = 0;
    let position = 0;
    while (next < order.length || heap.size > 0) {
      if (heap.size === 0) position = Math.max(position, starts[order[next] as number] as number);
      while (next < order.length && (starts[order[next] as number] as number) <= position) {
        heap.push(order[next++] as number);
      }
      while (heap.size > 0 && (ends[heap.top] as number) <= position) heap.pop();
      if (heap.size === 0) continue;
      const owner = heap.top;
      let end = ends[owner] as number;
      if (next < order.length) end = Math.min(end, starts[order[next] as number] as number);
      if (pieces > 0 && outOwners[pieces - 1] === owner && outEnds[pieces - 1] === position) {
        outEnds[pieces - 1] = end;
      } else {
        outStarts[pieces] = position;
        outEnds[pieces] = end;
        outOwners[pieces] = owner;
        pieces++;
      }
      position = end;
    }
    return new IntervalIndex(
      pieces,
      outStarts.slice(0, pieces),
      outEnds.slice(0, pieces),
      outOwners.slice(0, pieces),
      true,
    );
  }

  /** The index of the first interval that ends after `position`: it holds it, or lies behind it. `length` when none. */
  at(position: number): number {
    const { last } = this;
    if (last < this.length && (this.ends[last] as number) > position) {
      if (last === 0 || (this.ends[last - 1] as number) <= position) return last;
    } else if (last + 1 < this.length && (this.ends[last + 1] as number) > position) {
      this.last = last + 1;
      return last + 1;
    }
    let low = 0;
    let high = this.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.ends[middle] as number) > position) high = middle;
      else low = middle + 1;
    }
    this.last = low;
    return low;
  }

  /** Which of the given intervals owns `position`; -1: none. */
  ownerAt(position: number): number {
    const at = this.at(position);
    return this.holds(at, position) ? (this.owners[at] as number) : -1;
  }

  /** The first number behind the interval that holds `position`; undefined: none does. */
  endOf(position: number): number | undefined {
    const at = this.at(position);
    return this.holds(at, position) ? this.ends[at] : undefined;
  }

  /** Where the first interval begins that does so behind `position`; Infinity: there is none. */
  nextStart(position: number): number {
    const at = this.at(position);
    return this.starts[this.holds(at, position) ? at + 1 : at] ?? Number.POSITIVE_INFINITY;
  }

  /** Does the interval that `at` gave hold `position`, and not only lie behind it? */
  private holds(at: number, position: number): boolean {
    return at < this.length && (this.starts[at] as number) <= position;
  }
}

function ascending(starts: Float64Array, ends: Float64Array): Uint32Array {
  const order = new Uint32Array(starts.length);
  let count = 0;
  let sorted = true;
  for (let i = 0; i < starts.length; i++) {
    if ((ends[i] as number) <= (starts[i] as number)) continue;
    if (count > 0 && (starts[order[count - 1] as number] as number) > (starts[i] as number)) sorted = false;
    order[count++] = i;
  }
  const kept = order.slice(0, count);
  return sorted ? kept : kept.sort((a, b) => (starts[a] as number) - (starts[b] as number));
}

function anyOverlap(order: Uint32Array, starts: Float64Array, ends: Float64Array): boolean {
  for (let i = 1; i < order.length; i++) {
    if ((starts[order[i] as number] as number) < (ends[order[i - 1] as number] as number)) return true;
  }
  return false;
}

/** A binary heap of interval numbers, the highest rank on top. */
class RankHeap {
  size = 0;
  private readonly entries: Uint32Array;

  constructor(
    capacity: number,
    private readonly ranks: (index: number) => number,
  ) {
    this.entries = new Uint32Array(capacity);
  }

  get top(): number {
    return this.entries[0] as number;
  }

  push(index: number): void {
    const { entries, ranks } = this;
    let at = this.size++;
    while (at > 0) {
      const parent = (at - 1) >>> 1;
      if (ranks(entries[parent] as number) >= ranks(index)) break;
      entries[at] = entries[parent] as number;
      at = parent;
    }
    entries[at] = index;
  }

  pop(): void {
    const { entries, ranks } = this;
    const moved = entries[--this.size] as number;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= this.size) break;
      if (child + 1 < this.size && ranks(entries[child + 1] as number) > ranks(entries[child] as number)) child++;
      if (ranks(moved) >= ranks(entries[child] as number)) break;
      entries[at] = entries[child] as number;
      at = child;
    }
    entries[at] = moved;
  }
}
