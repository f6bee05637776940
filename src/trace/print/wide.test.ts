import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Random } from '../../testing/random.js';
import { decimal, hexadecimal } from './digits.js';
import type { Wide } from './fields.js';
import { type IntType, narrowOperation, toType, wide, wideOperation } from './wide.js';

const random = new Random(3);

/** Small numbers, bits, and those next to where a form of a number ends. */
function anyNumber(): bigint {
  const near = BigInt(random.below(5) - 2);
  switch (random.below(4)) {
    case 0:
      return near;
    case 1:
      return (1n << BigInt(random.pick([7, 8, 15, 16, 28, 31, 32, 52, 53, 63, 64]))) + near;
    case 2:
      return -(1n << BigInt(random.pick([31, 53, 63]))) + near;
    default:
      return BigInt(random.below(2 ** 32)) << BigInt(random.below(33));
  }
}

const OPERATIONS: Readonly<Record<string, (left: bigint, right: bigint) => bigint>> = {
  '+': (left, right) => left + right,
  '-': (left, right) => left - right,
  '*': (left, right) => left * right,
  '/': (left, right) => left / right,
  '%': (left, right) => left % right,
  '&': (left, right) => left & right,
  '|': (left, right) => left | right,
  '^': (left, right) => left ^ right,
  '<<': (left, right) => left << right,
  '>>': (left, right) => left >> right,
};

test('operators on any two integers give what C gives, in the one form of the value', () => {
  for (const size of [4, 8]) {
    for (const signed of [true, false]) {
      const type: IntType = { kind: 'int', size, signed };
      const fit = (value: bigint) => wide(signed ? BigInt.asIntN(8 * size, value) : BigInt.asUintN(8 * size, value));
      for (const [operator, exact] of Object.entries(OPERATIONS)) {
        const operate = size === 8 ? wideOperation(operator, type) : narrowOperation(operator, type);
        assert.ok(operate !== undefined, operator);
        const apply = operate as (left: Wide, right: Wide) => Wide | undefined;
        for (let round = 0; round < 300; round++) {
          const left = toType(wide(anyNumber()), type);
          const shift = operator === '<<' || operator === '>>';
          const right = shift ? random.below(8 * size) : toType(wide(anyNumber()), type);
          const found: Wide | undefined = apply(left, right);
          if (right === 0 && (operator === '/' || operator === '%')) assert.equal(found, undefined);
          else {
            const expected = fit(exact(BigInt(left), BigInt(right)));
            assert.ok(Object.is(found, expected), `${left} ${operator} ${right}: ${found}, not ${expected}`);
          }
        }
      }
    }
  }
});

test('any integer becomes what a cast makes of it', () => {
  for (const size of [1, 2, 4, 8]) {
    for (const signed of [true, false]) {
      for (let round = 0; round < 300; round++) {
        const value = anyNumber();
        const expected = wide(signed ? BigInt.asIntN(8 * size, value) : BigInt.asUintN(8 * size, value));
        assert.equal(toType(wide(BigInt.asIntN(64, value)), { kind: 'int', size, signed }), expected, `${value}`);
      }
    }
  }
});

test('the fast way to digits gives the same digits', () => {
  for (let round = 0; round < 3000; round++) {
    const value = anyNumber();
    assert.equal(decimal(wide(value)), value.toString());
    if (value >= 0n) assert.equal(hexadecimal(wide(value)), value.toString(16));
  }
});
