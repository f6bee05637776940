/** What a record may be: the kernel's names (pstore_type_names, fs/pstore/platform.c), and the device's `unknown`. */
export const RECORD_TYPES = [
  'dmesg',
  'mce',
  'console',
  'ftrace',
  'rtas',
  'powerpc-ofw',
  'powerpc-common',
  'pmsg',
  'powerpc-opal',
  'unknown',
] as const;

export type RecordType = (typeof RECORD_TYPES)[number];

/** A record by the name of its file. */
export interface RecordName {
  readonly type: RecordType;
  /** What kept it: `erst`, `efi`, `ramoops`, `virtio`; undefined in a store, whose names have none. */
  readonly backend: string | undefined;
  /** 64 bits: ERST and EFI make theirs of the time. */
  readonly id: bigint;
  /** The file holds the record as the kernel compressed it. */
  readonly compressed: boolean;
}

const COMPRESSED = '.enc.z';
const NAME = new RegExp(`^(${RECORD_TYPES.join('|')})-(?:([A-Za-z][\\w.-]{0,63})-)?(\\d{1,20})(\\.enc\\.z)?$`);

/**
 * Takes the name of a record's file apart: `dmesg-erst-7710592870536708097` as the kernel's pstore file system names it
 * (pstore_mkfile, fs/pstore/inode.c), `dmesg-3.enc.z` as the store of virtio-pstore does. Undefined for any other name.
 */
export function parseRecordName(name: string): RecordName | undefined {
  const [, type, backend, digits = '', compressed] = NAME.exec(name) ?? [];
  if (type === undefined) return undefined;
  const id = BigInt(digits);
  if (id >= 1n << 64n) return undefined;
  return { type: type as RecordType, backend, id, compressed: compressed !== undefined };
}

/** The name of a record's file in a store. */
export function storedName(type: RecordType, id: number, compressed: boolean): string {
  return `${type}-${id}${compressed ? COMPRESSED : ''}`;
}
