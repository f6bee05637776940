import { createHash } from 'node:crypto';
import { accessSync, chmodSync, constants, lstatSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { ExhumeError, isExhumeError } from '../../bytes/errors.js';
import { outputError } from '../../bytes/node/output-error.js';
import { describeRecord, type RecordDescription } from '../description.js';
import { type RecordType, storedName } from '../name.js';
import {
  checkSettings,
  policyOf,
  RateLimit,
  RECORD_OVERHEAD,
  recordsToDrop,
  type StorePolicy,
  type StoreSettings,
} from '../policy.js';
import { type RecordTime, readRecord } from '../record.js';
import {
  type NewRecord,
  type RecordStore,
  type Refusal,
  type StoredRecord,
  typeFromWire,
  typeOnWire,
  type Written,
} from '../record-store.js';
import {
  describedBy,
  descriptionName,
  descriptionOf,
  lastIdNoted,
  namesIn,
  noteLastId,
  type RecordFile,
  recordBytes,
  recordFile,
  recordFiles,
  remove,
  removeRecord,
  writeWhole,
} from './files.js';

/** Where the store takes its time from, and whom it tells; tests give their own. */
export interface StoreHost {
  /** Milliseconds since 1970. */
  readonly wall: () => number;
  /** Milliseconds, only forward. */
  readonly steady: () => number;
  /** A record is on the disk, and its description beside it. */
  readonly described?: (description: RecordDescription, path: string) => void;
}

const SYSTEM: StoreHost = { wall: Date.now, steady: () => performance.now() };

/** A guest's name is a directory's: no path, nothing hidden, nothing that a shell or a terminal minds. */
const GUEST = /^[A-Za-z0-9][\w.-]{0,63}$/;
/** What OutputFile leaves behind when the process is killed. */
const LEFT_OVER = /\.exhume-partial-[0-9a-f]{8}$/;

export function isGuestName(name: string): boolean {
  return GUEST.test(name);
}

/** Throws EXH_USAGE for a name that is none. */
export function checkGuestName(name: string): void {
  if (isGuestName(name)) return;
  throw new ExhumeError('EXH_USAGE', `"${name}" cannot be a guest's name`, {
    found: name,
    hint: 'up to 64 letters, digits, ".", "_" and "-", beginning with a letter or digit',
  });
}

/** What a guest has on the disk. */
export interface GuestUsage {
  readonly records: number;
  /** As quotas count them. */
  readonly bytes: number;
}

/**
 * A directory of guests' records: `DIR/GUEST/dmesg-3.enc.z`, and `dmesg-3.json` that describes it. Files are for their
 * owner only. One process at a time may write to it.
 */
export class HostStore {
  private readonly guests = new Map<string, GuestStore>();

  private constructor(
    readonly directory: string,
    private settings: StoreSettings,
    private readonly host: StoreHost,
  ) {}

  /** Opens a store, and makes it where there is none. Throws EXH_IO, EXH_USAGE for a policy that keeps nothing. */
  static open(directory: string, settings: StoreSettings = {}, host: Partial<StoreHost> = {}): HostStore {
    checkSettings(settings);
    makeDirectory(directory);
    const store = new HostStore(directory, settings, { ...SYSTEM, ...host });
    // Every guest that was ever there counts for the quota of all; not what is not the store's.
    for (const name of guestsIn(directory)) {
      try {
        store.guest(name);
      } catch (error) {
        refusal(error);
      }
    }
    return store;
  }

  /**
   * One guest's records. Throws EXH_USAGE for a name that is none: up to 64 letters, digits, `.`, `_` and `-`, the first one
   * a letter or digit; EXH_IO.
   */
  guest(name: string): GuestStore {
    const known = this.guests.get(name);
    if (known !== undefined) return known;
    checkGuestName(name);
    const directory = join(this.directory, name);
    makeDirectory(directory);
    makeOwn(directory);
    const guest = new GuestStore(name, directory, policyOf(this.settings, name), this.host, () => this.others(name));
    this.guests.set(name, guest);
    return guest;
  }

  /** Goes on with another policy. What is too much by it goes with the next record. Throws EXH_USAGE as `open` does. */
  configure(settings: StoreSettings): void {
    checkSettings(settings);
    this.settings = settings;
    for (const [name, guest] of this.guests) guest.configure(policyOf(settings, name));
  }

  /** Whether a guest has been asked for, or was there. */
  has(name: string): boolean {
    return this.guests.has(name);
  }

  get usage(): ReadonlyMap<string, GuestUsage> {
    return new Map([...this.guests].map(([name, guest]) => [name, guest.usage]));
  }

  /** Notes the last ids, so that they are not given again whatever is removed meanwhile. Never throws. */
  close(): void {
    for (const guest of this.guests.values()) guest.noteLastId();
  }

  /** Bytes of all guests but one. Counted anew when the quota is short: others may have removed records. */
  private others(name: string): number {
    const sum = () =>
      [...this.guests.values()].reduce((all, guest) => all + (guest.name === name ? 0 : guest.bytes), 0);
    const { totalBytes, guestBytes } = policyOf(this.settings, name);
    if (sum() + guestBytes > totalBytes)
      for (const guest of this.guests.values()) if (guest.name !== name) guest.rescan();
    return sum();
  }
}

/** The guests that have a directory in a store. Throws EXH_IO. */
export function guestsIn(directory: string): string[] {
  return namesIn(directory).filter((name) => {
    return isGuestName(name) && lstatSync(join(directory, name), { throwIfNoEntry: false })?.isDirectory() === true;
  });
}

/** For the owner only. A link in its place is refused: it may lead anywhere. */
function makeDirectory(directory: string): void {
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw outputError(directory, 'create', error);
  }
  if (!lstatSync(directory).isDirectory()) {
    throw new ExhumeError('EXH_IO', `${directory} is a link, not a directory`, { file: directory });
  }
}

/** A guest's directory is for the store alone, whoever made it. Throws EXH_IO where it is somebody else's. */
function makeOwn(directory: string): void {
  try {
    if (lstatSync(directory).mode & 0o077) chmodSync(directory, 0o700);
    accessSync(directory, constants.R_OK | constants.W_OK | constants.X_OK);
  } catch (error) {
    throw outputError(directory, 'write to', error);
  }
}

interface KeptFile extends RecordFile {
  readonly time: RecordTime;
  /** Which dump of its boot it is part of, where that is known. */
  count: number | undefined;
}

/** One guest's records on the disk. Ids are given in order and never twice, also when records or the process went away. */
export class GuestStore implements RecordStore {
  private kept: KeptFile[];
  private lastId: number;
  private readonly rate: RateLimit;
  private pass: KeptFile[] = [];
  /** The id of the first record of this boot. Undefined: its beginning was not seen. */
  private boot: number | 'next' | undefined;

  constructor(
    readonly name: string,
    private readonly directory: string,
    private policy: StorePolicy,
    private readonly host: StoreHost,
    private readonly others: () => number,
  ) {
    for (const file of namesIn(directory)) if (LEFT_OVER.test(file)) remove(join(directory, file));
    this.kept = this.found(new Map());
    this.lastId = Math.max(Number(lastIdNoted(directory)), Number(this.kept.at(-1)?.id ?? 0));
    this.rate = new RateLimit(policy.burstBytes, policy.bytesPerSecond, host.steady);
    this.mend();
  }

  configure(policy: StorePolicy): void {
    this.policy = policy;
    this.rate.adjust(policy.burstBytes, policy.bytesPerSecond);
  }

  get usage(): GuestUsage {
    return { records: this.kept.length, bytes: this.bytes };
  }

  /** On the disk, as quotas count them. */
  get bytes(): number {
    return this.kept.reduce((sum, { size }) => sum + size + RECORD_OVERHEAD, 0);
  }

  /** What is there, in the order of ids. */
  get records(): readonly RecordFile[] {
    return this.kept;
  }

  /** Sees what others have removed, or brought back. Never throws. */
  rescan(): void {
    try {
      this.kept = this.found(new Map(this.kept.map((kept) => [kept.file, kept])));
      this.lastId = Math.max(this.lastId, Number(this.kept.at(-1)?.id ?? 0));
    } catch (error) {
      refusal(error);
    }
  }

  reset(): void {
    this.pass = [];
    this.boot = 'next';
  }

  open(): boolean {
    this.rescan();
    this.pass = [...this.kept];
    return true;
  }

  close(): void {
    this.pass = [];
  }

  next(most = Number.POSITIVE_INFINITY): StoredRecord | undefined {
    for (let file = this.pass.shift(); file !== undefined; file = this.pass.shift()) {
      const record = file.size > most ? undefined : this.read(file);
      if (record !== undefined && record.data.length > 0 && record.data.length <= most) return record;
    }
    return undefined;
  }

  /** `safe` is called as soon as the record is on the disk; describing it and making room come after. */
  write({ type, compressed, data }: NewRecord, again = false, safe?: (written: Written) => void): Written {
    const cost = data.length + RECORD_OVERHEAD;
    if (data.length > this.policy.recordBytes) return { error: 'size' };
    if (!again && !this.rate.take(cost)) return { error: 'rate' };
    const name = typeFromWire(type);
    let drop = this.toDrop(name, cost);
    if (drop === undefined || drop.length > 0) {
      this.rescan();
      drop = this.toDrop(name, cost);
    }
    if (drop === undefined) return { error: 'quota' };
    try {
      const stored = this.put(storedName(name, this.lastId + 1, compressed), data);
      const written = { id: Number(stored.id) };
      safe?.(written);
      for (const old of drop) this.erase(typeOnWire(old.type), Number(old.id));
      this.describe(stored, data);
      return written;
    } catch (error) {
      return { error: refusal(error), problem: (error as ExhumeError).message };
    }
  }

  erase(type: number, id: number): boolean {
    const found = this.kept.find((file) => file.id === BigInt(id) && typeOnWire(file.type) === type);
    if (found === undefined) return false;
    try {
      removeRecord(found);
    } catch (error) {
      refusal(error);
      return false;
    }
    this.kept = this.kept.filter((file) => file !== found);
    return true;
  }

  /** Never throws. */
  noteLastId(): void {
    try {
      noteLastId(this.directory, BigInt(this.lastId));
    } catch (error) {
      refusal(error);
    }
  }

  /** What is in the directory; nothing where that is gone. */
  private found(known: ReadonlyMap<string, KeptFile>): KeptFile[] {
    if (lstatSync(this.directory, { throwIfNoEntry: false }) === undefined) return [];
    return ownRecords(this.directory).map((file) => {
      const kept = known.get(file.file);
      if (kept !== undefined) return kept;
      const told = descriptionOf(file);
      return { ...file, time: told?.time ?? file.modified, count: told?.count };
    });
  }

  private toDrop(type: RecordType, bytes: number): KeptFile[] | undefined {
    const kept = this.kept.map((file) => ({
      file,
      type: file.type,
      id: Number(file.id),
      bytes: file.size + RECORD_OVERHEAD,
    }));
    return recordsToDrop(kept, { type, bytes }, this.others(), this.policy)?.map(({ file }) => file);
  }

  /** The record first, then its description: what is there after a crash is a record, described or not. */
  private put(file: string, data: Uint8Array): KeptFile {
    this.lastId += 1;
    if (this.boot === 'next') this.boot = this.lastId;
    const milliseconds = this.host.wall();
    const seconds = Math.floor(milliseconds / 1000);
    const time = { seconds, nanoseconds: Math.floor((milliseconds - seconds * 1000) * 1e6) };
    const path = join(this.directory, file);
    // Whatever stands there is not ours to replace.
    if (lstatSync(path, { throwIfNoEntry: false }) !== undefined) throw new ExhumeError('EXH_IO', `${path} is there`);
    writeWhole(path, data);
    const stored = recordFile(this.directory, file);
    if (stored === undefined) throw new ExhumeError('EXH_IO', `${path} is gone`, { file: path });
    const kept = { ...stored, time, count: undefined };
    this.kept.push(kept);
    return kept;
  }

  private describe(kept: KeptFile, data: Uint8Array): void {
    const { file, time } = kept;
    const boot = this.boot === 'next' ? undefined : this.boot;
    const record = readRecord(kept, { file, guest: this.name, time, boot, bytes: data });
    kept.count = record.header?.count;
    const sha256 = createHash('sha256').update(data).digest('hex');
    const description = describeRecord({ ...record, guest: this.name, time }, sha256);
    const json = new TextEncoder().encode(`${JSON.stringify(description, null, 2)}\n`);
    const path = join(this.directory, descriptionName(kept));
    try {
      writeWhole(path, json);
    } catch (error) {
      // The record itself is safe: that the disk is full now is for the next one to say.
      refusal(error);
      return;
    }
    this.host.described?.(description, path);
  }

  /** After a crash: describes records that are not described, and removes descriptions whose record is gone. Never throws. */
  private mend(): void {
    try {
      for (const kept of this.kept) {
        const path = join(this.directory, descriptionName(kept));
        if (lstatSync(path, { throwIfNoEntry: false }) === undefined) this.describe(kept, recordBytes(kept));
      }
      const there = new Set(this.kept.map((file) => descriptionName(file)));
      for (const name of namesIn(this.directory)) {
        const gone = describedBy(name);
        if (gone === undefined || gone.id >= MOST_RECORDS || there.has(name)) continue;
        if (descriptionOf({ ...gone, directory: this.directory }) === undefined) continue;
        this.lastId = Math.max(this.lastId, Number(gone.id));
        this.noteLastId();
        remove(join(this.directory, name));
      }
    } catch (error) {
      refusal(error);
    }
  }

  private read(file: KeptFile): StoredRecord | undefined {
    if (!this.kept.includes(file)) return undefined;
    try {
      const data = recordBytes(file);
      const { compressed, time, count = 0 } = file;
      return {
        type: typeOnWire(file.type),
        id: Number(file.id),
        count,
        compressed,
        time,
        data,
      };
    } catch (error) {
      refusal(error);
      return undefined;
    }
  }
}

/** Ids stay numbers. */
const MOST_RECORDS = 1n << 52n;

/** Those that this store names; a larger id than it can count to is not its own. Throws EXH_IO. */
function ownRecords(directory: string): RecordFile[] {
  return recordFiles(directory).filter(({ backend, id }) => backend === undefined && id < MOST_RECORDS);
}

/** What an error of the disk means to the guest. Anything else is a bug and is thrown on. */
function refusal(error: unknown): Refusal {
  if (isExhumeError(error, 'EXH_NO_SPACE')) return 'full';
  if (isExhumeError(error)) return 'io';
  throw error;
}
