import type { TraceEvent, TraceField } from '../model.js';
import { textUpToNul } from './text-bytes.js';

/** The part of an event that reading its fields needs. */
export type EventRecord = Pick<TraceEvent, 'bytes' | 'view' | 'start' | 'length'>;

/** An integer: a number wherever it is exact (below 2^53), a bigint beyond. */
export type Wide = number | bigint;

/** What a field holds. Bytes are a view of the record: copy what you keep. */
export type TraceFieldValue = Wide | string | Uint8Array;

/** What kind of value a field has, always. */
export type FieldKind =
  /** An integer of up to 4 bytes, a boolean. */
  | 'number'
  /** An integer of 8 bytes, a pointer. */
  | 'wide'
  /** `char[16]`, `__data_loc char[]`: text up to the first NUL. */
  | 'string'
  /** Any other array or structure. */
  | 'bytes';

/** Access to one field of an event's records, made once and used for every record. Nothing in it throws. */
export interface FieldReader {
  readonly field: TraceField;
  readonly kind: FieldKind;
  /** Of the integer, or of one element of the array, in bytes; 1 where the element's type is not known. */
  readonly elementSize: number;
  /** The value. What lies past the record's end is 0, '' or no bytes. */
  read(record: EventRecord): TraceFieldValue;
  /** The value as a number: rounded above 2^53, 0 for text and bytes. */
  number(record: EventRecord): number;
  /** Where text or bytes begin and how many they are, from the record's start: `begin * 2^16 + length` never leaves the record. */
  extent(record: EventRecord): number;
  /** The bytes at that extent: a view of the record. */
  bytes(record: EventRecord): Uint8Array;
  /** The integers of an array; the integer alone where it is none. */
  elements(record: EventRecord): Wide[];
}

/** An integer of 8 bytes as an unsigned one, whatever its type says: an address, a return value. 0 for text and bytes. */
export function unsigned64(reader: FieldReader, record: EventRecord): bigint {
  const value = reader.read(record);
  return typeof value === 'number' || typeof value === 'bigint' ? BigInt.asUintN(64, BigInt(value)) : 0n;
}

/** How a field's type reads. */
export interface FieldType {
  /** `char` of `__data_loc char[]` and of `char[16]`. */
  readonly element: string;
  readonly array: boolean;
  /** The record holds a word that tells where the array lies: from the record's start, or from the word's own end. */
  readonly dynamic: 'data_loc' | 'rel_loc' | undefined;
}

const DYNAMIC = /^__(data_loc|rel_loc)\s+/;
const ARRAY = /\s*\[[^\]]*\]\s*$/;

/** Takes a field's type apart. */
export function fieldType(field: TraceField): FieldType {
  const found = DYNAMIC.exec(field.type)?.[1];
  const dynamic = found === 'data_loc' || found === 'rel_loc' ? found : undefined;
  const type = field.type.replace(DYNAMIC, '').trim();
  const array = dynamic !== undefined || ARRAY.test(type);
  return { element: dynamic === undefined || ARRAY.test(type) ? type.replace(ARRAY, '') : type, array, dynamic };
}

const SIZES = new Map<string, number>();
for (const [size, names] of [
  [1, 'char|bool|_Bool|u8|s8|__u8|__s8|uint8_t|int8_t|uchar|u_char'],
  [2, 'short|u16|s16|__u16|__s16|uint16_t|int16_t|__le16|__be16|ushort|umode_t'],
  [
    4,
    'int|u32|s32|__u32|__s32|uint32_t|int32_t|__le32|__be32|uint|unsigned|signed|pid_t|dev_t|gfp_t|uid_t|gid_t|__kernel_rwf_t',
  ],
  [8, 'long long|u64|s64|__u64|__s64|uint64_t|int64_t|__le64|__be64|sector_t|loff_t|ktime_t|time64_t|dma_addr_t'],
] as const) {
  for (const name of names.split('|')) SIZES.set(name, size);
}

/** The size of an integer type in bytes, by its C name; undefined for what is no integer or is not known. */
export function sizeOfType(name: string, longSize: number): number | undefined {
  const known = SIZES.get(name);
  if (known !== undefined) return known;
  if (name.endsWith('*')) return longSize;
  const plain = name
    .replace(/\b(const|volatile|unsigned|signed)\b/g, '')
    .replace(/\b(long|short)( long)? int\b/, '$1$2')
    .replace(/\s+/g, ' ')
    .trim();
  if (plain === '') return 4;
  if (/^(long|size_t|ssize_t|uintptr_t|ulong|phys_addr_t|resource_size_t|pgoff_t)$/.test(plain)) return longSize;
  if (plain.startsWith('enum ')) return 4;
  return SIZES.get(plain);
}

/** The access to a field. */
export function fieldReader(field: TraceField, littleEndian: boolean, longSize: 4 | 8): FieldReader {
  const { element, array, dynamic } = fieldType(field);
  const known = sizeOfType(element, longSize);
  const integer = !array && [1, 2, 4, 8].includes(field.size) && !/^(struct|union) [^*]*$/.test(element);
  const extent = extentReader(field, dynamic, littleEndian);
  const bytes = (record: EventRecord): Uint8Array => {
    const at = extent(record);
    const begin = record.start + Math.floor(at / 0x10000);
    return record.bytes.subarray(begin, begin + (at % 0x10000));
  };
  if (integer) {
    const read = integerReader(field.offset, field.size, field.signed, littleEndian);
    return {
      field,
      kind: field.size === 8 ? 'wide' : 'number',
      elementSize: field.size,
      read,
      number: (record) => Number(read(record)),
      extent,
      bytes,
      elements: (record) => [read(record)],
    };
  }
  const text = array && /^(const )?(char|unsigned char|signed char)$/.test(element) && !(element !== 'char' && dynamic);
  const elementSize = known ?? elementOf(field);
  return {
    field,
    kind: text ? 'string' : 'bytes',
    elementSize,
    read: text
      ? (record) => {
          const at = extent(record);
          const begin = record.start + Math.floor(at / 0x10000);
          return textUpToNul(record.bytes, begin, begin + (at % 0x10000));
        }
      : bytes,
    number: () => 0,
    extent,
    bytes,
    elements: (record) => {
      const found = bytes(record);
      const view = new DataView(found.buffer, found.byteOffset, found.length);
      const values: Wide[] = [];
      for (let at = 0; at + elementSize <= found.length; at += elementSize) {
        values.push(readInteger(view, at, elementSize, field.signed, littleEndian));
      }
      return values;
    },
  };
}

/** The size of an element of `xyz_t[4]`, where it is that of an integer. */
function elementOf({ type, size }: TraceField): number {
  const count = Number(/\[(\d+)\]/.exec(type)?.[1] ?? 0);
  return [1, 2, 4, 8].find((one) => one * count === size) ?? 1;
}

/** `(place in the record) * 2^16 + length` of a field's bytes, within the record. */
function extentReader(
  field: TraceField,
  dynamic: FieldType['dynamic'],
  littleEndian: boolean,
): (record: EventRecord) => number {
  const { offset, size } = field;
  if (dynamic === undefined) {
    return ({ length }) => {
      if (offset >= length) return 0;
      const rest = length - offset;
      return offset * 0x10000 + Math.min(size === 0 ? rest : Math.min(size, rest), 0xffff);
    };
  }
  const base = dynamic === 'rel_loc' ? offset + 4 : 0;
  return ({ view, start, length }) => {
    if (offset + 4 > length) return 0;
    const word = view.getUint32(start + offset, littleEndian);
    const begin = (word & 0xffff) + base;
    return begin >= length ? 0 : begin * 0x10000 + Math.min(word >>> 16, length - begin);
  };
}

/** An integer of 1, 2, 4 or 8 bytes. */
export function readInteger(view: DataView, at: number, size: number, signed: boolean, littleEndian: boolean): Wide {
  switch (size) {
    case 1:
      return signed ? view.getInt8(at) : view.getUint8(at);
    case 2:
      return signed ? view.getInt16(at, littleEndian) : view.getUint16(at, littleEndian);
    case 4:
      return signed ? view.getInt32(at, littleEndian) : view.getUint32(at, littleEndian);
    default: {
      const low = view.getUint32(littleEndian ? at : at + 4, littleEndian);
      const highAt = littleEndian ? at + 4 : at;
      const high = signed ? view.getInt32(highAt, littleEndian) : view.getUint32(highAt, littleEndian);
      if (high < 0x200000 && high >= -0x1fffff) return high * 0x1_0000_0000 + low;
      return (BigInt(high) << 32n) | BigInt(low);
    }
  }
}

function integerReader(
  offset: number,
  size: number,
  signed: boolean,
  littleEndian: boolean,
): (record: EventRecord) => Wide {
  const end = offset + size;
  if (size === 4 && signed) {
    return ({ view, start, length }) => (end > length ? 0 : view.getInt32(start + offset, littleEndian));
  }
  if (size === 4) return ({ view, start, length }) => (end > length ? 0 : view.getUint32(start + offset, littleEndian));
  return ({ view, start, length }) =>
    end > length ? 0 : readInteger(view, start + offset, size, signed, littleEndian);
}
