import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ProtobufWriter } from './protobuf.js';

test('fields of Protocol Buffers are written as its encoding says', () => {
  const hex = (writer: ProtobufWriter): string => Buffer.from(writer.bytes).toString('hex');
  // The examples of the encoding's own documentation.
  assert.equal(hex(new ProtobufWriter().integer(1, 150)), '089601');
  assert.equal(hex(new ProtobufWriter().string(2, 'testing')), '120774657374696e67');
  assert.equal(hex(new ProtobufWriter().integer(1, -2)), '08feffffffffffffffff01');
  assert.equal(hex(new ProtobufWriter().integer(1, 2n ** 64n - 1n)), '08ffffffffffffffffff01');
  assert.equal(hex(new ProtobufWriter().integer(16, 2 ** 40)), '8001808080808020');
  const inner = new ProtobufWriter().integer(1, 150);
  assert.equal(hex(new ProtobufWriter().message(3, inner.bytes)), '1a03089601');
  const long = new ProtobufWriter();
  for (let index = 0; index < 2000; index++) long.string(1, 'ab').message(2, Uint8Array.of(index & 0x7f));
  assert.equal(long.length, 2000 * 7);
  assert.equal(long.bytes[1999 * 7 + 6], 1999 & 0x7f);
});
