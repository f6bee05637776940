/** QEMU ends itself, by an assertion of its own: its core says why. */

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { InfoReport } from '../../src/report/schema/info.js';
import { inForky } from '../chroot.js';
import { EXHUME } from '../exhume.js';
import { PstoreHost } from '../pstore-host.js';
import { run } from '../shell.js';
import { scratchDirectory } from './conversions.js';

const scratch = scratchDirectory();
const GUEST = 'aborted';

const SLOT = 5;
/**
 * Taking a vfio-user device away is more than QEMU 11.1 can do (docs/device.md). It does so when the guest lets the device
 * go, by ports of ACPI's: the bus at 0xae10, a bit for each slot at 0xae08 (QEMU docs/specs/acpi_pci_hotplug.rst).
 */
const WORDS = [
  { execute: 'qmp_capabilities' },
  { execute: 'device_del', arguments: { id: 'pstore' } },
  { execute: 'human-monitor-command', arguments: { 'command-line': 'o /w 0xae10 0' } },
  { execute: 'human-monitor-command', arguments: { 'command-line': `o /w 0xae08 ${1 << SLOT}` } },
];

test('the core of a QEMU that ended itself has its last words', async () => {
  const directory = join(scratch, 'abort');
  mkdirSync(join(directory, 'store'), { recursive: true });
  const host = await PstoreHost.start(directory, [GUEST]);
  const socket = { type: 'unix', path: host.socket(GUEST) };
  const qemu = [
    ...['qemu-system-x86_64', '-nodefaults', '-no-user-config', '-display', 'none', '-S', '-name', GUEST],
    ...['-machine', 'pc,memory-backend=ram', '-object', 'memory-backend-memfd,id=ram,share=on,size=16M', '-m', '16'],
    ...['-accel', 'tcg,tb-size=16', '-qmp', 'stdio'],
    ...['-device', JSON.stringify({ driver: 'vfio-user-pci', id: 'pstore', addr: `${SLOT}`, socket })],
  ];
  // The kernel leaves a core where the process is.
  const args = ['-c', 'ulimit -c unlimited && cd "$0" && exec "$@"', directory, ...qemu];
  const { command, args: all } = inForky([directory], 'sh', args);
  const input = WORDS.map((word) => `${JSON.stringify(word)}\n`).join('');
  const { stderr } = spawnSync(command, all, { input, encoding: 'utf8', timeout: 60_000 });
  await host.kill();
  // What it printed: "qemu-system-x86_64: FILE:LINE: FUNCTION: Assertion `…' failed."
  const printed = /Assertion .* failed/.exec(stderr)?.[0];
  assert.ok(printed, stderr);
  const core = readdirSync(directory).find((name) => /^core(\.\d+)?$/.test(name)) ?? assert.fail('no core');
  const { stdout } = run(process.execPath, [EXHUME, 'info', '--json', join(directory, core)], { accept: [0, 1] });
  const { process: died } = (JSON.parse(stdout) as InfoReport).file;
  assert.ok(died?.death);
  assert.ok(died.commandLine.includes(GUEST));
  assert.deepEqual([died.death.signal, died.death.detail], ['SIGABRT', 'it sent it itself']);
  assert.match(died.death.where, /libc\.so\.6\+0x/);
  const said = died.death.messages.filter((message) => message.includes(printed));
  assert.equal(said.length, 1, died.death.messages.join('\n'));
});
