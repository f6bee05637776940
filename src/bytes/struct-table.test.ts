import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ExhumeError } from './errors.js';
import {
  array,
  farOffset,
  i32,
  i64,
  raw,
  size64,
  structTable,
  text,
  u8,
  u16,
  u32,
  u64,
  viewOf,
} from './struct-table.js';

const TABLE = structTable('sample', 48, {
  byte: u8(0),
  short: u16(2),
  word: u32(4),
  signed: i32(8),
  name: text(12, 4),
  long: u64(16),
  signedLong: i64(24),
  size: size64(32),
  pair: array(u16, 40, 2),
  bytes: raw(44, 4),
});

const VALUES = {
  byte: 0xfe,
  short: 0x1234,
  word: 0xdeadbeef,
  signed: -2,
  name: 'ab',
  long: 0xffff888000000000n,
  signedLong: -3n,
  size: 2 ** 40,
  pair: [7, 8],
  bytes: Uint8Array.of(1, 2, 3, 4),
};

for (const littleEndian of [true, false]) {
  test(`what is written is read back, ${littleEndian ? 'little' : 'big'} endian`, () => {
    const view = new DataView(new ArrayBuffer(64));
    TABLE.write(view, 8, VALUES, littleEndian);
    assert.deepEqual(TABLE.read(view, 8, littleEndian), VALUES);
    assert.equal(view.getUint16(10, littleEndian), 0x1234);
  });
}

test('a listing tells name, type, offset in the file, bytes and value of each field', () => {
  const bytes = new Uint8Array(48);
  TABLE.write(viewOf(bytes), 0, VALUES);
  const listed = TABLE.decode(viewOf(bytes), 0, 4096);
  assert.deepEqual([listed.name, listed.offset, listed.size], ['sample', 4096, 48]);
  assert.deepEqual(listed.fields[2], {
    name: 'word',
    type: 'u32',
    offset: 4100,
    size: 4,
    bytes: Uint8Array.of(0xef, 0xbe, 0xad, 0xde),
    value: 0xdeadbeef,
  });
});

test('a size of 2^53 or more is Infinity, which every bound refuses', () => {
  const view = new DataView(new ArrayBuffer(48));
  view.setBigUint64(32, 1n << 60n, true);
  assert.equal(TABLE.read(view).size, Number.POSITIVE_INFINITY);
});

test('a structure that runs past the bytes is refused; a wrong table never loads', () => {
  assert.throws(
    () => TABLE.read(new DataView(new ArrayBuffer(47))),
    (error) => error instanceof ExhumeError && error.code === 'EXH_TRUNCATED',
  );
  assert.throws(() => TABLE.read(new DataView(new ArrayBuffer(64)), -1), ExhumeError);
  assert.throws(() => structTable('wrong', 4, { field: u64(0) }), /wrong\.field lies outside/);
});

test('an offset past 2^53 is kept when it is exact, as that of a page is', () => {
  const field = farOffset(0);
  const view = new DataView(new ArrayBuffer(8));
  for (const [value, expected] of [
    [0x1000n, 0x1000],
    [0xffffff81c03000n, 0xffffff81c03000],
    [0xffffff81c03001n, Number.POSITIVE_INFINITY],
  ] as const) {
    view.setBigUint64(0, value, true);
    assert.equal(field.read(view, 0, true), expected);
  }
});
