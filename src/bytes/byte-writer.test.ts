import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ByteWriter } from './byte-writer.js';

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
