import type { Wide } from './fields.js';

/*
 * 64-bit integers of C as numbers wherever they are exact, bigint beyond: most values are small, and numbers are ten
 * times faster. Every value is kept in one form only: a number if, and only if, it is a safe integer.
 */

/** An integer type of C. */
export interface IntType {
  readonly kind: 'int';
  /** In bytes: 1, 2, 4 or 8. */
  readonly size: number;
  readonly signed: boolean;
  /** `bool`: what becomes one is 0 or 1. */
  readonly boolean?: boolean;
}

const MOST = BigInt(Number.MAX_SAFE_INTEGER);

/** The one form of a value. */
export function wide(value: bigint): Wide {
  return value <= MOST && value >= -MOST ? Number(value) : value;
}

/** What an integer becomes in a type: cut to its size, its top bit read as the type says. */
export function toType(value: Wide, { size, signed }: IntType): Wide {
  if (size < 8) return toNarrow(value, size, signed);
  if (typeof value === 'number') return signed || value >= 0 ? value : wide(BigInt.asUintN(64, BigInt(value)));
  return wide(signed ? BigInt.asIntN(64, value) : BigInt.asUintN(64, value));
}

/** The same for the types of at most 4 bytes. */
export function toNarrow(value: Wide, size: number, signed: boolean): number {
  const word = typeof value === 'number' ? value | 0 : Number(BigInt.asIntN(32, value));
  if (size === 4) return signed ? word : word >>> 0;
  if (size === 2) return signed ? (word << 16) >> 16 : word & 0xffff;
  return signed ? (word << 24) >> 24 : word & 0xff;
}

type Operation = (left: Wide, right: Wide) => Wide;

/** An operator on 64-bit operands of one type. `undefined`: there is no such operator. Division by 0 gives undefined too. */
export function wideOperation(
  operator: string,
  type: IntType,
): ((left: Wide, right: Wide) => Wide | undefined) | undefined {
  const finish = (value: bigint): Wide => wide(type.signed ? BigInt.asIntN(64, value) : BigInt.asUintN(64, value));
  // `+ 0` makes 0 of -0.
  const checked = (fast: (left: number, right: number) => number, slow: (left: bigint, right: bigint) => bigint) =>
    ((left, right) => {
      if (typeof left === 'number' && typeof right === 'number') {
        const result = fast(left, right);
        if (Number.isSafeInteger(result) && (type.signed || result >= 0)) return result + 0;
      }
      return finish(slow(BigInt(left), BigInt(right)));
    }) satisfies Operation;
  const bits = (fast: (left: number, right: number) => number, slow: (left: bigint, right: bigint) => bigint) =>
    ((left, right) => {
      if (isWord(left) && isWord(right)) return fast(left, right) >>> 0;
      return finish(slow(BigInt(left), BigInt(right)));
    }) satisfies Operation;
  switch (operator) {
    case '+':
      return checked(
        (left, right) => left + right,
        (left, right) => left + right,
      );
    case '-':
      return checked(
        (left, right) => left - right,
        (left, right) => left - right,
      );
    case '*':
      return checked(
        (left, right) => left * right,
        (left, right) => left * right,
      );
    case '/':
      return (left, right) => {
        if (right === 0) return undefined;
        if (typeof left === 'number' && typeof right === 'number') return Math.trunc(left / right) + 0;
        return finish(BigInt(left) / BigInt(right));
      };
    case '%':
      return (left, right) => {
        if (right === 0) return undefined;
        if (typeof left === 'number' && typeof right === 'number') return (left % right) + 0;
        return finish(BigInt(left) % BigInt(right));
      };
    case '&':
      return bits(
        (left, right) => left & right,
        (left, right) => left & right,
      );
    case '|':
      return bits(
        (left, right) => left | right,
        (left, right) => left | right,
      );
    case '^':
      return bits(
        (left, right) => left ^ right,
        (left, right) => left ^ right,
      );
    case '<<':
      return (left, right) => {
        const count = Number(right) & 63;
        if (typeof left === 'number') {
          const result = left * 2 ** count;
          if (Number.isSafeInteger(result)) return result;
        }
        return finish(BigInt(left) << BigInt(count));
      };
    case '>>':
      return (left, right) => {
        const count = Number(right) & 63;
        if (typeof left === 'number') return Math.floor(left / 2 ** count);
        return finish(left >> BigInt(count));
      };
    default:
      return undefined;
  }
}

/** An operator on operands of `int` or `unsigned int`. */
export function narrowOperation(
  operator: string,
  { signed }: IntType,
): ((left: number, right: number) => number | undefined) | undefined {
  const fit = signed ? (value: number) => value | 0 : (value: number) => value >>> 0;
  switch (operator) {
    case '+':
      return (left, right) => fit(left + right);
    case '-':
      return (left, right) => fit(left - right);
    case '*':
      return (left, right) => fit(Math.imul(left, right));
    case '/':
      return (left, right) => (right === 0 ? undefined : fit(Math.trunc(left / right)));
    case '%':
      return (left, right) => (right === 0 ? undefined : fit(left % right));
    case '&':
      return (left, right) => fit(left & right);
    case '|':
      return (left, right) => fit(left | right);
    case '^':
      return (left, right) => fit(left ^ right);
    case '<<':
      return (left, right) => fit(left << (right & 31));
    case '>>':
      return signed ? (left, right) => left >> (right & 31) : (left, right) => left >>> (right & 31);
    default:
      return undefined;
  }
}

function isWord(value: Wide): value is number {
  return typeof value === 'number' && value >= 0 && value <= 0xffff_ffff;
}
