/** How much a store keeps. */
export interface StorePolicy {
  /** So many records of each type that are never pushed out: a crash loop must not cost the first oops. */
  readonly keepFirst: number;
  /** So many further ones of each type, the newest; at least 1. */
  readonly keepLast: number;
  /** Bytes of one guest, and of all. */
  readonly guestBytes: number;
  readonly totalBytes: number;
  /** Bytes of a single record. */
  readonly recordBytes: number;
  /** A guest may write so many bytes at once, and so many a second in the long run. */
  readonly burstBytes: number;
  readonly bytesPerSecond: number;
}

const MIB = 1 << 20;

export const DEFAULT_POLICY: StorePolicy = {
  keepFirst: 32,
  keepLast: 96,
  guestBytes: 64 * MIB,
  totalBytes: 1024 * MIB,
  recordBytes: MIB,
  burstBytes: 16 * MIB,
  bytesPerSecond: MIB,
};

/** What a record costs besides its bytes: its description, and the blocks of two small files. */
export const RECORD_OVERHEAD = 4096;

/** A record that is kept, as far as the policy looks at it. */
export interface Kept {
  readonly type: string;
  readonly id: number;
  /** With its overhead. */
  readonly bytes: number;
}

/**
 * Which records are to go so that a new one has room; undefined when there is none to be made.
 * @param kept one guest's, in the order of their ids
 * @param others bytes of all other guests
 */
export function recordsToDrop<K extends Kept>(
  kept: readonly K[],
  incoming: Pick<Kept, 'type' | 'bytes'>,
  others: number,
  policy: StorePolicy,
): K[] | undefined {
  const seen = new Map<string, number>();
  // The oldest of these goes first: the first ones of each type are not among them.
  const loose = kept.filter(({ type }) => {
    const before = seen.get(type) ?? 0;
    seen.set(type, before + 1);
    return before >= policy.keepFirst;
  });
  const ofType = loose.filter(({ type }) => type === incoming.type);
  const firsts = seen.get(incoming.type) ?? 0;
  const surplus = firsts < policy.keepFirst ? 0 : Math.max(0, ofType.length + 1 - policy.keepLast);
  const dropped = new Set(ofType.slice(0, surplus));
  const size = (records: Iterable<Kept>): number => [...records].reduce((sum, { bytes }) => sum + bytes, 0);
  const room = Math.min(policy.guestBytes, policy.totalBytes - others);
  let used = size(kept) - size(dropped) + incoming.bytes;
  for (const record of loose) {
    if (used <= room) break;
    if (dropped.has(record)) continue;
    dropped.add(record);
    used -= record.bytes;
  }
  return used <= room ? [...dropped] : undefined;
}

/** A token bucket: full at first, refilled with time. */
export class RateLimit {
  private tokens: number;
  private last: number;

  /** @param now milliseconds of a clock that only goes forward */
  constructor(
    private readonly burst: number,
    private readonly perSecond: number,
    private readonly now: () => number,
  ) {
    this.tokens = burst;
    this.last = now();
  }

  /** Takes the tokens if they are all there. */
  take(count: number): boolean {
    const now = this.now();
    this.tokens = Math.min(this.burst, this.tokens + ((now - this.last) / 1000) * this.perSecond);
    this.last = now;
    if (count > this.tokens) return false;
    this.tokens -= count;
    return true;
  }
}
