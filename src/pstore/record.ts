import type { Damage } from '../bytes/errors.js';
import { type DumpHeader, parseDumpHeader } from './dump-header.js';
import type { RecordName, RecordType } from './name.js';
import { type PackMethod, unpackRecord } from './unpack.js';

/** A moment of the host's or the guest's clock. */
export interface RecordTime {
  /** Since 1970. */
  readonly seconds: number;
  readonly nanoseconds: number;
}

/** A record, read and decompressed. */
export interface PstoreRecord extends RecordName {
  readonly type: RecordType;
  /** The name of its file. */
  readonly file: string;
  /** Whose it is, where it comes from a store. */
  readonly guest: string | undefined;
  /** When it was written: as the store noted it, else the file's. */
  readonly time: RecordTime | undefined;
  /** The number of the first record of the same boot, as the store noted it: the kernel counts its dumps anew in each boot. */
  readonly boot?: number | undefined;
  /** Bytes as stored. */
  readonly size: number;
  readonly method: PackMethod | undefined;
  /** Decompressed; empty where that was not possible. */
  readonly text: Uint8Array;
  /** The kernel's first line of each part of its log. */
  readonly header: DumpHeader | undefined;
  readonly damage: readonly Damage[];
}

/** Reads a record out of its bytes. Never throws: what is wrong is in `damage`. */
export function readRecord(
  name: RecordName,
  { bytes, ...known }: Pick<PstoreRecord, 'file' | 'guest' | 'time' | 'boot'> & { readonly bytes: Uint8Array },
): PstoreRecord {
  const { text, method, problem } = unpackRecord(bytes, name.compressed);
  return {
    ...name,
    ...known,
    size: bytes.length,
    method,
    text,
    header: name.type === 'dmesg' ? parseDumpHeader(text) : undefined,
    damage: problem === undefined ? [] : [{ code: 'EXH_CODEC', part: known.file, message: problem }],
  };
}
