/**
 * A guest inside a guest (`npm run lab:nested`): the outer one's only CPU was inside the inner one when its QEMU stopped it.
 * What KVM put aside (vmcb01) is told from what ran (vmcb02), and the innermost machine is read through two others.
 */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { RegsReport } from '../../src/report/schema/cpu.js';
import type { GuestsReport } from '../../src/report/schema/guests.js';
import type { PsReport } from '../../src/report/schema/ps.js';
import { sceneDirectory } from '../directories.js';
import { convert, memoryOf, said, scratchDirectory } from '../e2e/conversions.js';
import { comparePages } from '../e2e/pages.js';
import { assertRegisters } from '../e2e/registers.js';
import { timed } from '../e2e/support.js';
import { EXHUME } from '../exhume.js';
import { NESTED_HOST, uuidOf } from '../hosts.js';
import { run } from '../shell.js';

const directory = sceneDirectory(NESTED_HOST.name);
const file = join(directory, 'host.elf');
const [outer] = NESTED_HOST.guests;
const { inside: inner } = outer;
const path = `${outer.name}/${inner.name}`;
const scratch = scratchDirectory();

function text(name: string): string {
  return readFileSync(join(directory, name), 'latin1');
}

function log(...words: readonly string[]): string[] {
  return timed(run(process.execPath, [EXHUME, 'log', file, ...words]).stdout);
}

function found(...words: readonly string[]): GuestsReport['guests'] {
  return (said('guests', [file], ...words) as GuestsReport).guests;
}

test('each host has its one guest, with its process and CPU', () => {
  const told = (guests: GuestsReport['guests']): unknown =>
    guests.map(({ name, process, cpus }) => [name, process?.uuid, cpus.length]);
  assert.deepEqual(told(found()), [[outer.name, uuidOf(outer), 1]]);
  assert.deepEqual(told(found('--guest', outer.name)), [[inner.name, uuidOf(inner), 1]]);
});

test('the outer guest has the memory that its own QEMU dumped, and the log that its console showed', () => {
  const out = join(scratch, 'outer.vmcore');
  convert(file, out, '--guest', outer.name, '--format', 'elf');
  const { same, other, missing } = comparePages(memoryOf([out]), memoryOf([join(directory, `${outer.name}.elf`)]));
  assert.deepEqual([other, missing], [[], []]);
  assert.ok(same > (outer.megabytes << 8) * 0.9, `${same} pages compared`);
  // What it told of the inner one is behind a bar.
  const shown = timed(text(`${outer.name}.serial`).replaceAll(/^\|.*$/gm, ''));
  assert.ok(shown.length > 100);
  assert.deepEqual(log('--guest', outer.name), shown);
});

test('vmcb01 and vmcb02 are told apart: the outer guest was entering its own, which ran', () => {
  const [cpu] = found()[0]?.cpus ?? [];
  assert.match(cpu?.source ?? '', /^vmcb01 at /);
  // Where kvm_amd has VMRUN.
  assert.match(cpu?.symbol ?? '', /^__svm_vcpu_run\+/);
  const ran = new Map(qemuRip(text(`${outer.name}.registers`)));
  assert.equal(cpu?.nested, ran.get(0));
});

test('the registers of the innermost guest are what the outer QEMU said, whose CPU was in it', () => {
  const answer = said('regs', [file], '--guest', path) as RegsReport;
  assertRegisters(answer, text(`${outer.name}.registers`));
  assert.equal(answer.cpus[0]?.mode, 'user');
});

test('the innermost guest has the log that its console showed, and its processes', () => {
  const shown = timed(text(`${inner.name}.serial`));
  const whole = log('--guest', path);
  // Its console showed warnings and worse.
  assert.ok(shown.length > 0 && whole.length > 100);
  assert.deepEqual(
    shown.filter((line) => !whole.includes(line)),
    [],
  );
  const { tasks } = said('ps', [file], '--guest', path) as PsReport;
  assert.ok(tasks.length > 20);
  for (const comm of ['init', 'sleep', 'kthreadd'])
    assert.ok(
      tasks.some((task) => task.comm === comm),
      comm,
    );
});

test('the innermost guest, extracted, is read as it is inside', () => {
  const out = join(scratch, 'inner.vmcore');
  convert(file, out, '--guest', path);
  for (const command of ['ps', 'regs', 'mod', 'mount'])
    assert.deepEqual(said(command, [out]), said(command, [file], '--guest', path), command);
});

/** RIP of each CPU, as `0x…`. */
function* qemuRip(registers: string): Generator<[number, string]> {
  let index = 0;
  for (const [, rip] of registers.matchAll(/^RIP=([0-9a-f]{16})/gm))
    yield [index++, `0x${BigInt(`0x${rip}`).toString(16)}`];
}
