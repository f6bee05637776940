/** A value in the cache, between the ones that were used just before and just after it. */
interface Entry<V> {
  readonly key: number;
  readonly value: V;
  readonly bytes: number;
  older: Entry<V> | undefined;
  newer: Entry<V> | undefined;
}

/**
 * A cache with a budget in bytes, least recently used out first.
 * Keys are numbers (a pfn, a block index). A chain keeps the values in order of use: a Map in that order would have to
 * be told of each use, and would leave as much garbage as the values have bytes.
 */
export class LruCache<V> {
  private readonly entries = new Map<number, Entry<V>>();
  private oldest: Entry<V> | undefined;
  private newest: Entry<V> | undefined;
  private used = 0;

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
    if (entry !== this.newest) {
      this.unlink(entry);
      this.append(entry);
    }
    return entry.value;
  }

  /** Keeps a value, and drops the oldest ones until the budget holds. A value over the whole budget is not kept. */
  set(key: number, value: V, bytes: number): void {
    const previous = this.entries.get(key);
    if (previous !== undefined) this.remove(previous);
    if (bytes > this.budget) return;
    const entry = { key, value, bytes, older: undefined, newer: undefined };
    this.entries.set(key, entry);
    this.append(entry);
    this.used += bytes;
    while (this.used > this.budget && this.oldest !== undefined) {
      const { oldest } = this;
      this.remove(oldest);
      this.dropped(oldest.value);
    }
  }

  /** Bytes held now. */
  get size(): number {
    return this.used;
  }

  private remove(entry: Entry<V>): void {
    this.entries.delete(entry.key);
    this.used -= entry.bytes;
    this.unlink(entry);
  }

  private append(entry: Entry<V>): void {
    entry.older = this.newest;
    if (this.newest === undefined) this.oldest = entry;
    else this.newest.newer = entry;
    this.newest = entry;
  }

  private unlink(entry: Entry<V>): void {
    const { older, newer } = entry;
    if (older === undefined) this.oldest = newer;
    else older.newer = newer;
    if (newer === undefined) this.newest = older;
    else newer.older = older;
    entry.older = undefined;
    entry.newer = undefined;
  }
}
