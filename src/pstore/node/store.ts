import { createHash } from 'node:crypto';
import { lstatSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { ExhumeError, isExhumeError } from '../../bytes/errors.js';
import { outputError } from '../../bytes/node/output-error.js';
import { describeRecord } from '../description.js';
import { storedName } from '../name.js';
import { DEFAULT_POLICY, RateLimit, RECORD_OVERHEAD, recordsToDrop, type StorePolicy } from '../policy.js';
import { type RecordTime, readRecord } from '../record.js';
import {
  type NewRecord,
  type RecordStore,
  type Refusal,
  type StoredRecord,
  typeFromWire,
  typeOnWire,
} from '../record-store.js';
import {
  descriptionName,
  descriptionOf,
  lastIdNoted,
  namesIn,
  type RecordFile,
  recordBytes,
  recordFile,
  recordFiles,
  remove,
  removeRecord,
  writeWhole,
} from './files.js';

/** Where the store takes its time from; tests give their own. */
export interface Clocks {
  /** Milliseconds since 1970. */
  readonly wall: () => number;
  /** Milliseconds, only forward. */
  readonly steady: () => number;
}

const SYSTEM: Clocks = { wall: Date.now, steady: () => performance.now() };

/** A guest's name is a directory's: no path, nothing hidden, nothing that a shell or a terminal minds. */
const GUEST = /^[A-Za-z0-9][\w.-]{0,63}$/;
/** What OutputFile leaves behind when the process is killed. */
const LEFT_OVER = /\.exhume-partial-[0-9a-f]{8}$/;

/**
 * A directory of guests' records: `DIR/GUEST/dmesg-3.enc.z`, and `dmesg-3.json` that describes it. Files are for their
 * owner only. One process at a time may write to it.
 */
export class HostStore {
  private readonly guests = new Map<string, GuestStore>();

  private constructor(
    readonly directory: string,
    private readonly policy: StorePolicy,
    private readonly clocks: Clocks,
  ) {}

  /** Opens a store, and makes it where there is none. Throws EXH_IO, EXH_USAGE for a policy that keeps nothing. */
  static open(directory: string, policy: Partial<StorePolicy> = {}, clocks = SYSTEM): HostStore {
    const whole = { ...DEFAULT_POLICY, ...policy };
    if (whole.keepLast < 1) throw new ExhumeError('EXH_USAGE', 'a store keeps at least the last record of each type');
    makeDirectory(directory);
    const store = new HostStore(directory, whole, clocks);
    // Every guest that was ever there counts for the quota of all.
    for (const name of namesIn(directory)) {
      if (GUEST.test(name) && lstatSync(join(directory, name)).isDirectory()) store.guest(name);
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
    if (!GUEST.test(name)) {
      throw new ExhumeError('EXH_USAGE', `"${name}" cannot be a guest's name`, {
        found: name,
        hint: 'up to 64 letters, digits, ".", "_" and "-", beginning with a letter or digit',
      });
    }
    const directory = join(this.directory, name);
    makeDirectory(directory);
    const others = (): number => {
      return [...this.guests.values()].reduce((sum, guest) => sum + (guest.name === name ? 0 : guest.bytes), 0);
    };
    const guest = new GuestStore(name, directory, this.policy, this.clocks, others);
    this.guests.set(name, guest);
    return guest;
  }
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

interface KeptFile extends RecordFile {
  readonly time: RecordTime;
}

/** One guest's records on the disk. Ids are given in order and never twice, also when records or the process went away. */
export class GuestStore implements RecordStore {
  private kept: KeptFile[];
  private lastId: number;
  private readonly rate: RateLimit;
  private pass: KeptFile[] = [];

  constructor(
    readonly name: string,
    private readonly directory: string,
    private readonly policy: StorePolicy,
    private readonly clocks: Clocks,
    private readonly others: () => number,
  ) {
    for (const file of namesIn(directory)) if (LEFT_OVER.test(file)) remove(join(directory, file));
    this.kept = recordFiles(directory)
      // Those that this store names; a larger id than it can count to is not its own.
      .filter(({ backend, id }) => backend === undefined && id < MOST_RECORDS)
      .map((file) => ({ ...file, time: descriptionOf(file)?.time ?? file.modified }));
    this.lastId = Math.max(Number(lastIdNoted(directory)), Number(this.kept.at(-1)?.id ?? 0));
    this.rate = new RateLimit(policy.burstBytes, policy.bytesPerSecond, clocks.steady);
  }

  /** On the disk, as quotas count them. */
  get bytes(): number {
    return this.kept.reduce((sum, { size }) => sum + size + RECORD_OVERHEAD, 0);
  }

  /** What is there, in the order of ids. */
  get records(): readonly RecordFile[] {
    return this.kept;
  }

  open(): void {
    this.pass = [...this.kept];
  }

  close(): void {
    this.pass = [];
  }

  next(): StoredRecord | undefined {
    for (let file = this.pass.shift(); file !== undefined; file = this.pass.shift()) {
      const record = this.read(file);
      if (record !== undefined) return record;
    }
    return undefined;
  }

  write({ type, compressed, data }: NewRecord): { readonly id: number } | { readonly error: Refusal } {
    const cost = data.length + RECORD_OVERHEAD;
    if (data.length > this.policy.recordBytes) return { error: 'size' };
    if (!this.rate.take(cost)) return { error: 'rate' };
    const name = typeFromWire(type);
    const kept = this.kept.map((file) => ({
      type: file.type,
      id: Number(file.id),
      bytes: file.size + RECORD_OVERHEAD,
    }));
    const drop = recordsToDrop(kept, { type: name, bytes: cost }, this.others(), this.policy);
    if (drop === undefined) return { error: 'full' };
    try {
      const id = this.put(storedName(name, this.lastId + 1, compressed), data);
      for (const old of drop) this.erase(typeOnWire(old.type), old.id);
      return { id };
    } catch (error) {
      return { error: refusal(error) };
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

  /** The record first, then its description: what is there after a crash is a record, described or not. */
  private put(file: string, data: Uint8Array): number {
    this.lastId += 1;
    const milliseconds = this.clocks.wall();
    const seconds = Math.floor(milliseconds / 1000);
    const time = { seconds, nanoseconds: Math.floor((milliseconds - seconds * 1000) * 1e6) };
    const path = join(this.directory, file);
    // Whatever stands there is not ours to replace.
    if (lstatSync(path, { throwIfNoEntry: false }) !== undefined) throw new ExhumeError('EXH_IO', `${path} is there`);
    writeWhole(path, data);
    const stored = recordFile(this.directory, file);
    if (stored === undefined) throw new ExhumeError('EXH_IO', `${path} is gone`, { file: path });
    this.kept.push({ ...stored, time });
    const record = readRecord(stored, { file, guest: this.name, time, bytes: data });
    const sha256 = createHash('sha256').update(data).digest('hex');
    const description = describeRecord({ ...record, guest: this.name, time }, sha256);
    const json = new TextEncoder().encode(`${JSON.stringify(description, null, 2)}\n`);
    try {
      writeWhole(join(this.directory, descriptionName(stored)), json);
    } catch (error) {
      // The record itself is safe: that the disk is full now is for the next one to say.
      refusal(error);
    }
    return this.lastId;
  }

  private read(file: KeptFile): StoredRecord | undefined {
    if (!this.kept.includes(file)) return undefined;
    try {
      const data = recordBytes(file);
      const { header } = readRecord(file, { file: file.file, guest: this.name, time: file.time, bytes: data });
      const { compressed, time } = file;
      return {
        type: typeOnWire(file.type),
        id: Number(file.id),
        count: header?.count ?? 0,
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

/** What an error of the disk means to the guest. Anything else is a bug and is thrown on. */
function refusal(error: unknown): Refusal {
  if (isExhumeError(error, 'EXH_NO_SPACE')) return 'full';
  if (isExhumeError(error)) return 'io';
  throw error;
}
