import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { MemorySource, readUpTo } from '../../bytes/byte-source.js';
import { isExhumeError } from '../../bytes/errors.js';
import { Random } from '../../testing/random.js';
import { openBootImage } from './boot-image.js';

const fixtures = new URL('../../../../src/codecs/fixtures/', import.meta.url);
const read = (name: string) => new Uint8Array(readFileSync(new URL(name, fixtures)));
const CONTENT = read('dmesg.txt');

/** A bzImage whose compressed kernel is `stream`; its build puts the size behind all but gzip's. */
function bzImage(stream: Uint8Array, sizeBehind: boolean): Uint8Array {
  const payload = new Uint8Array(stream.length + (sizeBehind ? 4 : 0));
  payload.set(stream);
  if (sizeBehind) new DataView(payload.buffer).setUint32(stream.length, CONTENT.length, true);
  const sectors = 4;
  const offset = 0x140;
  const image = new Uint8Array((sectors + 1) * 512 + offset + payload.length + 100);
  const view = new DataView(image.buffer);
  view.setUint8(0x1f1, sectors);
  view.setUint32(0x202, 0x48647253);
  view.setUint16(0x206, 0x20f, true);
  view.setUint32(0x248, offset, true);
  view.setUint32(0x24c, payload.length, true);
  image.set(payload, (sectors + 1) * 512 + offset);
  return image;
}

const open = (bytes: Uint8Array) => openBootImage(new MemorySource(bytes, 'vmlinuz'));

for (const [file, packing] of [
  ['dmesg.gz', 'gzip'],
  ['dmesg.bz2', 'bzip2'],
  ['dmesg.lzma', 'lzma'],
  ['dmesg.xz', 'xz'],
  ['dmesg.lzo', 'lzop'],
  ['dmesg.lz4', 'lz4'],
  ['dmesg-19.zst', 'zstd'],
] as const) {
  test(`a kernel packed with ${packing} is unpacked`, () => {
    const image = open(bzImage(read(file), packing !== 'gzip'));
    assert.equal(image.packing, `bzImage (${packing})`);
    assert.deepEqual(readUpTo(image.elf, 0, CONTENT.length + 1), CONTENT);
  });
}

test('an ELF file is taken as it is', () => {
  const elf = Uint8Array.from([0x7f, 0x45, 0x4c, 0x46, 2, 1]);
  const image = open(elf);
  assert.equal(image.packing, undefined);
  assert.equal(image.elf.size, elf.length);
});

test('other files, old boot protocols, unknown packing and cut files say what they are', () => {
  const image = bzImage(read('dmesg.xz'), true);
  assert.throws(
    () => open(CONTENT),
    (error) => isExhumeError(error, 'EXH_NOT_A_DUMP'),
  );
  const old = image.slice();
  old[0x206] = 7;
  assert.throws(
    () => open(old),
    (error) => isExhumeError(error, 'EXH_UNSUPPORTED_FORMAT'),
  );
  assert.throws(
    () => open(bzImage(CONTENT, true)),
    (error) => isExhumeError(error, 'EXH_UNSUPPORTED_FORMAT'),
  );
  assert.throws(
    () => open(image.subarray(0, image.length - 200)),
    (error) => isExhumeError(error, 'EXH_TRUNCATED'),
  );
});

test('broken images are refused with an error of ours, or unpacked', () => {
  const random = new Random(9);
  for (let round = 0; round < 500; round++) {
    const image = bzImage(read('dmesg.lz4'), true);
    random.mutate(image.subarray(0x1f1, 0x250), 3);
    random.mutate(image);
    try {
      assert.ok(open(image).elf.size <= 64 * image.length);
    } catch (error) {
      assert.ok(isExhumeError(error), String(error));
    }
  }
});
