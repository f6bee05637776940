import { type EventRecord, readInteger, type Wide } from './fields.js';
import { textUpToNul } from './text-bytes.js';
import { Unfollowable } from './unfollowable.js';
import { type IntType, toNarrow, toType } from './wide.js';

/** A type of C, as far as print formats use them. */
export type CType =
  | IntType
  | { readonly kind: 'pointer'; readonly to: CType }
  | { readonly kind: 'struct'; readonly name: string; readonly size: number | undefined }
  | { readonly kind: 'void' };

/** What an expression becomes: how to have its value from a record. */
export type Value =
  /** An integer of at most 4 bytes: always a number. */
  | {
      readonly kind: 'narrow';
      readonly type: IntType;
      readonly get: (record: EventRecord) => number;
      readonly constant?: number;
    }
  /** One of 8 bytes. */
  | {
      readonly kind: 'wide';
      readonly type: IntType;
      readonly get: (record: EventRecord) => Wide;
      readonly constant?: Wide;
      /** Where in the record its 8 bytes stand as they are. */
      readonly offset?: number;
    }
  /** An address in the traced kernel's, or process's, memory. */
  | {
      readonly kind: 'pointer';
      readonly to: CType;
      readonly get: (record: EventRecord) => Wide;
      readonly constant?: Wide;
      readonly offset?: number;
    }
  /** The address of something in the record: its place in `bytes`. */
  | {
      readonly kind: 'place';
      readonly to: CType;
      readonly at: (record: EventRecord) => number;
      /** Where it ends in `bytes`, if it ends before the record does. */
      readonly end: ((record: EventRecord) => number) | undefined;
      /** Of an array, as `sizeof` tells, in bytes. */
      readonly size: number | undefined;
    }
  /** A `char *` whose text is made here. */
  | { readonly kind: 'text'; readonly get: (record: EventRecord) => string; readonly constant?: string }
  /** `__print_hex_dump` etc. take types. */
  | { readonly kind: 'type'; readonly type: CType };

export type Integer = Extract<Value, { kind: 'narrow' | 'wide' }>;

export const INT: IntType = { kind: 'int', size: 4, signed: true };
export const UINT: IntType = { kind: 'int', size: 4, signed: false };
export const CHAR: IntType = { kind: 'int', size: 1, signed: true };
export const U64: IntType = { kind: 'int', size: 8, signed: false };
export const S64: IntType = { kind: 'int', size: 8, signed: true };
export const VOID: CType = { kind: 'void' };

export function isInteger(value: Value): value is Integer {
  return value.kind === 'narrow' || value.kind === 'wide';
}

export function constant(value: Wide, type: IntType): Integer {
  if (type.size <= 4) {
    const narrow = toNarrow(value, type.size, type.signed);
    return { kind: 'narrow', type, get: () => narrow, constant: narrow };
  }
  const exact = toType(value, type);
  return { kind: 'wide', type, get: () => exact, constant: exact };
}

export function text(value: string): Value {
  return { kind: 'text', get: () => value, constant: value };
}

/** An integer in another type of integer. */
export function convert(value: Integer, type: IntType): Integer {
  if (type.boolean === true && value.type.boolean !== true) {
    if (value.constant !== undefined) return constant(value.constant === 0 ? 0 : 1, type);
    const is = truth(value);
    return { kind: 'narrow', type, get: (record) => (is(record) ? 1 : 0) };
  }
  if (value.constant !== undefined) return constant(value.constant, type);
  const { size, signed } = type;
  if (value.kind === 'narrow') {
    const from = value.type;
    const same = from.size === size && from.signed === signed;
    // All values of a smaller type fit a larger signed one, and of an unsigned type any larger one.
    const fits = same || (from.size < size && (signed || !from.signed));
    const { get } = value;
    if (size <= 4) return { kind: 'narrow', type, get: fits ? get : (record) => toNarrow(get(record), size, signed) };
    return { kind: 'wide', type, get: fits ? get : (record) => toType(get(record), type) };
  }
  const { get } = value;
  if (size <= 4) return { kind: 'narrow', type, get: (record) => toNarrow(get(record), size, signed) };
  const converted = value.type.signed === signed ? get : (record: EventRecord) => toType(get(record), type);
  return { kind: 'wide', type, get: converted, ...stands(value.offset) };
}

/** The same bytes, seen in another way. */
export function stands(offset: number | undefined): { readonly offset?: number } {
  return offset === undefined ? {} : { offset };
}

/** Any value that is a number in C, as an integer of its own type; pointers are `unsigned long`. */
export function asInteger(value: Value): Integer {
  if (isInteger(value)) return value;
  if (value.kind === 'pointer') {
    const { get, offset } = value;
    return value.constant === undefined
      ? { kind: 'wide', type: U64, get, ...stands(offset) }
      : constant(value.constant, U64);
  }
  throw new Unfollowable('an address within the record, which is not known any more, is taken for a number');
}

/** As a number: lengths, counts. */
export function asNumber(value: Value): (record: EventRecord) => number {
  const { get } = asInteger(value);
  return (record) => Number(get(record));
}

/** Is it true in C? */
export function truth(value: Value): (record: EventRecord) => boolean {
  switch (value.kind) {
    case 'narrow': {
      const { get } = value;
      return (record) => get(record) !== 0;
    }
    case 'wide':
    case 'pointer': {
      const { get } = value;
      return (record) => get(record) !== 0;
    }
    default:
      return () => true;
  }
}

/** What lies at a place in the record. */
export function load(place: Extract<Value, { kind: 'place' }>, littleEndian: boolean, longSize: number): Value {
  const { to, at } = place;
  if (to.kind === 'int' || to.kind === 'pointer') {
    const size = to.kind === 'int' ? to.size : longSize;
    const signed = to.kind === 'int' && to.signed;
    const read = (record: EventRecord): Wide => {
      const where = at(record);
      if (where < record.start || where + size > record.start + record.length) {
        throw new Unfollowable('it reads beyond its record');
      }
      return readInteger(record.view, where, size, signed, littleEndian);
    };
    if (to.kind === 'pointer') return { kind: 'pointer', to: to.to, get: read };
    if (size <= 4) return { kind: 'narrow', type: to, get: (record) => Number(read(record)) };
    return { kind: 'wide', type: to, get: read };
  }
  throw new Unfollowable(
    to.kind === 'struct' ? `a whole ${to.name} is taken for a value` : 'a void is taken for a value',
  );
}

/** Of the bytes at a place: from, and at most up to. Empty where the place is outside of the record. */
export function placeBytes(
  place: Extract<Value, { kind: 'place' }>,
): (record: EventRecord, length: number) => Uint8Array {
  const { at, end } = place;
  return (record, length) => {
    const from = at(record);
    const limit = Math.min(record.start + record.length, end === undefined ? Number.MAX_SAFE_INTEGER : end(record));
    if (from < record.start || from > limit) return new Uint8Array(0);
    return record.bytes.subarray(from, Math.min(from + Math.max(length, 0), limit));
  };
}

/** The text that a place in the record begins with. */
export function placeText(place: Extract<Value, { kind: 'place' }>): (record: EventRecord) => string {
  const { at, end } = place;
  return (record) => {
    const from = at(record);
    const last = record.start + record.length;
    const limit = end === undefined ? last : Math.min(end(record), last);
    return from < record.start || from >= limit ? '' : textUpToNul(record.bytes, from, limit);
  };
}
