import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ByteWriter } from './byte-writer.js';
import { ProtobufWriter } from './protobuf.js';

test('numbers and texts stand behind each other in the byte order asked for, however many there are', () => {
  const little = new ByteWriter().u8(1).u16(0x203).u32(0x4050607).u64(0x8090a0b0c0d0e0fn).string('é');
  assert.equal(Buffer.from(little.bytes).toString('hex'), '01030207060504' + '0f0e0d0c0b0a0908' + 'c3a900');
  assert.equal(Buffer.from(new ByteWriter(false).u16(0x102).u32(0x3040506).bytes).toString('hex'), '010203040506');
  const long = new ByteWriter();
  for (let index = 0; index < 5000; index++) long.u32(index).put(Uint8Array.of(index & 0xff));
  assert.equal(long.length, 25_000);
  const view = new DataView(long.bytes.buffer);
  for (let index = 0; index < 5000; index++) {
    assert.equal(view.getUint32(index * 5, true), index);
    assert.equal(view.getUint8(index * 5 + 4), index & 0xff);
  }
});

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
