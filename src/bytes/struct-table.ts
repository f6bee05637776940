import { ExhumeError } from './errors.js';

/**
 * Fixed binary layouts, declared once as a table of fields with explicit offsets and a size,
 * and used for reading, for writing, and for the field-by-field listing that `exhume info --raw` prints.
 *
 *     const PAGE_DESC = structTable('page_desc', 24, {
 *       offset: size64(0), size: u32(8), flags: u32(12), pageFlags: u64(16),
 *     });
 *     const { offset, size } = PAGE_DESC.read(view, 0);
 */

/** One field: where it lies in the structure, how long it is, how it is read and written. */
export interface Field<T> {
  /** Offset in the structure, in bytes. */
  readonly offset: number;
  /** Length in bytes. */
  readonly size: number;
  /** How a listing calls its type: `u32`, `char[65]`. */
  readonly type: string;
  read(view: DataView, at: number, littleEndian: boolean): T;
  write(view: DataView, at: number, value: T, littleEndian: boolean): void;
}

// biome-ignore lint/suspicious/noExplicitAny: a table of fields of any value types; each field's own type is kept
type Fields = Readonly<Record<string, Field<any>>>;
export type StructOf<F extends Fields> = { -readonly [K in keyof F]: F[K] extends Field<infer T> ? T : never };

/** A field as it stands in a file: for listings. */
export interface DecodedField {
  readonly name: string;
  readonly type: string;
  /** Absolute offset in the source, in bytes. */
  readonly offset: number;
  readonly size: number;
  /** The raw bytes. */
  readonly bytes: Uint8Array;
  readonly value: FieldValue;
}

export type FieldValue = number | bigint | string | Uint8Array | readonly number[] | readonly bigint[];

/** A structure as it stands in a file, field by field. */
export interface DecodedStruct {
  readonly name: string;
  /** Absolute offset in the source, in bytes. */
  readonly offset: number;
  readonly size: number;
  readonly fields: readonly DecodedField[];
}

export class StructTable<F extends Fields> {
  constructor(
    readonly name: string,
    /** Size of the whole structure, in bytes. */
    readonly size: number,
    readonly fields: F,
  ) {
    for (const [field, { offset, size: length }] of Object.entries(fields)) {
      if (offset < 0 || offset + length > size) {
        throw new Error(`${name}.${field} lies outside the ${size} bytes of its structure`);
      }
    }
  }

  /** Reads the structure at `at`. Throws EXH_TRUNCATED when the view ends inside it. */
  read(view: DataView, at = 0, littleEndian = true): StructOf<F> {
    this.check(view, at);
    const result: Record<string, unknown> = {};
    for (const [name, field] of Object.entries(this.fields)) {
      result[name] = field.read(view, at + field.offset, littleEndian);
    }
    return result as StructOf<F>;
  }

  /** Writes the given fields at `at` and leaves all other bytes as they are. */
  write(view: DataView, at: number, values: Partial<StructOf<F>>, littleEndian = true): void {
    this.check(view, at);
    for (const [name, value] of Object.entries(values)) {
      this.fields[name]?.write(view, at + (this.fields[name]?.offset ?? 0), value, littleEndian);
    }
  }

  /**
   * Lists the fields of the structure at `at` in the view.
   * @param base the source offset of the view's first byte, so that the listing shows offsets in the file
   */
  decode(view: DataView, at: number, base: number, littleEndian = true): DecodedStruct {
    this.check(view, at);
    const fields = Object.entries(this.fields).map(([name, field]): DecodedField => {
      const start = at + field.offset;
      return {
        name,
        type: field.type,
        offset: base + start,
        size: field.size,
        bytes: new Uint8Array(view.buffer, view.byteOffset + start, field.size).slice(),
        value: field.read(view, start, littleEndian) as FieldValue,
      };
    });
    return { name: this.name, offset: base + at, size: this.size, fields };
  }

  private check(view: DataView, at: number): void {
    if (at < 0 || at + this.size > view.byteLength) {
      throw new ExhumeError(
        'EXH_TRUNCATED',
        `${this.name} needs ${this.size} bytes at ${at}, ${view.byteLength} given`,
        {
          offset: at,
          expected: this.size,
          found: Math.max(0, view.byteLength - at),
        },
      );
    }
  }
}

/** Declares a layout. Throws at load when a field lies outside `size`, so a wrong table never ships. */
export function structTable<const F extends Fields>(name: string, size: number, fields: F): StructTable<F> {
  return new StructTable(name, size, fields);
}

/** A DataView over the bytes of an array, whatever part of its buffer that is. */
export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

export const u8 = (offset: number): Field<number> => ({
  offset,
  size: 1,
  type: 'u8',
  read: (view, at) => view.getUint8(at),
  write: (view, at, value) => view.setUint8(at, value),
});

export const u16 = (offset: number): Field<number> => ({
  offset,
  size: 2,
  type: 'u16',
  read: (view, at, le) => view.getUint16(at, le),
  write: (view, at, value, le) => view.setUint16(at, value, le),
});

export const u32 = (offset: number): Field<number> => ({
  offset,
  size: 4,
  type: 'u32',
  read: (view, at, le) => view.getUint32(at, le),
  write: (view, at, value, le) => view.setUint32(at, value, le),
});

export const i32 = (offset: number): Field<number> => ({
  offset,
  size: 4,
  type: 's32',
  read: (view, at, le) => view.getInt32(at, le),
  write: (view, at, value, le) => view.setInt32(at, value, le),
});

export const u64 = (offset: number): Field<bigint> => ({
  offset,
  size: 8,
  type: 'u64',
  read: (view, at, le) => view.getBigUint64(at, le),
  write: (view, at, value, le) => view.setBigUint64(at, value, le),
});

export const i64 = (offset: number): Field<bigint> => ({
  offset,
  size: 8,
  type: 's64',
  read: (view, at, le) => view.getBigInt64(at, le),
  write: (view, at, value, le) => view.setBigInt64(at, value, le),
});

/**
 * An unsigned 64-bit size or file offset, as a number.
 * A value of 2^53 or more cannot be one: it reads as Infinity, which every bound check then refuses.
 */
export const size64 = (offset: number): Field<number> => ({
  offset,
  size: 8,
  type: 'u64',
  read: (view, at, le) => {
    const value = view.getBigUint64(at, le);
    return value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : Number.POSITIVE_INFINITY;
  },
  write: (view, at, value, le) => view.setBigUint64(at, BigInt(value), le),
});

/**
 * As `size64`, but a multiple of 4096 of 2^53 or more is kept: it is exact in a double, and so is its sum with others.
 * For /proc/kcore, whose offsets are addresses: with five levels of page tables they have 56 bits.
 */
export const farOffset = (offset: number): Field<number> => ({
  ...size64(offset),
  read: (view, at, le) => {
    const value = view.getBigUint64(at, le);
    const exact = value <= BigInt(Number.MAX_SAFE_INTEGER) || value % 4096n === 0n;
    return exact ? Number(value) : Number.POSITIVE_INFINITY;
  },
});

const decoder = new TextDecoder('latin1');
const encoder = new TextEncoder();

/** A NUL-padded string; it ends at the first NUL. Bytes are taken as Latin-1, so nothing is lost. */
export const text = (offset: number, size: number): Field<string> => ({
  offset,
  size,
  type: `char[${size}]`,
  read: (view, at) => {
    const bytes = new Uint8Array(view.buffer, view.byteOffset + at, size);
    const end = bytes.indexOf(0);
    return decoder.decode(end < 0 ? bytes : bytes.subarray(0, end));
  },
  write: (view, at, value) => {
    const bytes = new Uint8Array(view.buffer, view.byteOffset + at, size).fill(0);
    bytes.set(encoder.encode(value).subarray(0, size));
  },
});

/** Raw bytes, copied out. */
export const raw = (offset: number, size: number): Field<Uint8Array> => ({
  offset,
  size,
  type: `u8[${size}]`,
  read: (view, at) => new Uint8Array(view.buffer, view.byteOffset + at, size).slice(),
  write: (view, at, value) => new Uint8Array(view.buffer, view.byteOffset + at, size).set(value.subarray(0, size)),
});

/** `count` elements of another field, one after another. */
export const array = <T>(element: (offset: number) => Field<T>, offset: number, count: number): Field<T[]> => {
  const one = element(0);
  return {
    offset,
    size: one.size * count,
    type: `${one.type}[${count}]`,
    read: (view, at, le) => Array.from({ length: count }, (_, i) => one.read(view, at + i * one.size, le)),
    write: (view, at, values, le) => {
      values.slice(0, count).forEach((value, i) => {
        one.write(view, at + i * one.size, value, le);
      });
    },
  };
};
