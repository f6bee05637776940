/** How a machine reaches virtio-pstore: vfio-user and vhost-user, memory that is shared, and memory that only seems to be. */

import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect } from '../../src/device/connect.js';
import { linkOf } from '../../src/device/link.js';
import { loadNative } from '../../src/device/native/native.js';
import { lengthOf, scatter } from '../../src/device/parts.js';
import type { VirtioDevice } from '../../src/device/virtio-device.js';
import { CRASH, HEAR, type LastWords, LISTEN, type LivingGuest, play, VHOST_USER } from '../last-words.js';
import { type Host, PstoreHost } from '../pstore-host.js';
import { LabError } from '../shell.js';
import {
  assertSameLog,
  BOOT_SECONDS,
  bootsOf,
  dumpsIn,
  FIRST,
  FOREVER,
  loggedLines,
  MOUNT,
  PATIENT,
  untilDumped,
} from './last-words.js';

const RANDOM_BYTES = 4096;
const LETTER = 'Z';
const LAST_LINES = 12;
const CRASHED = /sysrq: Trigger a crash/;
const DEAD = /@@ first[\s\S]*Rebooting in \d+ seconds/;
const SEEN_AGAIN = /Unregistered virtio as persistent[\s\S]*Registered virtio as persistent/;

/** Fills what it is given: what Linux's own driver for virtio-rng reads, which waits for an interrupt each time. */
const RANDOM: VirtioDevice = {
  id: 4,
  queues: 1,
  queueSize: 128,
  mostBytes: 1 << 16,
  config: new Uint8Array(4),
  handle: ({ writable }, memory) =>
    scatter(memory, writable, new Uint8Array(lengthOf(writable)).fill(LETTER.charCodeAt(0))),
  reset() {},
};

/** All guests but one have their devices in one process; that of the other is killed under it. */
class Hosts implements Host {
  private readonly random = createServer({ pauseOnConnect: true });

  private constructor(
    readonly first: PstoreHost,
    public second: PstoreHost,
    private readonly directory: string,
  ) {}

  static async start(directory: string, guests: readonly string[]): Promise<Hosts> {
    const apart = join(directory, 'apart');
    mkdirSync(apart, { recursive: true });
    const stay = guests.filter((guest) => guest !== KILLED.name);
    const hosts = new Hosts(
      await PstoreHost.start(directory, stay),
      await PstoreHost.start(apart, [KILLED.name]),
      directory,
    );
    const native = await loadNative();
    assert.ok(native, 'koffi is installed');
    hosts.random.on('connection', (socket) => connect(linkOf(socket, native), RANDOM));
    await new Promise<void>((resolve) => hosts.random.listen(randomSocket(directory), resolve));
    return hosts;
  }

  of({ name }: LastWords): PstoreHost {
    return name === KILLED.name ? this.second : this.first;
  }

  socket(guest: string): string {
    return guest === KILLED.name ? this.second.socket(guest) : this.first.socket(guest);
  }

  async again(): Promise<void> {
    await this.second.kill();
    this.second = await PstoreHost.start(join(this.directory, 'apart'), [KILLED.name]);
  }

  async stop(): Promise<void> {
    this.random.close();
    await this.first.stop();
    await this.second.stop();
  }

  async kill(): Promise<void> {
    this.random.close();
    await this.first.kill();
    await this.second.kill();
  }
}

function randomSocket(directory: string): string {
  return join(directory, 'random');
}

/** It reads what RANDOM gives; and dies, when it is told to if it listens. */
function script({ random = false, listens = false }): string {
  return `
${PATIENT}
${MOUNT}
${random ? `echo "@@ random $(dd if=/dev/hwrng bs=256 count=${RANDOM_BYTES / 256} 2> /dev/null | tr -dc ${LETTER} | wc -c)"` : ''}
${listens ? LISTEN : ''}
echo "${FIRST}"
${listens ? HEAR : 'sleep 1'}
${CRASH}
${FOREVER}
`;
}

const COMMON = { commandLine: ['panic=1', 'log_buf_len=1M'], modules: ['virtio_rng'] } as const;

const KILLED: LastWords = {
  ...COMMON,
  name: 'killed',
  kernel: '7.2',
  transport: 'vhost-user',
  memory: 'shared',
  listens: true,
  script: script({ listens: true }),
};

const GUESTS: readonly LastWords[] = [
  {
    ...COMMON,
    name: 'vfio-shared',
    kernel: '7.2',
    memory: 'shared',
    script: script({ random: true }),
    qemu: (directory) => {
      const socket = { type: 'unix', path: randomSocket(directory) };
      return ['-device', JSON.stringify({ driver: 'vfio-user-pci', socket })];
    },
  },
  { ...COMMON, name: 'vfio-private', kernel: '6.1', memory: 'private', script: script({}) },
  {
    ...COMMON,
    name: 'vhost-shared',
    kernel: '6.1',
    transport: 'vhost-user',
    memory: 'shared',
    script: script({ random: true }),
    qemu: (directory) => [
      ...['-chardev', `socket,id=random,path=${randomSocket(directory)}`],
      ...['-device', 'vhost-user-test-device-pci,chardev=random,virtio-id=4,num_vqs=1'],
    ],
  },
  KILLED,
];

/** How its memory was moved, as the host found out. */
function moved(living: LivingGuest, hosts: Hosts): string[] {
  return hosts
    .of(living.words)
    .told(living.words.name, 'memory')
    .map(({ by }) => by);
}

/** What is on the host is what it said before it died. */
async function leaves(living: LivingGuest, hosts: Hosts): Promise<void> {
  const { guest, words } = living;
  await guest.waitFor(DEAD, BOOT_SECONDS);
  const dumps = dumpsIn(hosts.of(words).store(words.name));
  const boots = bootsOf(guest.console);
  // On a busy machine a guest may need a second boot before it comes so far.
  const dead = boots.findIndex((lines) => lines.some((line) => CRASHED.test(line)));
  if (dead > 0 && dumps.length > 1) {
    throw new LabError(`${words.name} died before it was told to:\n${endsOf(boots.slice(0, dead))}`);
  }
  const found = dumps.map(({ reason, count, missing, damage }) => [reason, count, missing, damage]);
  const files = dumps.flatMap(({ parts }) => parts).map(({ file, boot }) => `${file} of boot ${boot}`);
  assert.deepEqual(
    found,
    [['Panic', 1, [], []]],
    `${JSON.stringify(found)} in ${files.join(', ')}; its boots ended with:\n${endsOf(boots)}`,
  );
  assertSameLog(loggedLines(dumps[0]?.text ?? ''), untilDumped(boots[dead] ?? []));
}

/** What boots said last. */
function endsOf(boots: readonly string[][]): string {
  return boots.map((lines) => lines.slice(-LAST_LINES).join('\n')).join('\n--\n');
}

/** Linux's driver got all that it asked for, each time after an interrupt. */
function interrupted({ guest }: LivingGuest): void {
  assert.match(guest.console, new RegExp(`^@@ random ${RANDOM_BYTES}\\r?$`, 'm'));
}

/** Takes the device away from the running guest, and gives it a new one. */
async function plugAgain({ guest, words }: LivingGuest, hosts: Hosts): Promise<void> {
  await guest.execute('device_del', { id: 'pstore' });
  for (let tries = 0; ; tries++) {
    try {
      await guest.execute('chardev-remove', { id: 'pstore' });
      break;
    } catch (error) {
      // The guest has not let it go yet.
      if (tries > 1000) throw error;
      await sleep(50);
    }
  }
  const addr = { type: 'unix', data: { path: hosts.socket(words.name) } };
  await guest.execute('chardev-add', { id: 'pstore', backend: { type: 'socket', data: { addr, server: false } } });
  await guest.execute('device_add', VHOST_USER);
  await guest.waitFor(SEEN_AGAIN, BOOT_SECONDS);
}

const WATCH: Readonly<Record<string, (living: LivingGuest, hosts: Hosts) => Promise<void>>> = {
  async 'vfio-shared'(living, hosts) {
    await leaves(living, hosts);
    assert.deepEqual(moved(living, hosts), ['descriptors']);
    interrupted(living);
  },
  async 'vfio-private'(living, hosts) {
    await leaves(living, hosts);
    assert.deepEqual(moved(living, hosts), ['messages']);
  },
  async 'vhost-shared'(living, hosts) {
    await leaves(living, hosts);
    assert.deepEqual(moved(living, hosts), ['descriptors']);
    interrupted(living);
  },
  async killed(living, hosts) {
    await living.guest.waitFor(FIRST, BOOT_SECONDS);
    await hosts.again();
    await plugAgain(living, hosts);
    await living.tell('die');
    await leaves(living, hosts);
    assert.deepEqual(moved(living, hosts), ['descriptors']);
  },
};

test('a panic is on the host as it was on the console, however the machine reaches its device; interrupts arrive', async () => {
  await play({
    name: 'transports',
    guests: GUESTS,
    host: (directory, guests) => Hosts.start(directory, guests),
    watch: async (living, hosts) => {
      await WATCH[living.words.name]?.(living, hosts);
    },
  });
});
