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
 * Why a record was refused. full: no room on the disk or within a quota. rate: too much too fast.
 * io: the disk failed. size: it is larger than any record may be.
 */
export type Refusal = 'full' | 'rate' | 'io' | 'size';

/**
 * One guest's records, as a virtio-pstore device needs them. Nothing here throws for what a guest sends or a disk does.
 * Every call is synchronous; a write returns when the record is on the disk.
 */
export interface RecordStore {
  /** Begins a pass of reading: over the records that are there now, in the order in which they were written. */
  open(): void;
  close(): void;
  /** The next record of the pass; undefined at its end, and outside of one. A record that is gone meanwhile is passed over. */
  next(): StoredRecord | undefined;
  write(record: NewRecord): { readonly id: number } | { readonly error: Refusal };
  /** Whether there was such a record. Whether it is compressed does not matter: drivers forget. */
  erase(type: number, id: number): boolean;
}

/** What cannot be one of the known types is kept as `unknown`. */
export function typeOnWire(type: RecordType): number {
  return Math.max(0, WIRE_TYPES.indexOf(type));
}

export function typeFromWire(type: number): RecordType {
  return WIRE_TYPES[type] ?? 'unknown';
}
