import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { isExhumeError } from '../bytes/errors.js';
import { Random } from '../testing/random.js';
import { compressionOf, decompressFile, type FileCompression } from './compressed-file.js';
import { crc32, crc64 } from './crc.js';
import { LzmaDecoder } from './lzma.js';

const fixtures = new URL('../../../src/codecs/fixtures/', import.meta.url);
const read = (name: string) => new Uint8Array(readFileSync(new URL(name, fixtures)));
const DMESG = read('dmesg.txt');
/** Of the 16 KiB in code.xz. */
const CODE = '650a34ecdf2aba6215ae2bec5781b4aa51843d965cac53313113d0729a850908';

const FILES = [
  { file: 'dmesg.gz', name: 'gzip' },
  { file: 'dmesg.bz2', name: 'bzip2' },
  { file: 'dmesg.lzma', name: 'lzma' },
  { file: 'dmesg.xz', name: 'xz' },
  { file: 'dmesg.lzo', name: 'lzop' },
  { file: 'dmesg.lz4', name: 'lz4' },
  { file: 'dmesg-19.zst', name: 'zstd' },
] as const;

function open(file: string): { readonly bytes: Uint8Array; readonly compression: FileCompression } {
  const bytes = read(file);
  const compression = compressionOf(bytes);
  assert.ok(compression !== undefined, file);
  return { bytes, compression };
}

describe('compressed files', () => {
  for (const { file, name } of FILES) {
    it(`${name}: what the program packed comes out, and is told by its first bytes`, () => {
      const { bytes, compression } = open(file);
      assert.equal(compression.name, name);
      assert.deepEqual(decompressFile(compression, bytes, DMESG.length), DMESG);
    });

    it(`${name}: a size that is wrong is refused`, () => {
      const { bytes, compression } = open(file);
      for (const size of [DMESG.length - 1, DMESG.length + 1, 0, bytes.length * 100]) {
        assert.throws(() => decompressFile(compression, bytes, size), isCodecError, `${size}`);
      }
    });

    it(`${name}: broken data is refused or makes the size asked for; nothing else happens`, () => {
      const { bytes, compression } = open(file);
      const random = new Random(3);
      let refused = 0;
      for (let round = 0; round < 300; round++) {
        const broken = bytes.slice(0, random.below(3) === 0 ? random.below(bytes.length) : bytes.length);
        if (broken.length > 0) random.mutate(broken, 4);
        try {
          assert.equal(decompressFile(compression, broken, DMESG.length).length, DMESG.length);
        } catch (error) {
          assert.ok(isExhumeError(error, 'EXH_CODEC', 'EXH_UNSUPPORTED_FORMAT'), String(error));
          refused++;
        }
      }
      assert.ok(refused > 100, `${refused} refused`);
    });
  }

  it('xz: the filter for x86 code is undone', () => {
    const { bytes, compression } = open('code.xz');
    const made = decompressFile(compression, bytes, 16384);
    assert.equal(createHash('sha256').update(made).digest('hex'), CODE);
  });

  it('a checksum that does not fit is an error', () => {
    const { bytes, compression } = open('dmesg.gz');
    bytes[bytes.length - 8] = (bytes[bytes.length - 8] as number) ^ 1;
    assert.throws(() => decompressFile(compression, bytes, DMESG.length), /wrong checksum/);
  });

  it('checksums are those of their catalogues', () => {
    const digits = new TextEncoder().encode('123456789');
    assert.equal(crc32(digits), 0xcbf43926);
    assert.deepEqual(crc64(digits), { high: 0x995dc9bb, low: 0xdf1939fa });
  });

  it('lzma: properties that no encoder writes take no memory', () => {
    assert.throws(() => new LzmaDecoder(new Uint8Array(16)).setProperties(255), isCodecError);
    assert.throws(() => new LzmaDecoder(new Uint8Array(16)).decode(new Uint8Array(16), 0, 16, 16), isCodecError);
  });

  it('other files are not known', () => {
    assert.equal(compressionOf(DMESG), undefined);
    assert.equal(compressionOf(new Uint8Array(0)), undefined);
  });
});

function isCodecError(error: unknown): boolean {
  return isExhumeError(error, 'EXH_CODEC');
}
