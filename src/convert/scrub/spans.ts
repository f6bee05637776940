/** Spans of physical addresses, gathered in any order, in one typed array: there may be millions. */
export class Spans {
  private bounds = new Float64Array(256);
  private used = 0;

  /** `end` is the first address after. Joined with the one before where it follows it. */
  add(start: number, end: number): void {
    if (end <= start) return;
    if (this.used > 0 && this.bounds[this.used - 1] === start) {
      this.bounds[this.used - 1] = end;
      return;
    }
    if (this.used === this.bounds.length) {
      const bigger = new Float64Array(this.used * 2);
      bigger.set(this.bounds);
      this.bounds = bigger;
    }
    this.bounds[this.used++] = start;
    this.bounds[this.used++] = end;
  }

  /** Start and end of each in turn, ascending, disjoint, without those of `kept`. */
  without(kept: Spans): Float64Array {
    const result = new Spans();
    const holes = kept.joined();
    let hole = 0;
    const all = this.joined();
    for (let i = 0; i < all.length; i += 2) {
      let start = all[i] as number;
      const end = all[i + 1] as number;
      while (hole < holes.length && (holes[hole + 1] as number) <= start) hole += 2;
      for (let at = hole; at < holes.length && (holes[at] as number) < end; at += 2) {
        result.add(start, holes[at] as number);
        start = Math.max(start, holes[at + 1] as number);
      }
      result.add(start, end);
    }
    return result.bounds.slice(0, result.used);
  }

  /** The same as start and end of each in turn, ascending; those that touch or overlap are one. */
  private joined(): Float64Array {
    const count = this.used / 2;
    const order = Float64Array.from({ length: count }, (_, index) => index);
    const start = (index: number): number => this.bounds[index * 2] as number;
    order.sort((a, b) => start(a) - start(b));
    const joined = new Float64Array(this.used);
    let used = 0;
    for (const index of order) {
      const end = this.bounds[index * 2 + 1] as number;
      if (used > 0 && start(index) <= (joined[used - 1] as number)) {
        joined[used - 1] = Math.max(joined[used - 1] as number, end);
      } else {
        joined[used++] = start(index);
        joined[used++] = end;
      }
    }
    return joined.slice(0, used);
  }
}
