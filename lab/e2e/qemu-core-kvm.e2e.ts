/**
 * Cores of QEMU processes under KVM, made out of their host's dump, compared with what KVM itself knew of the same guests
 * at that moment, and with what QEMU had said before.
 */

import assert from 'node:assert/strict';
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Container } from '../../src/dump/container.js';
import { selectGuest } from '../../src/hypervisor/select.js';
import { openDumpFiles } from '../../src/node.js';
import { buildBt } from '../../src/report/bt.js';
import { buildRegs } from '../../src/report/regs.js';
import type { StackReport } from '../../src/report/schema/bt.js';
import { openSubject } from '../../src/report/subject.js';
import { sceneDirectory } from '../directories.js';
import { HOSTS, type InnerGuest } from '../hosts.js';
import { writeProcessCore } from '../process-core.js';
import { scratchDirectory } from './conversions.js';
import { comparePages } from './pages.js';
import { assertRegisters } from './registers.js';

const scratch = scratchDirectory();

for (const host of HOSTS) {
  const directory = sceneDirectory(host.name);
  const file = join(directory, 'host.elf');
  const dump = openDumpFiles([file]);
  for (const guest of host.guests) {
    // What is swapped out of QEMU's own structures is not in the core that is written of it.
    if (!guest.swapped) testCore(guest, file, dump, join(directory, `${guest.name}.registers`));
  }
}

function testCore(guest: InnerGuest, file: string, host: Container, registers: string): void {
  test(`${guest.name}: the core of its QEMU has its memory, and tells which registers count`, () => {
    const inside = selectGuest(host, guest.name);
    const pid = inside.process?.pid ?? assert.fail('no process');
    const path = join(scratch, `${guest.name}.core`);
    writeProcessCore(file, pid, path);
    const core = openDumpFiles([path]);
    assert.equal(core.process?.accelerator, 'KVM');
    assert.equal(core.process?.pid, pid);
    const { same, other, missing } = comparePages(core.memory, inside.container().memory);
    assert.deepEqual({ other, missing }, { other: [], missing: [] });
    assert.ok(same >= (guest.megabytes << 8) - 256, `${same} pages`);
    const subject = openSubject(core);
    const answer = buildRegs(subject);
    const stale = answer.cpus.map((cpu) => cpu.stale !== null);
    // Who was asked while it stood still has told all; who went on since, or was never asked, has not.
    const current = guest.after === 'stopped' && !guest.unasked;
    assert.deepEqual(stale, Array(guest.cpus).fill(!current));
    if (current) assertRegisters(answer, readFileSync(registers, 'latin1'));
    const { stacks } = buildBt(subject, { active: true });
    const real = buildBt(openSubject(inside.container()), { active: true }).stacks;
    assert.deepEqual(
      stacks.map(({ task }) => task),
      real.map(({ task }) => task),
    );
    stacks.forEach((stack, cpu) => {
      assertStack(guest, stack, real[cpu] ?? assert.fail('no stack'));
    });
    rmSync(path);
  });
}

/** Functions and their places, from the innermost frame that stays. What a dying kernel saved is of where it stopped a CPU. */
function settled({ frames, start }: StackReport): string[] {
  const panic = frames.findIndex(({ symbol }) => symbol === 'panic');
  const stopped = frames.findIndex(({ kind }, i) => i > 0 && kind === 'interrupted');
  const first = panic >= 0 ? panic : start === 'crash_notes' ? 0 : Math.max(stopped, 0);
  return frames.slice(first).map(({ kind, symbol, sp }) => (kind === 'user' ? 'user' : `${symbol} ${sp}`));
}

function assertStack(guest: InnerGuest, stack: StackReport, real: StackReport): void {
  // Programs that never leave user mode are interrupted now and then.
  const last = guest.ending === 'hung' ? -1 : 0;
  assert.deepEqual(settled(stack).slice(last), settled(real).slice(last));
  assert.equal(stack.stale === null, stack.start === 'crash_notes' || (guest.after === 'stopped' && !guest.unasked));
  if (!guest.unasked) return;
  // The CPU that panicked saves nothing itself where there is no capture kernel; it had the others save theirs.
  assert.equal(stack.start, real.panicked ? 'scan' : 'crash_notes');
}
