/**
 * Makes the migration streams and snapshots of one guest, each with a dump of the same moment: `dump.elf` of the stream
 * of the guest as it ran, `savevm.elf` of the snapshot and of all that was made from that.
 */

import { chmodSync, createReadStream, createWriteStream, mkdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { createGzip } from 'node:zlib';
import { type Command, inForky } from './chroot.js';
import { labDirectory, labPath } from './directories.js';
import { kernel } from './kernels.js';
import { remake } from './making.js';
import { READY } from './markers.js';
import { PLAIN_COMMAND_LINE, plainInitramfs } from './plain.js';
import { Guest, serialArguments } from './qemu.js';
import { LabError, run, say } from './shell.js';
import type { StreamKind, Streams } from './streams.js';

const BOOT_SECONDS = 240;
const MIGRATE_SECONDS = 120;

/** Changes that make all streams old. */
const EDITION = 1;

/** Makes the streams unless they were made from the same definition before. Returns whether it did anything. */
export function makeStreams(streams: Streams, force: boolean): Promise<boolean> {
  return remake(streams.name, { edition: EDITION, ...streams }, force, (making) => attempt(streams, making));
}

async function attempt(streams: Streams, directory: string): Promise<void> {
  const start = Date.now();
  rmSync(directory, { recursive: true, force: true });
  mkdirSync(directory, { recursive: true });
  const scratch = labPath('scratch', streams.name);
  try {
    await boot(streams, scratch, directory);
    for (const kind of streams.kinds) if (kind !== 'stream') await restore(streams, kind, scratch, directory);
    // A newer one, without a machine in it.
    run('qemu-img', ['snapshot', '-c', 'disk-only', join(directory, 'savevm.qcow2')]);
  } finally {
    rmSync(scratch, { recursive: true });
  }
  await asLibvirt(streams, directory);
  writeFileSync(join(directory, 'streams.json'), `${JSON.stringify(streams, undefined, 2)}\n`);
  const sizes = streams.kinds.map((kind) => `${kind} ${(statSync(join(directory, kind)).size / 1e6).toFixed(1)} MB`);
  say(`${streams.name}: ${((Date.now() - start) / 1000).toFixed(1)} s: ${sizes.join(', ')}`);
}

/** The guest itself: its snapshot, and the stream of it while it runs. */
async function boot(streams: Streams, scratch: string, directory: string): Promise<void> {
  const serialLog = join(directory, 'serial.log');
  const guest = new Guest(prepare(streams, scratch, directory, serialLog), serialLog);
  try {
    await guest.waitFor(READY, BOOT_SECONDS);
    await guest.execute('stop');
    const failed = await guest.monitor('savevm moment');
    if (failed.trim() !== '') throw new LabError(`savevm: ${failed}`);
    await keep(guest, directory, 'savevm');
    await guest.execute('cont');
    await migrate(guest, 'stream', streams, directory);
    await keep(guest, directory, 'dump');
  } finally {
    await guest.quit();
  }
}

/** QEMU migrates no guest twice: each other kind is of another process, which starts from the snapshot. */
async function restore(streams: Streams, kind: StreamKind, scratch: string, directory: string): Promise<void> {
  const serialLog = join(scratch, 'serial.log');
  const guest = new Guest(prepare(streams, scratch, directory, serialLog, ['-loadvm', 'moment', '-S']), serialLog);
  try {
    await migrate(guest, kind, streams, directory);
  } finally {
    await guest.quit();
  }
}

/** What QEMU says of the guest that it has stopped. */
async function keep(guest: Guest, directory: string, name: string): Promise<void> {
  writeFileSync(join(directory, `${name}.registers`), await guest.monitor('info registers -a'));
  const elf = join(directory, `${name}.elf`);
  await guest.dump(elf, 'elf');
  run('fallocate', ['--dig-holes', elf]);
  chmodSync(elf, 0o644);
}

function prepare(
  streams: Streams,
  scratch: string,
  directory: string,
  serialLog: string,
  more: readonly string[] = [],
): Command {
  const own = kernel(streams.kernel);
  const initrd = join(scratch, 'initrd');
  const before = `
mount -t tmpfs tmpfs /tmp
( while :; do dd if=/bin/busybox of=/tmp/written bs=64k 2> /dev/null; sleep 0.01; done ) &`;
  writeFileSync(initrd, plainInitramfs({ ...streams, ending: 'idle', vmcoreinfo: true, before }));
  const snapshots = join(directory, 'savevm.qcow2');
  if (more.length === 0) {
    const options = `extended_l2=${streams.extendedL2 ? 'on' : 'off'}`;
    run('qemu-img', ['create', '-q', '-f', 'qcow2', '-o', options, snapshots, '16M']);
  }
  const args = [
    ...['-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot', '-name', streams.name],
    ...['-machine', streams.machine, '-accel', 'tcg,thread=multi', '-cpu', 'qemu64', '-smp', `${streams.cpus}`],
    ...['-m', `${streams.megabytes}`, '-device', 'vmcoreinfo'],
    ...['-qmp', 'stdio', ...serialArguments(serialLog), '-serial', 'chardev:serial'],
    ...['-kernel', own.image, '-initrd', initrd, '-append', PLAIN_COMMAND_LINE],
    ...['-drive', `if=virtio,format=qcow2,file=${snapshots}`],
    ...more,
  ];
  if (streams.qemu === '7.2') return { command: 'qemu-system-x86_64', args };
  return inForky([scratch, directory, join(labDirectory, 'kernels')], 'qemu-system-x86_64', args);
}

const CAPABILITIES: Readonly<Record<StreamKind, readonly string[]>> = {
  stream: [],
  stopped: [],
  compress: ['compress'],
  mapped: ['mapped-ram'],
  multifd: ['mapped-ram', 'multifd'],
};

async function migrate(guest: Guest, kind: StreamKind, streams: Streams, directory: string): Promise<void> {
  const path = join(directory, kind);
  const set = async (state: boolean): Promise<void> => {
    const capabilities = CAPABILITIES[kind].map((capability) => ({ capability, state }));
    if (capabilities.length > 0) await guest.execute('migrate-set-capabilities', { capabilities });
  };
  await set(true);
  // QEMU 7.2 has no file of its own.
  await guest.execute('migrate', { uri: streams.qemu === '7.2' ? `exec:cat > ${path}` : `file:${path}` });
  const deadline = Date.now() + MIGRATE_SECONDS * 1000;
  for (;;) {
    const answer = JSON.stringify(await guest.execute('query-migrate'));
    const status = /"status":"([\w-]+)"/.exec(answer)?.[1];
    if (status === 'completed') break;
    if (status === 'failed' || status === 'cancelled' || Date.now() > deadline)
      throw new LabError(`migration ${kind}: ${answer}`);
    await sleep(50);
  }
  await set(false);
  chmodSync(path, 0o644);
}

/** What `virsh save` leaves, by the header in libvirt's `src/qemu/qemu_saveimage.h`, which is in the host's byte order. */
async function asLibvirt(streams: Streams, directory: string): Promise<void> {
  const xml = Buffer.from(
    [
      "<domstatus><domain type='qemu'>",
      `  <name>${streams.name}</name>`,
      `  <memory unit='KiB'>${streams.megabytes << 10}</memory>`,
      '</domain></domstatus>\0',
    ].join('\n'),
  );
  const header = Buffer.alloc(92);
  header.write('LibvirtQemudSave', 'latin1');
  header.writeUInt32LE(2, 16);
  header.writeUInt32LE(xml.length, 20);
  header.writeUInt32LE(1, 24);
  header.writeUInt32LE(streams.libvirt === 'gzip' ? 1 : 0, 28);
  const path = join(directory, 'libvirt.save');
  writeFileSync(path, Buffer.concat([header, xml]));
  const source = createReadStream(join(directory, 'stopped'));
  const target = createWriteStream(path, { flags: 'a' });
  if (streams.libvirt === 'gzip') await pipeline(source, createGzip({ level: 1 }), target);
  else await pipeline(source, target);
}
