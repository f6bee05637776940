import type { RecordType } from './name.js';
import type { RecordTime } from './record.js';

/** Types as virtio-pstore's requests have them; 2 was in version 2 of the patches only. */
const WIRE_TYPES: readonly RecordType[] = ['unknown', 'dmesg', 'console'];

/** A record as the guest gets it back. */
export interface StoredRecord {
  /** As on the wire. */
  readonly type: number;
  readonly id: number;
  /** Which dump of its boot it is part of; 0 where that is not known. */
  readonly count: number;
  readonly compressed: boolean;
  readonly time: RecordTime;
  readonly data: Uint8Array;
}

/** A record to be kept. The store gives it its id and its time. */
export type NewRecord = Pick<StoredRecord, 'type' | 'compressed' | 'data'>;

/**
 * Why a record was refused. quota: no room within the limits of this guest or of all. full: no room on the disk.
 * rate: too much too fast. io: the disk failed. size: larger than any record may be. busy: too much waits for the disk.
 */
export type Refusal = 'quota' | 'full' | 'rate' | 'io' | 'size' | 'busy';

/** What a write came to; with what the system said, where that is why. */
export type Written = { readonly id: number } | { readonly error: Refusal; readonly problem?: string };

type Eventual<T> = T | Promise<T>;

/**
 * One guest's records, as a virtio-pstore device needs them. Nothing here throws or rejects for what a guest sends or a
 * disk does. Requests are done in the order in which they are made, whether or not the one before was waited for.
 */
export interface RecordStore {
  /** The guest's driver starts anew, as in each boot: a pass of reading ends. Numbers of dumps count from 1 again. */
  reset(): void;
  /**
   * Begins a pass of reading: over the records that are there now, in the order in which they were written. False when
   * too much waits for the disk.
   */
  open(): Eventual<boolean>;
  close(): void;
  /**
   * The next record of the pass that has 1 to `most` bytes; undefined at its end, and outside of one. Others, and one
   * that is gone meanwhile, are passed over.
   */
  next(most: number): Eventual<StoredRecord | undefined>;
  /** Answers when the record is on the disk. `again`: it was refused for the disk's sake, and is tried once more. */
  write(record: NewRecord, again?: boolean): Eventual<Written>;
  /** Whether there was such a record. Whether it is compressed does not matter: drivers forget. */
  erase(type: number, id: number): Eventual<boolean>;
}

/** What cannot be one of the known types is kept as `unknown`. */
export function typeOnWire(type: RecordType): number {
  return Math.max(0, WIRE_TYPES.indexOf(type));
}

export function typeFromWire(type: number): RecordType {
  return WIRE_TYPES[type] ?? 'unknown';
}
