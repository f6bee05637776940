import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, it } from 'node:test';
import { deflateRawSync } from 'node:zlib';
import { ExhumeError } from '../bytes/errors.js';
import { Random } from '../testing/random.js';
import { decodeLz4 } from './lz4.js';
import { decodeLzoRle } from './lzo1x.js';
import { decodeDeflate } from './zlib.js';

/** A page of a program as the zram of a 6.1 kernel had it, and the hash of that page in the program's file. */
const RLE = Buffer.from(
  'EQEGAAAAAAAAAAB2H/3/AHcf/f8AeB/9/wB5H/3/AHof/f8AQR/9/wBDH/3/AEQf/f8ARx/9/wBKH/3/AEsf/f8ATh/9/wBPH/3/AFAf/f8AUR/9/wBTH/3/' +
    'AFQf/f8AVR/9/wBWH/3/AFcf/f8AWB/9/wBZH/3/AFof/f8AYR/9/wBiH/3/AGMf/f8AZB/9/wBmH/3/AGgf/f8AaR/9/wBqH/3/AGsf/f8AbR/9/wBuH/3/' +
    'AHAf/f8AcR/9/wByH/3/AHMf/f8AdB/9/wB1H/z/ACAnfQdCH/z/ADatB0Uf/f8ARh/8/wAqDQhIH/3/AEkf/P8ANm0ITB/9/wBNH/z/ACAPzQhSH/z/ACBv' +
    '/QhlH/z/ACotCWcf/P8AIA9dCWwf/P8ANo0Jbx/8/wAge7wJKjwRIAOMCSA/LAkgM/wIIA/MESAAMMwIIBssEirMGiAAhGwIIAAAUfwaIAAAAABnvAkNAAAA' +
    'AAAAAAB2AAAAAAAAABEAAA==',
  'base64',
);
const RLE_PAGE = 'bf01a03d4403d6a054f25415ad8ade3dd103d2eb19e2ae951c8745949628b929';
/** `abcabcabc…` to 60 bytes, then five literals: a token, 3 literals, a copy from 3 bytes before, the last literals. */
const LZ4 = Uint8Array.from([0x3f, 0x61, 0x62, 0x63, 3, 0, 57 - 19, 0x50, 0x31, 0x32, 0x33, 0x34, 0x35]);

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** Broken in any way, the data is refused or makes some page; nothing else happens. */
function fuzz(decode: (compressed: Uint8Array, into: Uint8Array) => void, sound: Uint8Array, length: number): void {
  const random = new Random(11);
  for (let round = 0; round < 3000; round++) {
    const broken = sound.slice(0, random.below(4) === 0 ? random.below(sound.length) : sound.length);
    for (let i = random.below(4); i >= 0 && broken.length > 0; i--)
      broken[random.below(broken.length)] = random.below(256);
    try {
      decode(broken, new Uint8Array(length));
    } catch (error) {
      assert.ok(error instanceof ExhumeError && error.code === 'EXH_CODEC', String(error));
    }
  }
}

describe("zram's ways to compress", () => {
  it('lzo-rle: a page with runs of zeros', () => {
    const page = new Uint8Array(4096).fill(0xff);
    decodeLzoRle(RLE, page);
    assert.equal(sha256(page), RLE_PAGE);
  });

  it('lzo-rle: a page that ends before or after the data is refused', () => {
    for (const length of [4095, 4097]) assert.throws(() => decodeLzoRle(RLE, new Uint8Array(length)), ExhumeError);
  });

  it('lz4: literals, and copies that overlap what they make', () => {
    const page = new Uint8Array(65);
    decodeLz4(LZ4, page);
    assert.equal(new TextDecoder().decode(page), `${'abc'.repeat(20)}12345`);
    for (const length of [64, 66]) assert.throws(() => decodeLz4(LZ4, new Uint8Array(length)), ExhumeError);
  });

  it('deflate: a stream without header and checksum', () => {
    const text = new TextEncoder().encode('abc'.repeat(20));
    const stream = deflateRawSync(text, { windowBits: 11 });
    const page = new Uint8Array(text.length);
    decodeDeflate(stream, page);
    assert.deepEqual(page, text);
    for (const length of [59, 61]) assert.throws(() => decodeDeflate(stream, new Uint8Array(length)), ExhumeError);
  });

  it('survive broken data', () => {
    fuzz(decodeDeflate, deflateRawSync(RLE), RLE.length);
    fuzz(decodeLzoRle, RLE, 4096);
    fuzz(decodeLz4, LZ4, 65);
  });
});
