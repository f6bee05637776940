import type { EventRecord, Wide } from './fields.js';
import type { Expression } from './syntax.js';
import { Unfollowable } from './unfollowable.js';
import { asInteger, constant, convert, INT, type Integer, isInteger, S64, U64, UINT, type Value } from './values.js';
import { type IntType, narrowOperation, wideOperation } from './wide.js';

const NO_RECORD: EventRecord = {
  bytes: new Uint8Array(0),
  view: new DataView(new ArrayBuffer(0)),
  start: 0,
  length: 0,
};

const COMPARISONS: Readonly<Record<string, (left: Wide, right: Wide) => boolean>> = {
  '==': (left, right) => left === right,
  '!=': (left, right) => left !== right,
  '<': (left, right) => left < right,
  '>': (left, right) => left > right,
  '<=': (left, right) => left <= right,
  '>=': (left, right) => left >= right,
};

/** A literal's type: the first of C's that holds it. */
export function literal(
  { value, suffix, decimal }: Extract<Expression, { kind: 'number' }>,
  longSize: number,
): Integer {
  const longest = suffix.includes('ll') ? 8 : suffix.includes('l') ? longSize : 4;
  const unsigned = suffix.includes('u');
  for (const size of [4, 8]) {
    if (size < longest) continue;
    const bits = BigInt(8 * size);
    if (!unsigned && value < 1n << (bits - 1n)) return constant(value, { kind: 'int', size, signed: true });
    if ((unsigned || !decimal) && value < 1n << bits) return constant(value, { kind: 'int', size, signed: false });
  }
  return constant(value, U64);
}

/** The type of an enumeration constant. */
export function smallest(value: bigint): IntType {
  if (value >= -0x8000_0000n && value < 0x8000_0000n) return INT;
  if (value >= 0n && value < 0x1_0000_0000n) return UINT;
  return value < 1n << 63n ? S64 : U64;
}

/** The integer promotions. */
export function promoted(value: Integer): Integer {
  return value.type.size < 4 ? convert(value, INT) : value;
}

/** The usual arithmetic conversions. */
export function common(left: IntType, right: IntType): IntType {
  const size = Math.max(left.size, right.size, 4);
  const unsigned = (type: IntType) => type.size === size && !type.signed;
  return { kind: 'int', size, signed: !unsigned(left) && !unsigned(right) };
}

/** Division by 0 has no result. */
function result<T extends Wide>(value: T | undefined): T {
  if (value === undefined) throw new Unfollowable('it divides by 0');
  return value;
}

function narrowWith(
  operation: (left: number, right: number) => number | undefined,
  type: IntType,
  get: (record: EventRecord) => number,
  right: number,
): Integer {
  return { kind: 'narrow', type, get: (record) => result(operation(get(record), right)) };
}

function isNull(value: Value): boolean {
  if (isInteger(value)) return value.constant === 0;
  return value.kind === 'pointer' && value.constant === 0;
}

/** An operator on any two integers. Throws Unfollowable. */
export function integers(operator: string, left: Integer, right: Integer): Integer {
  if (operator === '<<' || operator === '>>') return arithmetic(operator, promoted(left), right);
  const type = common(left.type, right.type);
  return arithmetic(operator, convert(left, type), convert(right, type));
}

/** Of operands that have the result's type; only the right one of a shift may have its own. */
export function arithmetic(operator: string, left: Integer, right: Integer): Integer {
  const { type } = left;
  const one = left.get;
  const other = right.get;
  if (left.kind === 'narrow') {
    const operation = narrowOperation(operator, type);
    const get = left.get;
    const count = right.kind === 'narrow' ? right.get : (record: EventRecord) => Number(right.get(record));
    if (operation === undefined) throw new Unfollowable(`${operator} is no operator on numbers`);
    const fixed = right.kind === 'narrow' ? right.constant : undefined;
    if (fixed !== undefined) return fold(narrowWith(operation, type, get, fixed), left, right);
    return fold({ kind: 'narrow', type, get: (record) => result(operation(get(record), count(record))) }, left, right);
  }
  const operation = wideOperation(operator, type);
  if (operation === undefined) throw new Unfollowable(`${operator} is no operator on numbers`);
  return fold({ kind: 'wide', type, get: (record) => result(operation(one(record), other(record))) }, left, right);
}

/** `==`, `<` and their like. Throws Unfollowable. */
export function comparison(operator: string, first: Value, second: Value): Integer {
  const compare = COMPARISONS[operator];
  if (compare === undefined) throw new Unfollowable(`${operator} is no operator`);
  // What is in the record, and any text, has an address, and it is not 0.
  for (const [value, other] of [
    [first, second],
    [second, first],
  ] as const) {
    if ((value.kind === 'place' || value.kind === 'text') && isNull(other)) return constant(compare(1, 0) ? 1 : 0, INT);
  }
  const left = asInteger(first);
  const right = asInteger(second);
  const type = common(left.type, right.type);
  const one = convert(left, type).get;
  const other = convert(right, type).get;
  return fold(
    { kind: 'narrow', type: INT, get: (record) => (compare(one(record), other(record)) ? 1 : 0) },
    left,
    right,
  );
}

/** Computes now what depends on constants only. */
export function fold(value: Integer, ...operands: readonly Value[]): Integer {
  if (!operands.every((operand) => isInteger(operand) && operand.constant !== undefined)) return value;
  return constant(value.get(NO_RECORD), value.type);
}
