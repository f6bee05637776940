import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { isExhumeError } from '../bytes/errors.js';
import { Random } from '../testing/random.js';
import { COMPRESSION_METHODS, type Decoder } from './codec.js';
import { portableDecoders } from './decoders.js';
import { decodeZlibNative } from './node.js';

interface Part {
  readonly offset: number;
  readonly size: number;
}
type PageEntry = Readonly<Record<'raw' | (typeof COMPRESSION_METHODS)[number], Part>>;

const fixtures = new URL('../../../src/codecs/fixtures/', import.meta.url);
const bin = new Uint8Array(readFileSync(new URL('pages.bin', fixtures)));
const index = JSON.parse(readFileSync(new URL('pages.json', fixtures), 'utf8')) as PageEntry[];
const part = ({ offset, size }: Part) => bin.slice(offset, offset + size);

const decoders: [string, Decoder, (typeof COMPRESSION_METHODS)[number]][] = [
  ...COMPRESSION_METHODS.map((method): [string, Decoder, typeof method] => [method, portableDecoders[method], method]),
  ['zlib of Node', decodeZlibNative, 'zlib'],
];

/** Decodes into a page inside a larger array, and checks that nothing around it was touched. */
function decodeFenced(decode: Decoder, compressed: Uint8Array, size = 4096): Uint8Array {
  const fenced = new Uint8Array(size + 128).fill(0xa5);
  try {
    decode(compressed, fenced.subarray(64, 64 + size));
  } finally {
    assert.ok(
      fenced.subarray(0, 64).every((byte) => byte === 0xa5) &&
        fenced.subarray(64 + size).every((byte) => byte === 0xa5),
      'wrote outside the page',
    );
  }
  return fenced.subarray(64, 64 + size);
}

const isCodecError = (error: unknown) => isExhumeError(error, 'EXH_CODEC');

for (const [name, decode, method] of decoders) {
  test(`${name}: pages that makedumpfile compressed come out as they were`, () => {
    assert.equal(index.length, 12);
    for (const entry of index) assert.deepEqual(decodeFenced(decode, part(entry[method])), part(entry.raw));
  });

  test(`${name}: data that ends too early is an error, wherever it ends`, () => {
    for (const entry of index.slice(0, 3)) {
      const compressed = part(entry[method]);
      for (let length = 0; length < compressed.length; length++) {
        assert.throws(() => decodeFenced(decode, compressed.subarray(0, length)), isCodecError, `cut at ${length}`);
      }
    }
  });

  test(`${name}: a page of another size than expected is an error`, () => {
    const compressed = part((index[0] as PageEntry)[method]);
    for (const size of [0, 1, 4095, 4097, 8192]) {
      assert.throws(() => decodeFenced(decode, compressed, size), isCodecError, `${size} bytes`);
    }
  });

  test(`${name}: broken data gives an error or a page, in time, and nothing outside of it`, () => {
    const random = new Random(0xc0dec);
    const started = performance.now();
    let refused = 0;
    for (let round = 0; round < 3000; round++) {
      const compressed = part((index[round % index.length] as PageEntry)[method]);
      random.mutate(compressed, 4);
      try {
        decodeFenced(decode, compressed);
      } catch (error) {
        assert.ok(isCodecError(error), String(error));
        refused++;
      }
    }
    assert.ok(refused > 1000, `only ${refused} of 3000 refused`);
    assert.ok(performance.now() - started < 20_000, 'took too long');
  });

  test(`${name}: noise gives an error, in time`, () => {
    const random = new Random(0x7015e);
    const started = performance.now();
    for (let round = 0; round < 2000; round++) {
      const noise = Uint8Array.from({ length: 1 + random.below(200) }, () => random.below(256));
      // Keeps the head of a real stream, so that the noise gets further than a signature.
      const head = part((index[round % index.length] as PageEntry)[method]).subarray(0, 1 + random.below(20));
      assert.throws(() => decodeFenced(decode, Uint8Array.from([...head, ...noise])), isCodecError);
    }
    assert.ok(performance.now() - started < 20_000, 'took too long');
  });
}

test('lzo1x: a stream that ends at once, and one with bytes behind its end', () => {
  assert.throws(() => portableDecoders.lzo1x(Uint8Array.of(0x11, 0, 0), new Uint8Array(1)), isCodecError);
  portableDecoders.lzo1x(Uint8Array.of(0x11, 0, 0), new Uint8Array());
  assert.throws(() => portableDecoders.lzo1x(Uint8Array.of(0x11, 0, 0, 0), new Uint8Array()), isCodecError);
});

test('lzo1x: an instruction below 16 means what the literals before it say', () => {
  const literals = Uint8Array.from({ length: 2060 }, (_, i) => (i * 31) & 0xff);
  // 2060 literals: 3 + 15 + 8 * 255 + 2. After them, 3 bytes from 2049 + 1 + 4 back, then 1 literal.
  const run = Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 2, ...literals);
  // After one literal, 2 bytes from 1 + 2 + 8 back.
  const stream = Uint8Array.of(...run, 0x05, 0x01, 0x77, 0x08, 0x02, 0x11, 0, 0);
  const expected = [...literals];
  expected.push(...expected.slice(2060 - 2054, 2060 - 2051), 0x77);
  expected.push(...expected.slice(expected.length - 11, expected.length - 9));
  const into = new Uint8Array(expected.length);
  portableDecoders.lzo1x(stream, into);
  assert.deepEqual([...into], expected);
});

test('lzo1x: a length of many zero bytes ends at the end of the data', () => {
  assert.throws(() => portableDecoders.lzo1x(new Uint8Array(8192), new Uint8Array(4096)), isCodecError);
});

test('snappy: copies of all three kinds', () => {
  // "ab", then a copy of 4 from 2 back (1-byte distance), 3 from 6 back (2-byte), 2 from 9 back (4-byte).
  const stream = Uint8Array.of(11, 0x04, 0x61, 0x62, 0x01, 2, 0x0a, 6, 0, 0x07, 9, 0, 0, 0);
  const into = new Uint8Array(11);
  portableDecoders.snappy(stream, into);
  assert.equal(new TextDecoder().decode(into), 'ababababaab');
});

test('zlib: a wrong checksum is an error', () => {
  const compressed = part((index[1] as PageEntry).zlib);
  compressed[compressed.length - 1] = (compressed[compressed.length - 1] as number) ^ 1;
  assert.throws(() => decodeFenced(portableDecoders.zlib, compressed), isCodecError);
  assert.throws(() => decodeFenced(decodeZlibNative, compressed), isCodecError);
});
