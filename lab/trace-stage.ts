/** Makes the scenes of `lab/traces.ts`: a dump of a kernel that traced, and the trace as that kernel shows it. */

import { chmodSync, closeSync, mkdirSync, openSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { type Command, inForky } from './chroot.js';
import { labDirectory, labPath } from './directories.js';
import { traceDigest, traceModule, traceProgram } from './guest.js';
import { buildInitramfs } from './initramfs.js';
import { kernel } from './kernels.js';
import { remake } from './making.js';
import { PANICKED } from './markers.js';
import { disk, Guest, serialArguments } from './qemu.js';
import { run, say } from './shell.js';
import {
  DISK_BYTES,
  DONE,
  GO,
  GO_OFFSET,
  KEPT_ADDRESS,
  KEPT_BYTES,
  MODULE_PATH,
  PROGRAM_PATH,
  traceCommandLine,
  traceScript,
  WRITTEN,
} from './trace-script.js';
import type { TraceEnding, TraceScene } from './traces.js';

const SECONDS = 300;

/** Changes that make every such scene old. */
const EDITION = 1;

/** Makes the scene unless it was made from the same definition before. Returns whether it did anything. */
export function makeTrace(scene: TraceScene, force: boolean): Promise<boolean> {
  const script = [traceScript(scene), ...traceCommandLine(scene)];
  const parts = { edition: EDITION, ...scene, sources: traceDigest(), script };
  return remake(scene.name, parts, force, (making) => attempt(scene, making));
}

async function attempt(scene: TraceScene, directory: string): Promise<void> {
  const start = Date.now();
  rmSync(directory, { recursive: true, force: true });
  mkdirSync(directory, { recursive: true });
  const scratch = labPath('scratch', scene.name);
  const serialLog = join(directory, 'serial.log');
  const guest = new Guest(prepare(scene, scratch, directory, serialLog), serialLog);
  try {
    await ENDINGS[scene.ending]({ guest, directory, scratch });
  } finally {
    await guest.quit();
    rmSync(scratch, { recursive: true });
  }
  say(`${scene.name}: ${((Date.now() - start) / 1000).toFixed(1)} s`);
}

interface Running {
  readonly guest: Guest;
  readonly directory: string;
  readonly scratch: string;
}

/** What the host does with the guest. */
const ENDINGS: Readonly<Record<TraceEnding, (running: Running) => Promise<void>>> = {
  off: async ({ guest, directory, scratch }) => {
    const first = join(scratch, 'first.disk');
    await guest.waitFor(WRITTEN, SECONDS);
    await dump(guest, directory, 'dump.elf');
    unpack(first, join(directory, 'truth'));
    tellToGo(first);
    await guest.execute('cont');
    await guest.waitFor(DONE, SECONDS);
    unpack(join(scratch, 'second.disk'), join(directory, 'raw'));
  },
  on: async ({ guest, directory }) => {
    await guest.waitFor(PANICKED, SECONDS);
    await dump(guest, directory, 'dump.elf');
  },
  boots: async ({ guest, directory, scratch }) => {
    await guest.waitFor(PANICKED, SECONDS);
    await dump(guest, directory, 'dump.elf');
    const region = join(directory, 'region.bin');
    await guest.execute('pmemsave', { val: KEPT_ADDRESS, size: KEPT_BYTES, filename: region });
    chmodSync(region, 0o644);
    unpack(join(scratch, 'second.disk'), join(directory, 'first'));
    await guest.execute('system_reset');
    await guest.execute('cont');
    await guest.waitFor(WRITTEN, SECONDS);
    await dump(guest, directory, 'next.elf');
    unpack(join(scratch, 'first.disk'), join(directory, 'truth'));
  },
};

function prepare(scene: TraceScene, scratch: string, directory: string, serialLog: string): Command {
  const own = kernel(scene.kernel);
  const initrd = join(scratch, 'initrd');
  const image = buildInitramfs({
    kernel: own,
    modules: ['qemu_fw_cfg', 'virtio_pci', 'virtio_blk'],
    script: traceScript(scene),
    files: new Map([
      [PROGRAM_PATH, traceProgram()],
      ...(scene.kernel === '6.12' ? [] : [[MODULE_PATH, traceModule(scene.kernel)] as const]),
    ]),
  });
  writeFileSync(initrd, image);
  const args = [
    ...['-nodefaults', '-no-user-config', '-display', 'none'],
    ...(scene.ending === 'boots' ? [] : ['-no-reboot']),
    ...['-machine', 'pc', '-accel', 'tcg,thread=multi', '-cpu', `qemu64${scene.random ? ',+rdrand' : ''}`],
    ...['-smp', `${scene.cpus}`, '-m', `${scene.megabytes}`, '-device', 'vmcoreinfo'],
    ...['-qmp', 'stdio', ...serialArguments(serialLog), '-serial', 'chardev:serial'],
    ...['-kernel', own.image, '-initrd', initrd],
    ...['-append', ['console=ttyS0', 'ignore_loglevel', 'panic=0', ...traceCommandLine(scene)].join(' ')],
    ...['first', 'second'].flatMap((name) => disk(join(scratch, `${name}.disk`), DISK_BYTES)),
    ...room(join(scratch, 'room.disk')),
  ];
  if (scene.qemu === '7.2') return { command: 'qemu-system-x86_64', args };
  return inForky([scratch, directory, join(labDirectory, 'kernels')], 'qemu-system-x86_64', args);
}

/** A disk with a file system, for the events of both. */
function room(path: string): string[] {
  const args = disk(path, 8 << 20);
  run('mke2fs', ['-q', '-F', '-t', 'ext4', path]);
  return args;
}

/** Stops the guest and dumps it. */
async function dump(guest: Guest, directory: string, name: string): Promise<void> {
  const path = join(directory, name);
  await guest.execute('stop');
  await guest.dump(path, 'elf');
  chmodSync(path, 0o644);
  // Most of a guest's memory is zero: keep it as holes.
  run('fallocate', ['--dig-holes', path]);
}

/** The guest's disk is a tar archive. */
function unpack(archive: string, directory: string): void {
  mkdirSync(directory);
  run('tar', ['-xf', archive, '-C', directory]);
}

function tellToGo(path: string): void {
  const descriptor = openSync(path, 'r+');
  writeSync(descriptor, GO, GO_OFFSET);
  closeSync(descriptor);
}
