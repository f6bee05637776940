import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { isExhumeError } from '../bytes/errors.js';
import { xxh64 } from './xxh64.js';
import { decodeZstd } from './zstd.js';

const fixtures = new URL('../../../src/codecs/fixtures/', import.meta.url);
const read = (name: string) => new Uint8Array(readFileSync(new URL(name, fixtures)));
const isCodecError = (error: unknown) => isExhumeError(error, 'EXH_CODEC');

test('frames that zstd wrote, at level 1 with a checksum and at 19 without', () => {
  const text = read('dmesg.txt');
  for (const name of ['dmesg-1.zst', 'dmesg-19.zst']) {
    const into = new Uint8Array(text.length);
    decodeZstd(read(name), into);
    assert.deepEqual(into, text, name);
  }
});

test('a page in which an offset from before the last two is used again', () => {
  const { raw } = (
    JSON.parse(readFileSync(new URL('pages.json', fixtures), 'utf8')) as { raw: { offset: number } }[]
  )[4] ?? {
    raw: { offset: -1 },
  };
  const into = new Uint8Array(4096);
  decodeZstd(read('page-4-level-19.zst'), into);
  assert.deepEqual(into, read('pages.bin').subarray(raw.offset, raw.offset + 4096));
});

test('a frame of three blocks of zeros, and one of a raw block', () => {
  const zeros = new Uint8Array(300_000).fill(1);
  decodeZstd(read('zeros-300000.zst'), zeros);
  assert.ok(zeros.every((byte) => byte === 0));
  const short = new Uint8Array(7);
  decodeZstd(read('short.zst'), short);
  assert.equal(new TextDecoder().decode(short), 'exhume\n');
});

test('a wrong checksum is an error', () => {
  const frame = read('dmesg-1.zst');
  frame[frame.length - 1] = (frame[frame.length - 1] as number) ^ 1;
  assert.throws(() => decodeZstd(frame, new Uint8Array(read('dmesg.txt').length)), isCodecError);
});

test('a dictionary, a reserved bit, a reserved block kind and a wrong size are errors', () => {
  // One segment of 7 bytes; one raw block, the last.
  const frame = Uint8Array.of(0x28, 0xb5, 0x2f, 0xfd, 0x20, 7, 0x39, 0, 0, ...new TextEncoder().encode('exhume\n'));
  const into = new Uint8Array(7);
  decodeZstd(frame, into);
  assert.equal(new TextDecoder().decode(into), 'exhume\n');
  for (const [what, at, value] of [
    ['a dictionary', 4, 0x21],
    ['a reserved bit', 4, 0x28],
    ['another size', 5, 8],
    ['a reserved kind of block', 6, 0x3f],
    ['a block that is too long', 6, 0x41],
    ['a block that is too short', 6, 0x31],
    ['no last block', 6, 0x38],
  ] as const) {
    const bytes = frame.slice();
    bytes[at] = value;
    assert.throws(() => decodeZstd(bytes, new Uint8Array(7)), isCodecError, what);
  }
});

test('XXH64 of the examples of its specification', () => {
  assert.equal(xxh64(new Uint8Array()), 0xef46db3751d8e999n);
  assert.equal(xxh64(new TextEncoder().encode('abc')), 0x44bc2cf5ad770999n);
});
