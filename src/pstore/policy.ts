import { ExhumeError } from '../bytes/errors.js';
import type { RecordType } from './name.js';

/** Which records of one type stay. */
export interface Keeping {
  /** So many that are never pushed out: a crash loop must not cost the first oops. */
  readonly keepFirst: number;
  /** So many further ones, the newest; at least 1. */
  readonly keepLast: number;
}

/** How much a store keeps of one guest. */
export interface GuestPolicy extends Keeping {
  /** For types that are kept otherwise. */
  readonly types?: Readonly<Partial<Record<RecordType, Partial<Keeping>>>>;
  /** Bytes of one guest. */
  readonly guestBytes: number;
  /** Bytes of a single record. */
  readonly recordBytes: number;
  /** A guest may write so many bytes at once, and so many a second in the long run. */
  readonly burstBytes: number;
  readonly bytesPerSecond: number;
}

/** How much a store keeps. */
export interface StorePolicy extends GuestPolicy {
  /** Bytes of all guests. */
  readonly totalBytes: number;
}

/** What differs from {@link DEFAULT_POLICY}, and by name what differs from that for a guest. */
export interface StoreSettings extends Partial<StorePolicy> {
  readonly guests?: Readonly<Record<string, Partial<GuestPolicy>>>;
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

/** What holds for one guest: of a type more than of all types, and of either what is said of this guest. */
export function policyOf({ guests, ...all }: StoreSettings, guest: string): StorePolicy {
  const own = guests !== undefined && Object.hasOwn(guests, guest) ? guests[guest] : undefined;
  const types = { ...all.types };
  for (const [type, keeping] of Object.entries(own?.types ?? {}) as [RecordType, Partial<Keeping>][]) {
    types[type] = { ...types[type], ...keeping };
  }
  return { ...DEFAULT_POLICY, ...all, ...own, types };
}

/** Throws EXH_USAGE for a policy that keeps nothing. */
export function checkSettings(settings: StoreSettings): void {
  for (const guest of [undefined, ...Object.keys(settings.guests ?? {})]) {
    const policy = policyOf(settings, guest ?? '');
    for (const { keepLast = policy.keepLast } of [policy, ...Object.values(policy.types ?? {})]) {
      if (keepLast < 1) throw new ExhumeError('EXH_USAGE', 'a store keeps at least the last record of each type');
    }
  }
}

function keepingOf({ keepFirst, keepLast, types }: GuestPolicy, type: string): Keeping {
  return { keepFirst, keepLast, ...types?.[type as RecordType] };
}

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
    return before >= keepingOf(policy, type).keepFirst;
  });
  const ofType = loose.filter(({ type }) => type === incoming.type);
  const firsts = seen.get(incoming.type) ?? 0;
  const { keepFirst, keepLast } = keepingOf(policy, incoming.type);
  const surplus = firsts < keepFirst ? 0 : Math.max(0, ofType.length + 1 - keepLast);
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
    private burst: number,
    private perSecond: number,
    private readonly now: () => number,
  ) {
    this.tokens = burst;
    this.last = now();
  }

  /** Goes on with other limits. What was saved up stays, as far as the new bucket holds it. */
  adjust(burst: number, perSecond: number): void {
    this.take(0);
    this.burst = burst;
    this.perSecond = perSecond;
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
