/** A host that was dumped from outside while one of its CPUs was inside a guest: whose registers the dump's note has. */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { BtReport } from '../../src/report/schema/bt.js';
import type { RegsReport } from '../../src/report/schema/cpu.js';
import type { GuestsReport } from '../../src/report/schema/guests.js';
import { sceneDirectory } from '../directories.js';
import { EXHUME } from '../exhume.js';
import { HOSTS } from '../hosts.js';
import { run } from '../shell.js';
import { said } from './conversions.js';
import { assertRegisters, qemuRegisters } from './registers.js';
import { timed } from './support.js';

for (const { name, caughtIn } of HOSTS) {
  if (caughtIn === undefined) continue;
  const directory = sceneDirectory(name);
  const file = join(directory, 'caught.elf');
  const text = (path: string): string => readFileSync(join(directory, path), 'latin1');
  /** What QEMU says of the host's CPUs: of the one in the guest it is what the guest runs. */
  const outside = text('caught.registers');
  const table = qemuRegisters(text(`${caughtIn}.registers`))[0]?.get('cr3');
  const caught = qemuRegisters(outside).findIndex((cpu) => cpu.get('cr3') === table);
  const block = outside.split(/^(?=CPU#)/m).filter((one) => one.startsWith('CPU#'))[caught] ?? '';

  test(`${name}: the guest's CPU has the registers of the note of CPU ${caught}, and it is said`, () => {
    assert.notEqual(table, undefined);
    assertRegisters(said('regs', [file], '--guest', caughtIn) as RegsReport, block);
    const { guests } = said('guests', [file]) as GuestsReport;
    const [cpu] = guests.find((guest) => guest.name === caughtIn)?.cpus ?? [];
    assert.match(cpu?.source ?? '', new RegExp(`^the dump's note of CPU ${caught}, which was inside the guest`));
    assert.equal(cpu?.state, 'running');
    const { stdout } = run(process.execPath, [EXHUME, 'guests', file, '-v']);
    assert.match(stdout, new RegExp(`note of the host's CPU ${caught}`));
  });

  test(`${name}: the host has no registers of that CPU, and takes none of the guest's for its own`, () => {
    const { cpus } = said('regs', [file]) as RegsReport;
    assert.deepEqual(
      cpus.map(({ guest }) => guest),
      cpus.map(({ index }) => index === caught),
    );
    assert.equal(cpus[caught]?.symbol, null);
    const answer = run(process.execPath, [EXHUME, 'bt', '-a', '--json', file], { accept: [1] }).stdout;
    for (const { cpu, comm, frames, end } of (JSON.parse(answer) as BtReport).stacks) {
      // Its thread went into the guest, and what is on its stack has no registers to begin from.
      if (cpu === caught) assert.deepEqual([comm, frames, end], ['qemu-system-x86', [], 'lost']);
      else assert.ok(frames.length > 0, `CPU ${cpu}`);
    }
  });

  test(`${name}: once the host has died by itself no CPU is in a guest`, () => {
    const { cpus } = said('regs', [join(directory, 'host.elf')]) as RegsReport;
    assert.ok(cpus.every(({ guest }) => !guest));
  });

  test(`${name}: the guest that goes on is read as one that is stopped`, () => {
    const { stdout } = run(process.execPath, [EXHUME, 'log', '--guest', caughtIn, file]);
    assert.deepEqual(timed(stdout), timed(text(`${caughtIn}.serial`)));
  });
}
