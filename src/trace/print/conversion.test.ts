import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fill, formatInteger, formatText, parseFormat } from './conversion.js';
import type { Wide } from './fields.js';

/** One conversion of one value. */
function printed(format: string, value: Wide | string): string {
  return parseFormat(format, 8)
    .map((part) => {
      if (typeof part === 'string') return part;
      const conversion = fill(part, 0, 0);
      return typeof value === 'string' ? formatText(value, conversion) : formatInteger(value, conversion);
    })
    .join('');
}

test('integers are padded and signed as number() of lib/vsprintf.c does', () => {
  for (const [format, value, expected] of [
    ['%5d|', -42, '  -42|'],
    ['%-5d|', -42, '-42  |'],
    ['%05d|', -42, '-0042|'],
    ['%-05d|', -42, '-42  |'],
    ['%+d % d', 7, '+7  7'],
    ['%#x %#X', 255, '0xff 0XFF'],
    ['%#o %#o', 8, '010 010'],
    ['%#o', 0, '0'],
    ['%#x', 0, '0x0'],
    ['%#010x', 255, '0x000000ff'],
    ['%.5d', 42, '00042'],
    ['%8.5d|', -42, '  -00042|'],
    ['%08.5d|', 42, '00000042|'],
    ['%2d', 100, '100'],
    ['%lx', 0xffff_ffff_ffff_ffffn, 'ffffffffffffffff'],
    ['%20llu|', 0xffff_ffff_ffff_ffffn, '18446744073709551615|'],
    ['%lld', -(2n ** 63n), '-9223372036854775808'],
    ['%.0d', 0, '0'],
  ] as const) {
    assert.equal(printed(format, value), expected, format);
  }
});

test('texts are cut and padded by bytes', () => {
  for (const [format, value, expected] of [
    ['%10s|', 'abc', '       abc|'],
    ['%-10s|', 'abc', 'abc       |'],
    ['%.2s|', 'abc', 'ab|'],
    ['%5.1s|', 'abc', '    a|'],
    ['%4s|', 'é', '  é|'],
    ['%.3s|', 'éa', 'éa|'],
    ['%.0s|', 'abc', '|'],
  ] as const) {
    assert.equal(printed(format, value), expected, format);
  }
});

test('the sizes and letters of conversions', () => {
  const sizes = ['%hhd', '%hd', '%d', '%ld', '%lld', '%zu', '%td', '%Lx', '%Hx'].map((format) => {
    const [part] = parseFormat(format, 8);
    return typeof part === 'object' ? part.type.size : undefined;
  });
  assert.deepEqual(sizes, [1, 2, 4, 8, 8, 8, 8, 8, 1]);
  const [pointer, rest] = parseFormat('%pISpfsc-%d', 8);
  assert.ok(typeof pointer === 'object' && pointer.extension === 'ISpfsc');
  assert.equal(rest, '-');
  assert.deepEqual(parseFormat('50%% done %q and the rest', 8), ['50% done '], 'nothing behind an unknown conversion');
  const [long] = parseFormat('%ld', 4);
  assert.ok(typeof long === 'object' && long.type.size === 4);
});

test('no width makes more than the kernel could show', () => {
  assert.equal(printed('%2000000000d', 1).length, 8192);
  assert.equal(printed('%.2000000000d', 1).length, 8192);
  const [part] = parseFormat('%*d', 8);
  assert.ok(typeof part === 'object');
  assert.equal(formatInteger(7, fill(part, -5, 0)), '7    ', 'a negative width pads on the right');
});
