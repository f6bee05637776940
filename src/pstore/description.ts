import type { PstoreRecord, RecordTime } from './record.js';
import type { PackMethod } from './unpack.js';

/** What a record holds, as JSON. */
export interface RecordContent {
  /** Of a part of a dump; else null. */
  readonly reason: string | null;
  readonly count: number | null;
  readonly part: number | null;
  /** How it is compressed; null: by none of the methods that exhume knows, or it is damaged. */
  readonly method: PackMethod | null;
  /** Bytes as stored. */
  readonly size: number;
  /** Bytes when decompressed. */
  readonly textSize: number | null;
}

export function recordContent({ header, method, size, text }: PstoreRecord): RecordContent {
  return {
    reason: header?.reason ?? null,
    count: header?.count ?? null,
    part: header?.part ?? null,
    method: method ?? null,
    size,
    textSize: method === undefined ? null : text.length,
  };
}

/** What stands beside each record in a store, as JSON (schemas/pstore-record.schema.json). */
export interface RecordDescription extends RecordContent {
  readonly schema: 'exhume-pstore-record/1';
  readonly guest: string;
  readonly type: string;
  readonly id: number;
  /** The record's file, in the same directory. */
  readonly file: string;
  /** When it was written, by the host's clock. */
  readonly time: { readonly epoch: number; readonly nanoseconds: number; readonly iso: string };
  /** The id of the first record that the guest wrote in the same boot; null where that is not known. */
  readonly boot: number | null;
  /** Of the bytes as stored. */
  readonly sha256: string;
}

/** The description of a record of a store. */
export function describeRecord(
  record: PstoreRecord & { readonly guest: string; readonly time: RecordTime },
  sha256: string,
): RecordDescription {
  const { guest, type, id, file, time, boot } = record;
  return {
    schema: 'exhume-pstore-record/1',
    guest,
    type,
    id: Number(id),
    file,
    time: { epoch: time.seconds, nanoseconds: time.nanoseconds, iso: isoTime(time) },
    boot: boot ?? null,
    ...recordContent(record),
    sha256,
  };
}

/** ISO 8601 in UTC, to the millisecond. */
export function isoTime({ seconds, nanoseconds }: RecordTime): string {
  const date = new Date(seconds * 1000 + Math.floor(nanoseconds / 1e6));
  return Number.isNaN(date.getTime()) ? String(seconds) : date.toISOString();
}

/** What of a description is needed to read the record again. */
export interface ToldRecord {
  readonly guest: string;
  readonly time: RecordTime;
  readonly boot: number | undefined;
  readonly count: number | undefined;
}

/** Never throws; undefined for anything that is no description. */
export function parseDescription(json: string): ToldRecord | undefined {
  try {
    const value: unknown = JSON.parse(json);
    if (!isObject(value) || value['schema'] !== 'exhume-pstore-record/1' || !isObject(value['time'])) return undefined;
    const { guest, boot, count } = value;
    const { epoch, nanoseconds } = value['time'];
    if (typeof guest !== 'string' || !isCount(epoch) || !isCount(nanoseconds)) return undefined;
    return {
      guest,
      time: { seconds: epoch, nanoseconds },
      boot: isCount(boot) ? boot : undefined,
      count: isCount(count) ? count : undefined,
    };
  } catch {
    return undefined;
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
