/**
 * Memory searched for VMCBs and VMCSs without any structure of a kernel: a host's has those of its guests' CPUs and nothing
 * else (no host save areas, no pages of guests that look like some), memory without guests has none.
 */

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { scanForControl } from '../../src/hypervisor/control/scan.js';
import { solvePages } from '../../src/hypervisor/control/solve-pages.js';
import { openDumpFiles } from '../../src/hypervisor/node.js';
import { openMachine } from '../../src/machine/open.js';
import type { GuestsReport } from '../../src/report/schema/guests.js';
import { sceneDirectory } from '../directories.js';
import { HOSTS } from '../hosts.js';
import { said } from './conversions.js';

/** Kernels, deaths and forms that have the most different things in their memory; all scenes together take a minute. */
const WITHOUT_GUESTS = [
  ['panic-5.10', 'dump.elf'],
  ['panic-6.1', 'dump.elf'],
  ['panic-6.12', 'dump.elf'],
  ['panic-6.18-bare', 'dump.elf'],
  ['panic-7.2', 'dump.elf'],
  ['la57', 'dump.elf'],
  ['kdump', 'vmcore.elf'],
  ['memory-7.2', 'vmcore.elf'],
  ['oom-6.1', 'dump.elf'],
  ['threads-20000-7.2', 'dump.elf'],
  ['poison-6.1', 'dump.elf'],
  ['core-11.1-q35', 'core'],
  ['stream-7.2', 'savevm.elf'],
] as const;

for (const [scene, file] of WITHOUT_GUESTS) {
  test(`${scene}: there is no control structure in its memory`, () => {
    const container = openDumpFiles([join(sceneDirectory(scene), file)]);
    const { found, strange, vmcsinfo } = scanForControl(container.memory);
    assert.deepEqual([found, vmcsinfo], [[], []]);
    assert.deepEqual(solvePages(strange, openMachine(container)).witnesses, []);
  });
}

for (const { name } of HOSTS) {
  test(`${name}: in its memory are the VMCBs of its guests' CPUs, and nothing else`, () => {
    const file = join(sceneDirectory(name), 'host.elf');
    const { guests } = said('guests', [file]) as GuestsReport;
    const own = guests.flatMap(({ cpus }) => cpus.map(({ source }) => /VMCB at (0x[0-9a-f]+)/.exec(source)?.[1]));
    const { found, strange } = scanForControl(openDumpFiles([file]).memory);
    assert.deepEqual(found.map(({ address }) => `0x${address.toString(16)}`).sort(), own.sort());
    assert.deepEqual(solvePages(strange, openMachine(openDumpFiles([file]))).witnesses, []);
  });
}
