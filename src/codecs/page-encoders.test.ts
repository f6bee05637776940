import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { inflateSync } from 'node:zlib';
import { isExhumeError } from '../bytes/errors.js';
import { Random } from '../testing/random.js';
import { COMPRESSION_METHODS, type CompressionMethod, type Encoder } from './codec.js';
import { portableDecoders } from './decoders.js';
import { encoders } from './encoders.js';
import { nodeEncoder } from './node.js';

const fixtures = new URL('../../../src/codecs/fixtures/', import.meta.url);
const bin = new Uint8Array(readFileSync(new URL('pages.bin', fixtures)));
const index = JSON.parse(readFileSync(new URL('pages.json', fixtures), 'utf8')) as Readonly<
  Record<'raw' | CompressionMethod, { offset: number; size: number }>
>[];
const realPages = index.map(({ raw }) => bin.slice(raw.offset, raw.offset + raw.size));

/** Encodes into the middle of a larger array, and checks that nothing around it was touched. */
function encodeFenced(encode: Encoder, page: Uint8Array, room = page.length - 1): Uint8Array | undefined {
  const fenced = new Uint8Array(room + 128).fill(0xa5);
  const size = encode(page, fenced.subarray(64, 64 + room));
  assert.ok(size >= 0 && size <= room, `${size} bytes of ${room}`);
  assert.ok(
    fenced.subarray(0, 64).every((byte) => byte === 0xa5) && fenced.subarray(64 + room).every((byte) => byte === 0xa5),
    'wrote outside',
  );
  return size === 0 ? undefined : fenced.slice(64, 64 + size);
}

/** The page has to come out of our decoder, and for zlib out of Node's. Gives the size, or that of the page. */
function roundTrip(method: CompressionMethod, encode: Encoder, page: Uint8Array): number {
  const before = page.slice();
  const compressed = encodeFenced(encode, page);
  assert.deepEqual(page, before, 'changed the page');
  if (compressed === undefined) return page.length;
  const back = new Uint8Array(page.length);
  portableDecoders[method](compressed, back);
  assert.deepEqual(back, page);
  if (method === 'zlib') assert.deepEqual(new Uint8Array(inflateSync(compressed)), page);
  return compressed.length;
}

/** Pages of every kind: noise, few symbols, many symbols, repeats near and far, tables of pointers, text. */
function inventPage(random: Random, size: number): Uint8Array {
  const page = new Uint8Array(size);
  const symbols = random.pick([1, 2, 3, 10, 60, 129, 256]);
  const copies = random.pick([0, 10, 50, 95]);
  const farthest = random.pick([1, 2, 7, 8, 64, 1000, size]);
  /** As in a table of records, copies come from a few distances, over and over. */
  const record = random.pick([0, 0, 3, 4, 8]);
  const longest = random.pick([4, 8, 40, 300, size]);
  const skew = random.pick([1, 1, 2, 6]);
  for (let at = 0; at < size; ) {
    if (at > 0 && random.below(100) < copies) {
      const anywhere = 1 + random.below(Math.min(at, farthest));
      const distance = record === 0 ? anywhere : Math.min(at, record * (1 + random.below(4)));
      const stop = Math.min(size, at + 1 + random.below(longest));
      for (; at < stop; at++) page[at] = page[at - distance] as number;
    } else {
      let symbol = random.below(symbols);
      for (let i = 1; i < skew; i++) symbol = Math.min(symbol, random.below(symbols));
      page[at++] = 255 - symbol;
    }
  }
  return page;
}

const subjects: [string, CompressionMethod, Encoder][] = [
  ...COMPRESSION_METHODS.map((method): [string, CompressionMethod, Encoder] => [method, method, encoders[method]]),
  ['zstd 2', 'zstd', nodeEncoder('zstd', 2)],
];

for (const [name, method, encode] of subjects) {
  test(`${name}: real pages come back, hardly larger than the library of that name makes them`, () => {
    let ours = 0;
    let theirs = 0;
    for (const [i, page] of realPages.entries()) {
      ours += roundTrip(method, encode, page);
      theirs += index[i]?.[method].size ?? 0;
    }
    assert.ok(ours < theirs * 1.05, `${ours} bytes, ${theirs} by the library`);
  });

  test(`${name}: pages of zeros, of one byte and of a short pattern come back, small`, () => {
    for (const pattern of [[0], [255], [1, 2], [1, 2, 3, 4, 5, 6, 7], [0, 0, 0, 0, 0, 0, 0, 1]]) {
      const page = Uint8Array.from({ length: 4096 }, (_, i) => pattern[i % pattern.length] as number);
      const size = roundTrip(method, encode, page);
      assert.ok(size < 300, `${size} bytes for ${pattern}`);
    }
  });

  test(`${name}: noise gives 0`, () => {
    const random = new Random(0x0);
    for (let round = 0; round < 50; round++) {
      const page = Uint8Array.from({ length: 4096 }, () => random.below(256));
      assert.equal(encodeFenced(encode, page), undefined);
    }
  });

  test(`${name}: invented pages of all sizes come back`, () => {
    const random = new Random(0xe4c0de);
    const sizes = [1, 2, 3, 4, 5, 6, 15, 255, 256, 257, 512, 1024, 2048, 4096, 4096, 4096, 4096, 8192, 16384, 65536];
    let gained = 0;
    for (let round = 0; round < 1500; round++) {
      const page = inventPage(random, sizes[random.below(sizes.length)] as number);
      if (roundTrip(method, encode, page) < page.length) gained++;
    }
    assert.ok(gained > 500, `only ${gained} of 1500 gained`);
  });

  test(`${name}: real pages with changed bytes come back`, () => {
    const random = new Random(0xc4a9e);
    for (let round = 0; round < 500; round++) {
      const page = (realPages[random.below(realPages.length)] as Uint8Array).slice();
      random.mutate(page, 200);
      roundTrip(method, encode, page);
    }
  });

  test(`${name}: gives 0 where the result does not fit, to the byte`, () => {
    for (const page of realPages) {
      const whole = encodeFenced(encode, page, 8192);
      assert.ok(whole !== undefined);
      assert.deepEqual(encodeFenced(encode, page, whole.length), whole);
      assert.equal(encodeFenced(encode, page, whole.length - 1), undefined);
      assert.equal(encodeFenced(encode, page, 0), undefined);
    }
  });

  test(`${name}: a page that is too large or empty gives 0`, () => {
    assert.equal(encodeFenced(encode, new Uint8Array(65537)), undefined);
    assert.equal(encode(new Uint8Array(0), new Uint8Array(0)), 0);
  });
}

test('levels are those of the method', () => {
  const page = realPages[0] as Uint8Array;
  for (let level = 1; level <= 9; level++) roundTrip('zlib', nodeEncoder('zlib', level), page);
  const refused: [CompressionMethod, number][] = [
    ['zlib', 0],
    ['zlib', 10],
    ['zlib', 1.5],
    ['zstd', 3],
    ['zstd', 0],
    ['lzo1x', 1],
    ['snappy', 1],
  ];
  for (const [method, level] of refused) {
    assert.throws(
      () => nodeEncoder(method, level),
      (error) => isExhumeError(error, 'EXH_USAGE'),
      `${method} ${level}`,
    );
  }
});
