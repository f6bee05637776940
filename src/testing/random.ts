/** A small seeded generator (mulberry32), so that a fuzz test that fails fails again. */
export class Random {
  constructor(private state: number) {}

  /** A whole number from 0 to `limit` - 1. */
  below(limit: number): number {
    this.state = (this.state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.state ^ (this.state >>> 15), this.state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * limit);
  }

  /** One of the values. */
  pick<T>(values: readonly [T, ...T[]]): T {
    return values[this.below(values.length)] ?? values[0];
  }

  /** Changes up to `most` bytes in place: to 0, 1, 0x7f, 0x80, 0xff, or anything; at least one. */
  mutate(bytes: Uint8Array, most = 8): void {
    for (let left = 1 + this.below(most); left > 0; left--) {
      bytes[this.below(bytes.length)] = this.pick([0, 1, 0x7f, 0x80, 0xff, this.below(256)]);
    }
  }
}
