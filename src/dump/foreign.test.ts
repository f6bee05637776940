import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MemorySource } from '../bytes/byte-source.js';
import { ExhumeError, isExhumeError } from '../bytes/errors.js';
import { openDump } from './open.js';

function refusal(bytes: Uint8Array): ExhumeError {
  try {
    openDump([new MemorySource(bytes, 'FILE')]);
  } catch (error) {
    if (error instanceof ExhumeError) return error;
    throw error;
  }
  throw new Error('it was opened');
}

function file(offset: number, signature: string | readonly number[]): Uint8Array {
  const bytes = new Uint8Array(8192);
  bytes.set(typeof signature === 'string' ? new TextEncoder().encode(signature) : signature, offset);
  return bytes;
}

const KNOWN: readonly (readonly [
  format: RegExp,
  offset: number,
  signature: string | readonly number[],
  hint: RegExp,
])[] = [
  [/^QEMU saved state/, 0, 'QEVM\0\0\0\x03', /dump-guest-memory/],
  [/^libvirt saved state$/, 0, 'LibvirtQemudSave', /virsh dump --memory-only/],
  [/^LKCD dump/, 0, [0xed, 0x23, 0x8f, 0x61, 0x73, 0x01, 0x19, 0xa8], /crash/],
  [/^LKCD dump/, 0, [0xa8, 0x19, 0x01, 0x73, 0x61, 0x8f, 0x23, 0xed], /crash/],
  [/^s390 dump$/, 0, [0xa8, 0x19, 0x01, 0x73, 0x61, 0x8f, 0x23, 0xfd], /zgetdump/],
  [/^VMware/, 0, [0xd2, 0xbe, 0xd2, 0xbe], /vmss2core/],
  [/^Hyper-V/, 0, [0x14, 0x20, 0x28, 0x01], /vm2dmp/],
  [/^sadump/, 0, 'sadump\0\0', /makedumpfile/],
  [/^sadump/, 4096, 'sadump\0\0', /makedumpfile/],
  [/^Windows crash dump, 32-bit/, 0, 'PAGEDUMP', /WinDbg/],
  [/^Windows crash dump, 64-bit/, 0, 'PAGEDU64', /WinDbg/],
  [/^Xen/, 0, [0xed, 0xeb, 0x0f, 0xf0], /kdump/],
  [/^LiME/, 0, 'EMiL', /raw/],
  [/^AVML/, 0, 'AVML', /avml-convert/],
  [/^Linux kernel image/, 0x202, 'HdrS', /memory dump/],
  [/^qcow2/, 0, 'QFI\xfb'.split('').map((letter) => letter.charCodeAt(0)), /dump-guest-memory/],
  [/^zstd/, 0, [0x28, 0xb5, 0x2f, 0xfd], /zstd -d/],
  [/^gzip/, 0, [0x1f, 0x8b, 8], /gzip -d/],
  [/^xz/, 0, [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0], /xz -d/],
  [/^bzip2/, 0, 'BZh9', /bzip2 -d/],
  [/^lz4/, 0, [4, 0x22, 0x4d, 0x18], /lz4 -d/],
  [/^lzop/, 0, [0x89, 0x4c, 0x5a, 0x4f, 0, 0x0d, 0x0a, 0x1a, 0x0a], /lzop -d/],
  [/^zip/, 0, 'PK\x03\x04', /unzip/],
  [/^tar/, 257, 'ustar', /tar/],
];

test('formats that exhume knows and cannot read are named, with what to do', () => {
  for (const [format, offset, signature, hint] of KNOWN) {
    const error = refusal(file(offset, signature));
    assert.equal(error.code, 'EXH_UNSUPPORTED_FORMAT', String(format));
    assert.match(String(error.data['format']), format);
    assert.match(error.data.hint ?? '', hint);
    assert.match(error.message, /^FILE: exhume cannot read this format: /);
  }
});

test('anything else is no dump, and the error shows how it begins', () => {
  assert.match(refusal(file(0, 'Hello, world')).message, /48 65 6c 6c 6f.*"Hello, world/);
  assert.match(refusal(new Uint8Array()).message, /it is empty/);
  for (const bytes of [new Uint8Array(), new Uint8Array(1), file(0, 'x')])
    assert.equal(refusal(bytes).code, 'EXH_NOT_A_DUMP');
});

test('a signature alone is not enough', () => {
  for (const head of ['KDUMP   ', 'DISKDUMP', '\x7fELF', 'makedumpfile\0\0\0\0']) {
    const bytes = file(0, head);
    for (const length of [head.length, 100, 8192]) {
      assert.ok(
        isExhumeError(refusal(bytes.subarray(0, length)), 'EXH_TRUNCATED', 'EXH_BAD_HEADER', 'EXH_NOT_A_DUMP'),
        head,
      );
    }
  }
});

test('no file at all is a usage error', () => {
  assert.throws(
    () => openDump([]),
    (error) => isExhumeError(error, 'EXH_USAGE'),
  );
});
