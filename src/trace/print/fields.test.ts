import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TraceField } from '../model.js';
import { fieldReader } from './fields.js';
import { madeRecord } from './testing/records.js';

const { format, record } = madeRecord('', [
  ['pid_t pid', -7],
  ['u8 byte', 200],
  ['u64 big', 0xffff_ffff_ffff_ffffn],
  ['unsigned long small', 5n],
  ['char comm[16]', 'bash', 16],
  ['__data_loc char[] name', 'eth0'],
  ['__rel_loc u16[] words', Uint8Array.of(1, 0, 2, 1)],
  ['u32 pair[2]', Uint8Array.of(1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff)],
  ['uuid_t uuid', new Uint8Array(16).fill(7)],
]);

function reader(name: string) {
  const field = format.fields.find((one) => one.name === name);
  assert.ok(field !== undefined);
  return fieldReader(field, true, 8);
}

test('fields are read by their declarations', () => {
  for (const [name, kind, value, number, elements] of [
    ['pid', 'number', -7, -7, [-7]],
    ['byte', 'number', 200, 200, [200]],
    ['big', 'wide', 0xffff_ffff_ffff_ffffn, 2 ** 64, [0xffff_ffff_ffff_ffffn]],
    ['small', 'wide', 5, 5, [5]],
    ['comm', 'string', 'bash', 0, undefined],
    ['name', 'string', 'eth0', 0, undefined],
    ['words', 'bytes', Uint8Array.of(1, 0, 2, 1), 0, [1, 0x102]],
    ['pair', 'bytes', Uint8Array.of(1, 0, 0, 0, 255, 255, 255, 255), 0, [1, 0xffffffff]],
    ['uuid', 'bytes', new Uint8Array(16).fill(7), 0, undefined],
  ] as const) {
    const field = reader(name);
    assert.equal(field.kind, kind, name);
    assert.deepEqual(field.read(record), value, name);
    assert.equal(field.number(record), number, name);
    if (elements !== undefined) assert.deepEqual(field.elements(record), elements, name);
  }
});

test('what lies past the end of a record is nothing', () => {
  const short = { ...record, length: 10 };
  assert.deepEqual(
    format.fields.map(({ name }) => reader(name).read(short)),
    [0, 0, 0, 0, '', '', new Uint8Array(0), new Uint8Array(0), new Uint8Array(0)],
  );
});

test('an array to the end of the record, and one that says it lies beyond', () => {
  const rest: TraceField = { name: 'buf', type: 'char[]', offset: 8, size: 0, signed: false };
  const bytes = new TextEncoder().encode('........all the rest');
  const text = { bytes, view: new DataView(bytes.buffer), start: 0, length: bytes.length };
  assert.equal(fieldReader(rest, true, 8).read(text), 'all the rest');
  text.view.setUint32(8, 0xffff_fff0, true);
  assert.equal(fieldReader({ ...rest, type: '__data_loc char[]', size: 4 }, true, 8).read(text), '');
  text.view.setUint32(8, 0xffff_000c, true);
  assert.equal(fieldReader({ ...rest, type: '__data_loc char[]', size: 4 }, true, 8).read(text), 'the rest');
});

test('big endian, and longs of 4 bytes', () => {
  const bytes = Uint8Array.of(0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2);
  const made = { bytes, view: new DataView(bytes.buffer), start: 0, length: bytes.length };
  const field: TraceField = { name: 'one', type: 'long', offset: 0, size: 4, signed: true };
  assert.equal(fieldReader(field, false, 4).read(made), 1);
  assert.equal(fieldReader({ ...field, type: 'u64', offset: 4, size: 8 }, false, 4).read(made), 2);
  assert.deepEqual(fieldReader({ ...field, type: 'long[3]', size: 12 }, false, 4).elements(made), [1, 0, 2]);
});
