import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PatchedMemory } from '../testing/patched-memory.js';
import { openSample } from '../testing/sample.js';
import { buildRd, type RdOptions } from './rd.js';
import type { Subject } from './subject.js';
import { PLAIN } from './text/page.js';
import { rdText } from './text/rd.js';

const { container, machine, search, kernel } = openSample();
const memory = new PatchedMemory(machine.memory);
const subject: Subject = { container, machine: { ...machine, memory }, search, kernel };
const physical: RdOptions = { space: 'physical', unit: 64 };

memory.patch(
  0x10,
  Uint8Array.from({ length: 4096 }, (_, i) => i & 0xff),
);
memory.patch(0x11, 'excluded');
memory.patch(0x12, 'excluded');
memory.patch(0x13, 'lost');
memory.patch(0x14, new Uint8Array(4096).fill(0x41));

test('values are little-endian words of the asked width', () => {
  const words = (unit: RdOptions['unit'], count: number) =>
    buildRd(subject, '10000', { space: 'physical', unit, count }).runs.map((run) => 'values' in run && run.values);
  assert.deepEqual(words(64, 1), [['0x0706050403020100']]);
  assert.deepEqual(words(32, 2), [['0x03020100', '0x07060504']]);
  assert.deepEqual(words(16, 2), [['0x0100', '0x0302']]);
  assert.deepEqual(words(8, 2), [['0x00', '0x01']]);
});

test('missing memory is named in its place, each reason apart, and makes the answer a partial one', () => {
  const report = buildRd(subject, '10ff8', { ...physical, count: (0x3000 + 16) / 8 });
  assert.equal(report.complete, false);
  assert.deepEqual(
    report.runs.map((run) =>
      'missing' in run ? [run.address, run.bytes, run.missing] : [run.address, run.values.length],
    ),
    [
      ['0x10ff8', 1],
      ['0x11000', 0x2000, 'filtered out when the dump was written'],
      ['0x13000', 0x1000, 'lost: the dump ended or broke before it was written'],
      ['0x14000', 1],
    ],
  );
  assert.deepEqual(
    [...rdText(report, PLAIN)],
    [
      '0000000000010ff8:  fffefdfcfbfaf9f8                    ........',
      '0000000000011000:  8192 bytes filtered out when the dump was written',
      '0000000000013000:  4096 bytes lost: the dump ended or broke before it was written',
      '0000000000014000:  4141414141414141                    AAAAAAAA',
    ],
  );
});

test('a value that reaches into missing memory is missing whole', () => {
  const report = buildRd(subject, '10ffc', { ...physical, count: 2 });
  assert.deepEqual(report.runs, [{ address: '0x10ffc', bytes: 16, missing: 'filtered out when the dump was written' }]);
});

test('a text ends at its NUL, or where memory does', () => {
  memory.write(0x14ff0, new TextEncoder().encode('one\n\0two'));
  assert.equal(buildRd(subject, '14ff0', { ...physical, string: true }).string, 'one\n');
  assert.equal(buildRd(subject, '14ff0', { ...physical, string: true, count: 2 }).string, 'on');
  memory.write(0x10ffd, new TextEncoder().encode('abc'));
  const cut = buildRd(subject, '10ffd', { ...physical, string: true });
  assert.equal(cut.string, 'abc');
  assert.equal(cut.complete, false);
});

test('the kernel reads by symbol, as its banner shows', () => {
  const report = buildRd(subject, 'linux_banner', { space: 'kernel', unit: 8, string: true });
  assert.equal(report.string?.trimEnd(), kernel.banner);
  assert.match(report.symbol ?? '', /^linux_banner\+0x0\//);
});

test('values can be shown as symbols', () => {
  const report = buildRd(subject, 'sysrq_crash_op', { space: 'kernel', unit: 64, symbols: true });
  const [run] = report.runs;
  assert.ok(run !== undefined && 'symbols' in run);
  assert.match(run.symbols?.[0] ?? '', /^sysrq_handle_crash\+0x0\//);
});

test('the user space of the CPU that died is read through its own page table', () => {
  // The task that wrote to /proc/sysrq-trigger: its user-mode rip, as the panic printed it, is 47b7a0.
  const report = buildRd(subject, '47b79e', { space: 'user', unit: 8, count: 2 });
  // 0f 05 is syscall.
  assert.deepEqual(
    report.runs.map((run) => 'values' in run && run.values),
    [['0x0f', '0x05']],
  );
});

test('counts are bounded', () => {
  for (const count of [0, 2 ** 24]) {
    assert.throws(() => buildRd(subject, '0', { ...physical, count }), { code: 'EXH_USAGE' });
  }
});

test('addresses wrap at the end of the address space', () => {
  const report = buildRd(subject, 'fffffffffffffff8', { space: 'kernel', unit: 64, count: 2 });
  assert.deepEqual(report.runs, [{ address: '0xfffffffffffffff8', bytes: 16, missing: 'not mapped' }]);
});
