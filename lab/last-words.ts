/** Guests with our driver for virtio-pstore, each with its device on the host. */

import { rmSync, writeFileSync } from 'node:fs';
import { createConnection } from 'node:net';
import { join } from 'node:path';
import { inForky } from './chroot.js';
import { labDirectory, labPath } from './directories.js';
import { crashModule, DRIVER_FILE, MODULE_FILE, pstoreDriver } from './guest.js';
import { buildInitramfs } from './initramfs.js';
import { type KernelName, kernel } from './kernels.js';
import { type Host, PstoreHost } from './pstore-host.js';
import { Guest, serialArguments } from './qemu.js';
import { LabError, say } from './shell.js';

export interface LastWords {
  /** The guest's name on the host. */
  readonly name: string;
  readonly kernel: KernelName;
  /** What the guest does in each of its boots. */
  readonly script: string;
  readonly commandLine?: readonly string[];
  readonly cpus?: number;
  /** Debian's modules that it needs. */
  readonly modules?: readonly string[];
  readonly files?: ReadonlyMap<string, Uint8Array>;
  /** It has no virtio-pstore, and its kernel's own backend instead. */
  readonly without?: boolean;
  /** QEMU's name for the machine; `pc` where it does not matter. */
  readonly machine?: string;
  /** It waits for words on its second serial port. */
  readonly listens?: boolean;
  /** More of QEMU's arguments, before the device's. */
  readonly qemu?: (directory: string) => readonly string[];
  /** How it reaches its device; over vfio-user without it. */
  readonly transport?: 'vfio-user' | 'vhost-user';
  /** Its memory is a file that QEMU passes on, or a private copy of one. */
  readonly memory?: 'shared' | 'private';
  /** More properties of the device. */
  readonly device?: Readonly<Record<string, string>>;
}

/** Where a guest's own files are. */
export interface LivingGuest {
  readonly guest: Guest;
  readonly words: LastWords;
  readonly directory: string;
  /** Says a word to a guest that listens. */
  tell(word: string): Promise<void>;
}

/** Opens the port that words come from, in a guest that listens; and waits for one, whatever else it hears. */
export const LISTEN = 'exec 3< /dev/ttyS1';
export const HEAR = 'until read word <&3; do sleep 1; done';

/** An oops in a process that is not init: init's end is a panic of its own. The kernel goes on. */
export const OOPS = `sh -c 'echo null > /proc/exhume-lab'`;
export const CRASH = 'echo c > /proc/sysrq-trigger';

/** Starts the guest, lets `watch` look at it, and ends it. A panic boots it again. */
export async function withGuest<R>(
  words: LastWords,
  directory: string,
  socket: string,
  watch: (living: LivingGuest) => Promise<R>,
): Promise<R> {
  const { name, machine = 'pc', cpus = 1 } = words;
  const initrd = join(directory, `${name}.initrd`);
  const serialLog = join(directory, `${name}.log`);
  const port = join(directory, `${name}.words`);
  const guestKernel = kernel(words.kernel);
  const ownModules = new Map([[MODULE_FILE, crashModule(words.kernel)]]);
  if (!words.without) ownModules.set(DRIVER_FILE, pstoreDriver(words.kernel));
  writeFileSync(
    initrd,
    buildInitramfs({
      kernel: guestKernel,
      modules: ['virtio_pci', ...(words.modules ?? [])],
      ownModules,
      script: words.script,
      ...(words.files && { files: words.files }),
    }),
  );
  const backend = words.without ? [] : ['pstore.backend=virtio'];
  // On a busy machine the timer's ticks come too late for the kernel's check.
  const commandLine = ['console=ttyS0', 'ignore_loglevel', 'no_timer_check', ...backend, ...(words.commandLine ?? [])];
  const args = [
    ...['-nodefaults', '-no-user-config', '-display', 'none'],
    ...['-machine', machine, '-accel', 'tcg,thread=multi', '-cpu', 'qemu64', '-smp', `${cpus}`, '-m', '256'],
    ...['-qmp', 'stdio', ...serialArguments(serialLog), '-serial', 'chardev:serial'],
    ...['-kernel', guestKernel.image, '-initrd', initrd, '-append', commandLine.join(' ')],
    ...(words.listens
      ? ['-chardev', `socket,id=words,path=${port},server=on,wait=off`, '-serial', 'chardev:words']
      : []),
    ...(words.memory ? memoryArguments(words.memory) : []),
    ...(words.qemu?.(directory) ?? []),
    ...(words.without ? [] : deviceArguments(words, socket)),
  ];
  const guest = new Guest(inForky([directory, join(labDirectory, 'kernels')], 'qemu-system-x86_64', args), serialLog);
  try {
    return await watch({ guest, words, directory, tell: (word) => writeLine(port, word) });
  } finally {
    await guest.quit();
  }
}

function memoryArguments(memory: 'shared' | 'private'): string[] {
  const share = memory === 'shared' ? 'on' : 'off';
  return ['-object', `memory-backend-memfd,id=ram,size=256M,share=${share}`, '-machine', 'memory-backend=ram'];
}

/** QEMU's generic device of vhost-user as virtio-pstore. It and its chardev have the id `pstore`. */
export const VHOST_USER = {
  driver: 'vhost-user-test-device-pci',
  id: 'pstore',
  chardev: 'pstore',
  'virtio-id': 22,
  num_vqs: 2,
  vq_size: 128,
  config_size: 4,
};

function deviceArguments({ transport, device }: LastWords, socket: string): string[] {
  if (transport === 'vhost-user') {
    return ['-chardev', `socket,id=pstore,path=${socket}`, '-device', JSON.stringify({ ...VHOST_USER, ...device })];
  }
  const properties = { driver: 'vfio-user-pci', socket: { type: 'unix', path: socket }, ...device };
  return ['-device', JSON.stringify(properties)];
}

/** Writes a line to a socket, and goes. */
async function writeLine(path: string, line: string): Promise<void> {
  const socket = createConnection(path);
  await new Promise<void>((resolve, reject) => {
    socket.on('error', reject);
    socket.end(`${line}\n`, resolve);
  });
}

export interface Scenario<H extends Host> {
  readonly name: string;
  /** All at once. */
  readonly guests: readonly LastWords[];
  /** Starts the host's side. */
  readonly host: (directory: string, guests: readonly string[]) => Promise<H>;
  /** Looks at one of the guests. */
  readonly watch: (living: LivingGuest, host: H) => Promise<void>;
  /** Looks at what is left after them. */
  readonly after?: (host: H, directory: string) => Promise<void> | void;
}

/** The real command, with these options. */
export function command(...options: readonly string[]) {
  return (directory: string, guests: readonly string[]): Promise<PstoreHost> => {
    return PstoreHost.start(directory, guests, options);
  };
}

/** Plays it; once more when it was the lab that failed, as a guest of a busy machine does. */
export async function play<H extends Host>(scenario: Scenario<H>): Promise<void> {
  try {
    await attempt(scenario);
  } catch (error) {
    if (!(error instanceof LabError)) throw error;
    say(`${scenario.name}: once more, because ${error.message}`);
    await attempt(scenario);
  }
}

async function attempt<H extends Host>(scenario: Scenario<H>): Promise<void> {
  const directory = labPath('scratch', scenario.name);
  const names = scenario.guests.map(({ name }) => name);
  try {
    const host = await scenario.host(directory, names);
    try {
      const lives = await Promise.allSettled(
        scenario.guests.map((words) => {
          return withGuest(words, directory, host.socket(words.name), (living) => scenario.watch(living, host));
        }),
      );
      for (const life of lives) if (life.status === 'rejected') throw life.reason;
      await scenario.after?.(host, directory);
    } catch (error) {
      await host.kill();
      throw error;
    }
    await host.stop();
  } finally {
    rmSync(directory, { recursive: true });
  }
}
