import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isExhumeError } from '../../bytes/errors.js';
import { decodeOrc, type OrcShape, orcFormat } from './orc-format.js';

/** Third words as each format has them: sp_reg, bp_reg in the low byte, then type and its company. */
const CALLS_OLD = Array.from({ length: 20 }, () => 0x005);
const CALLS_6_4 = Array.from({ length: 20 }, () => 0x205);
const CALLS_7 = Array.from({ length: 20 }, () => 0x203);

const SHAPE_4_14: OrcShape = { type: 2, end: undefined, signal: undefined };
const SHAPE_4_18: OrcShape = { type: 2, end: 1, signal: undefined };
const SHAPE_6_3: OrcShape = { type: 2, end: 1, signal: 1 };
const SHAPE_6_4: OrcShape = { type: 3, end: undefined, signal: 1 };

function entry(sp: number, bp: number, flags: number): DataView {
  const view = new DataView(new ArrayBuffer(6));
  view.setInt16(0, sp, true);
  view.setInt16(2, bp, true);
  view.setUint16(4, flags, true);
  return view;
}

test('the header hash tells the format, and the entries have to agree', () => {
  const known = (hash: string, sample: number[]) => orcFormat(hash, undefined, sample).name;
  assert.equal(known('db84aed4103b31dd51e017f8f79783ca985c2c51', CALLS_OLD), '6.3');
  assert.equal(known('fe5d32bf581bd63b2ca9a5c65ba5a625eab3fe24', CALLS_6_4), '6.4 and later');
  assert.equal(known('137c36ad7627c4dd55932176bb0ecdbd5041fc82', CALLS_7), '7.x');
  assert.throws(
    () => known('fe5d32bf581bd63b2ca9a5c65ba5a625eab3fe24', CALLS_7),
    (error) => isExhumeError(error, 'EXH_BAD_STRUCTURE'),
  );
});

test("without a known hash the structure's shape tells, and between two numberings what fits the entries", () => {
  const names = (shape: OrcShape | undefined, sample: number[]) => orcFormat(undefined, shape, sample).name;
  assert.equal(names(SHAPE_4_14, CALLS_OLD), '4.14 to 4.17');
  assert.equal(names(SHAPE_4_18, CALLS_OLD), '4.18 to 6.2');
  assert.equal(names(SHAPE_6_3, CALLS_OLD), '6.3');
  assert.equal(names(SHAPE_6_4, CALLS_6_4), '6.4 and later');
  assert.equal(names(SHAPE_6_4, CALLS_7), '7.x');
  assert.equal(names(undefined, CALLS_OLD), '4.18 to 6.2');
  assert.equal(names(undefined, CALLS_6_4), '6.4 and later');
  assert.equal(orcFormat('00'.repeat(20), SHAPE_6_4, CALLS_7).name, '7.x');
  assert.throws(
    () => names(SHAPE_6_4, CALLS_OLD),
    (error) => isExhumeError(error, 'EXH_BAD_STRUCTURE'),
  );
  assert.throws(
    () => names(undefined, []),
    (error) => isExhumeError(error, 'EXH_BAD_STRUCTURE'),
  );
});

test('entries of each format', () => {
  const old = orcFormat(undefined, SHAPE_4_18, CALLS_OLD);
  // sp:5 = SP, bp:1 = PREV_SP: a function that pushed rbp.
  assert.deepEqual(decodeOrc(old, entry(16, -16, 0x15)), {
    spOffset: 16,
    bpOffset: -16,
    spRegister: 'sp',
    bpRegister: 'previous-sp',
    type: 'call',
    signal: false,
  });
  assert.equal(decodeOrc(old, entry(0, 0, 0x105)).type, 'regs');
  assert.equal(decodeOrc(old, entry(0, 0, 0x105)).signal, true);
  assert.equal(decodeOrc(old, entry(0, 0, 0x205)).type, 'regs-partial');
  assert.equal(decodeOrc(old, entry(0, 0, 0x400)).type, 'end');
  assert.equal(decodeOrc(old, entry(0, 0, 0)).type, 'undefined');
  assert.equal(decodeOrc(orcFormat(undefined, SHAPE_4_14, CALLS_OLD), entry(0, 0, 0)).type, 'end');

  const middle = orcFormat(undefined, SHAPE_6_3, CALLS_OLD);
  assert.equal(decodeOrc(middle, entry(0, 0, 0x800)).type, 'end');
  assert.equal(decodeOrc(middle, entry(0, 0, 0x505)).signal, true);
  assert.equal(decodeOrc(middle, entry(0, 0, 0x105)).signal, false);

  const late = orcFormat(undefined, SHAPE_6_4, CALLS_7);
  assert.deepEqual(
    [0x000, 0x100, 0x203, 0xb03, 0xc03, 0x503].map((flags) => decodeOrc(late, entry(8, 0, flags)).type),
    ['undefined', 'end', 'call', 'regs', 'regs-partial', 'undefined'],
  );
  assert.equal(decodeOrc(late, entry(8, 0, 0xb03)).signal, true);
  assert.deepEqual(
    [8, 9, 10, 1, 5, 15].map((register) => decodeOrc(late, entry(8, 0, 0x200 | register)).spRegister),
    ['previous-sp', 'sp-indirect', 'bp-indirect', 'ax', 'di', 'undefined'],
  );
});
