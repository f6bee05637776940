import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ExhumeError, isExhumeError } from '../bytes/errors.js';
import { bytesOf } from '../bytes/search.js';
import { PatchedMemory } from '../testing/patched-memory.js';
import { Random } from '../testing/random.js';
import { openSample } from '../testing/sample.js';
import {
  elfCoreHeaderAddress,
  scanForVmcoreinfo,
  vmcoreinfoOfElfCoreHeader,
  vmcoreinfoOfKernel,
} from './vmcoreinfo-search.js';

const { container, kernel } = openSample();

test('elfcorehdr= is read in every form that kexec writes', () => {
  assert.equal(elfCoreHeaderAddress('root=/dev/vda elfcorehdr=0x77fff000 panic=0'), 0x77fff000);
  assert.equal(elfCoreHeaderAddress('elfcorehdr=867704K'), 867704 * 1024);
  assert.equal(elfCoreHeaderAddress('quiet elfcorehdr=4K@768M'), 768 * 2 ** 20);
  assert.equal(elfCoreHeaderAddress('elfcorehdr=1g'), 2 ** 30);
  assert.equal(elfCoreHeaderAddress('notelfcorehdr=1K'), undefined);
  assert.equal(elfCoreHeaderAddress('elfcorehdr=junk'), undefined);
  assert.equal(elfCoreHeaderAddress('elfcorehdr=0xffffffffffffffffffff'), undefined);
});

test('the text that the kernel keeps is the one in the notes, byte for byte', () => {
  const noted = new TextDecoder().decode(container.vmcoreinfo).replace(/\0+$/, '');
  assert.equal(vmcoreinfoOfKernel(kernel.memory, kernel.symbols)?.text, noted);
  const scanned = [...scanForVmcoreinfo(container.memory)].map(({ vmcoreinfo }) => vmcoreinfo.text);
  assert.ok(scanned.includes(noted));
});

/** An ELF core header as kexec leaves it for the capture kernel, its VMCOREINFO note at another physical address. */
function handedOver(): { memory: PatchedMemory; header: number; bytes: Uint8Array } {
  const header = 0x3000000;
  const note = 0x3100000;
  const text = 'OSRELEASE=6.1.0-test\nNUMBER(phys_base)=4096\n';
  const bytes = new Uint8Array(64 + 2 * 56);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, 0x464c457f, true);
  view.setBigUint64(32, 64n, true);
  view.setUint16(56, 2, true);
  const segment = (index: number, type: number, physical: number, size: number): void => {
    view.setUint32(64 + index * 56, type, true);
    view.setBigUint64(64 + index * 56 + 24, BigInt(physical), true);
    view.setBigUint64(64 + index * 56 + 32, BigInt(size), true);
  };
  segment(0, 1, 0, 4096);
  segment(1, 4, note, 24 + text.length);
  const noteBytes = new Uint8Array(24 + text.length);
  const noteView = new DataView(noteBytes.buffer);
  noteView.setUint32(0, 11, true);
  noteView.setUint32(4, text.length, true);
  noteBytes.set(bytesOf('VMCOREINFO\0'), 12);
  noteBytes.set(bytesOf(text), 24);
  const memory = new PatchedMemory(container.memory);
  memory.write(header, bytes);
  memory.write(note, noteBytes);
  return { memory, header, bytes };
}

test('the VMCOREINFO handed to a capture kernel is found through the ELF header', () => {
  const { memory, header } = handedOver();
  const found = vmcoreinfoOfElfCoreHeader(memory, header);
  assert.equal(found?.vmcoreinfo.osrelease, '6.1.0-test');
  assert.equal(found?.physical, 0x3100000 + 24);
  assert.equal(vmcoreinfoOfElfCoreHeader(memory, header + 4096), undefined, 'no ELF header there');
  assert.throws(() => vmcoreinfoOfElfCoreHeader(memory, 2 ** 45), ExhumeError);
});

test('a damaged ELF header leads nowhere, or to an error of ours', () => {
  const random = new Random(3);
  for (let round = 0; round < 300; round++) {
    const { memory, header, bytes } = handedOver();
    random.mutate(bytes, 12);
    memory.write(header, bytes);
    try {
      vmcoreinfoOfElfCoreHeader(memory, header);
    } catch (error) {
      assert.ok(isExhumeError(error), String(error));
    }
  }
});
