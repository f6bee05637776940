import assert from 'node:assert/strict';
import { test } from 'node:test';
import { virtualAddress } from '../../bytes/address.js';
import { Random } from '../../testing/random.js';
import type { TraceNames } from '../model.js';
import { formatPrintk } from './printk.js';
import { madeContext } from './testing/records.js';

type Argument = readonly [size: number, value: number | bigint] | string;

/** Packs arguments as `vbin_printf()` does: each aligned to its size, at most to 4 bytes; texts with their NUL. */
function packed(...args: readonly Argument[]): Uint8Array {
  const bytes: number[] = [];
  for (const argument of args) {
    if (typeof argument === 'string') {
      bytes.push(...new TextEncoder().encode(argument), 0);
      continue;
    }
    const [size, value] = argument;
    while (bytes.length % Math.min(size, 4) !== 0) bytes.push(0);
    for (let at = 0; at < size; at++) bytes.push(Number((BigInt.asUintN(64, BigInt(value)) >> BigInt(8 * at)) & 0xffn));
  }
  while (bytes.length % 4 !== 0) bytes.push(0);
  return Uint8Array.from(bytes);
}

const symbol = { name: 'schedule', address: virtualAddress(0xffff_ffff_8100_0000n), type: 'T' };
const NAMES: Partial<TraceNames> = {
  symbol: (address) => ({ symbol, offset: Number(address - symbol.address), size: 0x40 }),
  hashPointer: () => 0x1234abcd,
};

test('arguments are read as the kernel packs them', () => {
  const context = madeContext(NAMES);
  for (const [format, args, expected] of [
    ['no argument %%', [], 'no argument %'],
    ['%d %s %lu', [[4, -5], 'text', [8, 0xffff_ffff_ffff_ffffn]], '-5 text 18446744073709551615'],
    [
      '%c%c %5d|%-5d|%05d',
      [
        [1, 65],
        [1, 66],
        [4, 1],
        [4, 2],
        [4, 3],
      ],
      'AB     1|2    |00003',
    ],
    ['%*d %.*s', [[4, 6], [4, 42], [4, 3], 'abcdef'], '    42 abc'],
    [
      '%ps %pS',
      [
        [8, 0xffff_ffff_8100_0004n],
        [8, 0xffff_ffff_8100_0004n],
      ],
      'schedule schedule+0x4/0x40',
    ],
    [
      '%p %px',
      [
        [8, 0xffff_ffff_8100_0004n],
        [8, 1],
      ],
      '000000001234abcd 0000000000000001',
    ],
    // What the kernel prints of memory it printed when it recorded.
    ['%pI4 %pM end', ['10.0.0.1', '52:54:00:12:34:56'], '10.0.0.1 52:54:00:12:34:56 end'],
    ['%s%llx', ['odd', [8, 0x1_0000_0000n]], 'odd100000000'],
    ['missing %d and more', [], 'missing '],
    ['%n never', [[4, 1]], ''],
  ] as const) {
    assert.equal(formatPrintk(format, packed(...args), context), expected, format);
  }
});

test('small arguments are packed in their own size up to 6.14, as an int later', () => {
  const own = packed([1, -2], [2, 65535], [4, 7]);
  const int = packed([4, -2], [4, 65535], [4, 7]);
  const format = '%hhd %hu %d';
  for (const [args, constant] of [
    [own, 'FORMAT_TYPE_USHORT'],
    [int, 'FORMAT_STATE_NUM'],
    [own, undefined],
    [int, undefined],
  ] as const) {
    const names: Partial<TraceNames> = { constant: (name) => (name === constant ? 1n : undefined) };
    assert.equal(formatPrintk(format, args, madeContext(names)), '-2 65535 7');
  }
});

test('any format and any arguments make a text of bounded length', () => {
  const random = new Random(11);
  const context = madeContext(NAMES);
  const pieces = [
    '%d',
    '%s',
    '%*d',
    '%.*s',
    '%999999999d',
    '%lx',
    '%hhu',
    '%pS',
    '%pI6c',
    '%p',
    '%',
    'x',
    '%c',
    '%-08.3lu',
  ];
  for (let round = 0; round < 3000; round++) {
    let format = '';
    for (let left = random.below(8); left > 0; left--) format += pieces[random.below(pieces.length)];
    const args = Uint8Array.from({ length: random.below(64) }, () => random.pick([0, 255, random.below(256)]));
    assert.ok(formatPrintk(format, args, context).length < 1 << 17);
  }
});
