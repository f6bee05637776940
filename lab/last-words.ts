/** A guest with our driver for virtio-pstore, and the device for it in this process. */

import { rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { connect } from '../src/device/connect.js';
import { StreamLink } from '../src/device/link.js';
import type { VirtioDevice } from '../src/device/virtio-device.js';
import { inForky } from './chroot.js';
import { labDirectory, labPath } from './directories.js';
import { DRIVER_FILE, pstoreDriver } from './guest.js';
import { buildInitramfs } from './initramfs.js';
import { type KernelName, kernel } from './kernels.js';
import { Guest, serialArguments } from './qemu.js';

export interface LastWords {
  readonly name: string;
  readonly kernel: KernelName;
  readonly commandLine: readonly string[];
  /** What the guest does in each of its boots. */
  readonly script: string;
  /** The device of a guest whose files are in the directory. */
  device(directory: string): VirtioDevice;
}

/** Boots the guest, lets `watch` look at it, and ends it. A panic boots it again. */
export async function withLastWords(
  words: LastWords,
  watch: (guest: Guest, directory: string) => Promise<void>,
): Promise<void> {
  const directory = labPath('scratch', words.name);
  const initrd = join(directory, 'initrd');
  const serialLog = join(directory, 'serial.log');
  const socket = join(directory, 'socket');
  const guestKernel = kernel(words.kernel);
  // All that takes long comes before QEMU does: the device answers it from here.
  const ownModules = new Map([[DRIVER_FILE, pstoreDriver(words.kernel)]]);
  writeFileSync(
    initrd,
    buildInitramfs({ kernel: guestKernel, modules: ['virtio_pci'], ownModules, script: words.script }),
  );
  const connections = new Set<Socket>();
  const server = createServer((connection) => {
    connections.add(connection);
    connect(new StreamLink(connection), words.device(directory));
  });
  await listen(server, socket);
  const commandLine = ['console=ttyS0', 'ignore_loglevel', 'pstore.backend=virtio', ...words.commandLine];
  const args = [
    ...['-nodefaults', '-no-user-config', '-display', 'none'],
    ...['-machine', 'pc', '-accel', 'tcg,thread=multi', '-cpu', 'qemu64', '-smp', '2', '-m', '256'],
    ...['-qmp', 'stdio', ...serialArguments(serialLog), '-serial', 'chardev:serial'],
    ...['-kernel', guestKernel.image, '-initrd', initrd, '-append', commandLine.join(' ')],
    ...['-device', JSON.stringify({ driver: 'vfio-user-pci', socket: { type: 'unix', path: socket } })],
  ];
  const guest = new Guest(inForky([directory, join(labDirectory, 'kernels')], 'qemu-system-x86_64', args), serialLog);
  try {
    await watch(guest, directory);
  } finally {
    await guest.quit();
    for (const connection of connections) connection.destroy();
    server.close();
    rmSync(directory, { recursive: true });
  }
}

function listen(server: Server, path: string): Promise<void> {
  rmSync(path, { force: true });
  return new Promise((resolve, reject) => {
    server.on('error', reject);
    server.listen(path, resolve);
  });
}
