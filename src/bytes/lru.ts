/**
 * A cache with a budget in bytes, least recently used out first.
 * Keys are numbers (a pfn, a block index); a Map keeps them in order of use.
 */
export class LruCache<V> {
  private readonly entries = new Map<number, { readonly value: V; readonly bytes: number }>();
  private used = 0;
  /** The key used last: asking for it again must not move it in the Map, which costs microseconds each time. */
  private newest: number | undefined;

  /**
   * @param budget how many bytes of values to hold at the most
   * @param dropped told of each value that had to make room for others
   */
  constructor(
    private readonly budget: number,
    private readonly dropped: (value: V) => void = () => {},
  ) {}

  get(key: number): V | undefined {
    const entry = this.entries.get(key);
    if (entry === undefined) return undefined;
    if (key !== this.newest) {
      this.entries.delete(key);
      this.entries.set(key, entry);
      this.newest = key;
    }
    return entry.value;
  }

  /** Keeps a value, and drops the oldest ones until the budget holds. A value over the whole budget is not kept. */
  set(key: number, value: V, bytes: number): void {
    const previous = this.entries.get(key);
    if (previous !== undefined) {
      this.used -= previous.bytes;
      this.entries.delete(key);
    }
    if (bytes > this.budget) return;
    this.entries.set(key, { value, bytes });
    this.newest = key;
    this.used += bytes;
    for (const [oldest, entry] of this.entries) {
      if (this.used <= this.budget) break;
      this.entries.delete(oldest);
      this.used -= entry.bytes;
      this.dropped(entry.value);
    }
  }

  /** Bytes held now. */
  get size(): number {
    return this.used;
  }
}
