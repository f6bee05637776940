import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MemorySink } from '../bytes/byte-sink.js';
import { MemorySource } from '../bytes/byte-source.js';
import type { Container } from '../dump/container.js';
import type { DumpDescription } from '../dump/description.js';
import { KdumpWriter } from '../dump/kdump-writer.js';
import { openDump } from '../dump/open.js';
import { PageBitmap } from '../dump/page-bitmap.js';
import { NO_SYMBOLS } from '../kernel/symbols.js';
import { damagedView } from '../testing/damaged-view.js';
import { MISREAD_PHYS_BASE, openSample, sampleUnderQemuHeader } from '../testing/sample.js';
import { describeDump } from './describe.js';

const { container, kernel } = openSample();
const bare: Container = { ...container, notes: [], vmcoreinfo: undefined, structures: [], claimedPhysBase: undefined };
const names = ({ notes }: DumpDescription) => notes.map(({ name }) => name);

test('what QEMU writes wrong is written right, and said', () => {
  const { description, repairs, missing, memoryEnd } = describeDump(sampleUnderQemuHeader(), kernel);
  assert.deepEqual(description.utsname, {
    sysname: 'Linux',
    nodename: '(none)',
    release: '7.2.12+deb14-cloud-amd64',
    version: '#1 SMP PREEMPT_DYNAMIC Debian 7.2.12-1 (2026-10-22)',
    machine: 'x86_64',
    domainname: '(none)',
  });
  assert.equal(description.physBase, kernel.physBase);
  assert.equal(description.timestamp.seconds, kernel.stoppedTime);
  assert.equal(description.cpus, 2);
  assert.equal(description.pageSize, 4096);
  assert.equal(description.dumpLevel, 1);
  assert.equal(description.directMap, kernel.directMap);
  assert.deepEqual(names(description), ['CORE', 'CORE', 'QEMU', 'QEMU', 'VMCOREINFO']);
  assert.deepEqual(description.vmcoreinfo, container.vmcoreinfo);
  assert.deepEqual(missing, []);
  assert.deepEqual(
    repairs.map(({ field }) => field),
    [
      'phys_base',
      'utsname.sysname',
      'utsname.nodename',
      'utsname.release',
      'utsname.version',
      'utsname.machine',
      'utsname.domainname',
      'timestamp',
    ],
  );
  assert.equal(repairs.find(({ field }) => field === 'utsname.machine')?.was, 'Unknown');
  // 96 MiB end inside the first section of 128 MiB; the firmware at the top of 4 GiB lies behind.
  assert.equal(memoryEnd, 32768);
});

test('the kernel image is described where its symbols and its page tables put it', () => {
  const { kernelText } = describeDump(container, kernel).description;
  assert.equal(kernelText?.virtual, kernel.symbols.address('_text'));
  assert.equal(kernelText?.physical, kernel.pageTable.translate(kernelText?.virtual as never));
  assert.equal(BigInt(kernelText?.size ?? 0), (kernel.symbols.address('_end') ?? 0n) - (kernelText?.virtual ?? 0n));
});

test('a header that was written right needs no repair', () => {
  const { description } = describeDump(container, kernel);
  const sink = new MemorySink();
  const none = PageBitmap.empty(1);
  const writer = new KdumpWriter(
    sink,
    description,
    { described: none, written: none, count: 0 },
    { compression: 'zlib' },
  );
  writer.begin();
  writer.end();
  const again = openDump([new MemorySource(sink.bytes, 'again')]);
  const { repairs, missing, description: second } = describeDump({ ...again, memory: container.memory }, kernel);
  assert.deepEqual(repairs, []);
  assert.deepEqual(missing, []);
  assert.deepEqual(second, description);
});

test('without notes VMCOREINFO is taken from memory; that no registers were saved is said', () => {
  const { description, repairs, missing } = describeDump(bare, kernel);
  assert.deepEqual(names(description), ['VMCOREINFO']);
  assert.equal(new TextDecoder().decode(description.vmcoreinfo), kernel.vmcoreinfo?.text);
  assert.equal(description.cpus, 2);
  assert.deepEqual(
    repairs.map(({ field }) => field),
    ['VMCOREINFO'],
  );
  assert.match(missing.join(), /NT_PRSTATUS of 2 CPUs/);
});

test('registers that the dying kernel saved become notes', () => {
  const { view, writeBytes } = damagedView();
  const note = new Uint8Array(12 + 8 + 336).fill(0x55);
  note.set(new Uint8Array(Uint32Array.of(5, 336, 1).buffer));
  note.set(new TextEncoder().encode('CORE\0\0\0\0'), 12);
  writeBytes(view.perCpu(view.memory.pointer(view.address('crash_notes')), 1), note);
  const { description, missing, repairs } = describeDump(bare, view.kernel);
  assert.deepEqual(names(description), ['CORE', 'VMCOREINFO']);
  assert.deepEqual(description.notes[0]?.description, new Uint8Array(336).fill(0x55));
  assert.match(missing.join(), /NT_PRSTATUS of 1 CPUs/);
  assert.equal(repairs.find(({ field }) => field === 'NT_PRSTATUS')?.from, 'crash_notes');
});

test('without a kernel the words of the input are kept', () => {
  const { description, missing, memoryEnd } = describeDump(sampleUnderQemuHeader(), undefined);
  assert.equal(description.physBase, MISREAD_PHYS_BASE);
  assert.equal(description.utsname.machine, 'x86_64');
  assert.equal(description.utsname.release, '');
  assert.deepEqual(description.timestamp, { seconds: 0, microseconds: 0 });
  assert.deepEqual(names(description), ['CORE', 'CORE', 'QEMU', 'QEMU', 'VMCOREINFO']);
  assert.equal(description.kernelText, undefined);
  assert.equal(memoryEnd, undefined);
  assert.match(missing.join('\n'), /utsname.*\n.*timestamp/);
});

test('a kernel of which only VMCOREINFO is left is still named', () => {
  const { description } = describeDump(bare, { ...kernel, symbols: NO_SYMBOLS, types: () => undefined });
  assert.equal(description.utsname.release, '7.2.12+deb14-cloud-amd64');
  assert.equal(description.utsname.version, '#1 SMP PREEMPT_DYNAMIC Debian 7.2.12-1 (2026-10-22)');
  assert.equal(description.kernelText, undefined);
  assert.deepEqual(names(description), ['VMCOREINFO']);
});

test('what is left out now is added to what was left out before', () => {
  assert.equal(describeDump(container, kernel, 30).description.dumpLevel, 31);
  assert.equal(describeDump(bare, kernel, 16).description.dumpLevel, 16);
});
