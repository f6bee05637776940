/** What a guest says last is on the host when it boots again: our driver in real guests, our device, our store. */

import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { connect } from '../../src/device/connect.js';
import { StreamLink } from '../../src/device/link.js';
import { PstoreDevice } from '../../src/device/pstore-device.js';
import { HostStore } from '../../src/pstore/node/store.js';
import type { KernelName } from '../kernels.js';
import { CRASH, command, type LastWords, type LivingGuest, OOPS, play } from '../last-words.js';
import { READY } from '../markers.js';
import type { Host, PstoreHost } from '../pstore-host.js';
import {
  assertSameLog,
  BOOT_SECONDS,
  bootsOf,
  chatter,
  dumpsIn,
  exhume,
  FIRST,
  FOREVER,
  loggedLines,
  MOUNT,
  OOPSED,
  PATIENT,
  REBOOTING,
  SECOND_BOOT,
  untilDumped,
  upTo,
} from './last-words.js';

const KERNELS: readonly KernelName[] = ['6.1', '7.2'];

const { files, commandLine: loud, log: chat } = chatter(80_000);

/** The first boot dies; the next one lists what it finds, and erases it. */
function script(dies: string, patience = PATIENT): string {
  return `
${patience}
${MOUNT}
if [ -z "$(ls /sys/fs/pstore)" ]; then
${chat}
echo "${FIRST}"
sleep 1
${dies}
${FOREVER}
fi
for file in /sys/fs/pstore/*; do echo "@@ found \${file##*/} $(head -n 1 $file)"; done
rm /sys/fs/pstore/*
umount /sys/fs/pstore
${MOUNT}
echo "@@ left $(ls /sys/fs/pstore | wc -l)"
echo "${READY}"
${FOREVER}
`;
}

function dying(kernel: KernelName, script: string, ...commandLine: readonly string[]): LastWords {
  return {
    name: `guest-${kernel}`,
    kernel,
    files,
    script,
    commandLine: [loud, 'log_buf_len=1M', ...commandLine],
  };
}

/** The next boot finds what the host has, and when it has erased it the host has it no more. */
async function finds({ guest, words }: LivingGuest, host: PstoreHost, kept: readonly string[]): Promise<void> {
  await guest.waitFor(READY, BOOT_SECONDS);
  const found = [...guest.console.matchAll(/^@@ found (\S+) (\S+ \S+)\r?$/gm)].map(
    ([, file, head]) => `${file} ${head}`,
  );
  assert.deepEqual(found.sort(), [...kept].sort());
  assert.match(guest.console, /^@@ left 0\r?$/m);
  assert.deepEqual(
    readdirSync(host.store(words.name)).filter((file) => file.startsWith('dmesg')),
    [],
  );
  assert.equal(host.told(words.name, 'erased').length, kept.length);
}

test('6.1 and 7.2 at once: an oops and then a panic are on the host as they were on the console; the next boot erases them', async () => {
  // A kernel that does not wait before it boots again.
  const guests = KERNELS.map((kernel) =>
    dying(kernel, script(`${OOPS}\necho "@@ goes on"\nsleep 1\n${CRASH}`), 'panic=-1'),
  );
  await play({
    name: 'last-words',
    guests,
    host: command(),
    watch: async (living, host) => {
      const { guest, words } = living;
      const store = host.store(words.name);
      await guest.waitFor(SECOND_BOOT, BOOT_SECONDS);
      assert.match(guest.console, /^@@ goes on\r?$/m);
      const dumps = dumpsIn(store);
      assert.deepEqual(
        dumps.map(({ reason, count, missing, damage }) => [reason, count, missing, damage]),
        [
          ['Oops', 1, [], []],
          ['Panic', 2, [], []],
        ],
      );
      const [boot = []] = bootsOf(guest.console);
      for (const { reason, text, parts } of dumps) {
        const said = reason === 'Oops' ? upTo(boot, OOPSED) : untilDumped(boot);
        assertSameLog(loggedLines(text), said);
        assert.ok(parts.length >= 2, `${parts.length} records`);
      }
      const report = exhume('report', store);
      assert.equal(report.status, 0, report.stderr);
      assert.match(report.stdout, /sysrq triggered crash/);
      const kept = dumps.flatMap(({ reason, count, parts }) => {
        return parts.map(({ id, header }) => `dmesg-virtio-${id} ${reason}#${count} Part${header?.part}`);
      });
      await finds(living, host, kept);
    },
  });
});

test('7.2, panic in an NMI: the log is on the host as it was on the console; the next boot erases it', async () => {
  await play({
    name: 'last-words-nmi',
    // Out of an interrupt that nothing holds back.
    guests: [{ ...dying('7.2', script(''), 'unknown_nmi_panic=1', 'panic=1'), cpus: 2 }],
    // More records than can be on their way at once.
    host: command('--buffer-size', '4096'),
    watch: async (living, host) => {
      const { guest, words } = living;
      await guest.waitFor(FIRST, BOOT_SECONDS);
      await guest.execute('inject-nmi');
      await guest.waitFor(SECOND_BOOT, BOOT_SECONDS);
      const [dump, ...more] = dumpsIn(host.store(words.name));
      assert.ok(dump !== undefined && more.length === 0);
      assert.deepEqual([dump.reason, dump.count, dump.missing, dump.damage], ['Panic', 1, [], []]);
      assert.ok(dump.parts.length > 8, `${dump.parts.length} records`);
      assertSameLog(loggedLines(dump.text), untilDumped(bootsOf(guest.console)[0] ?? []));
      const kept = dump.parts.map(({ id, header }) => `dmesg-virtio-${id} Panic#1 Part${header?.part}`);
      await finds(living, host, kept);
    },
  });
});

/** A device in this process, which takes requests and answers none when it is told to be silent. */
class SilentHost implements Host {
  silent = false;
  readonly #connections = new Set<Socket>();
  readonly #server;

  constructor(private readonly directory: string) {
    const store = HostStore.open(join(directory, 'store'));
    this.#server = createServer((connection) => {
      this.#connections.add(connection);
      const device = new PstoreDevice(store.guest('guest'), 4096);
      const handle = device.handle.bind(device);
      device.handle = (chain, memory) => (this.silent ? new Promise(() => {}) : handle(chain, memory));
      connect(new StreamLink(connection), device);
    });
  }

  socket(guest: string): string {
    return join(this.directory, `${guest}.sock`);
  }

  async listen(guests: readonly string[]): Promise<this> {
    for (const guest of guests) await new Promise<void>((done) => this.#server.listen(this.socket(guest), done));
    return this;
  }

  async stop(): Promise<void> {
    for (const connection of this.#connections) connection.destroy();
    this.#server.close();
  }

  kill(): Promise<void> {
    return this.stop();
  }
}

test('7.2: a host that never answers costs a panic the time of one wait', async () => {
  await play({
    name: 'last-words-silent',
    guests: [dying('7.2', script(CRASH, ''), 'panic=1')],
    host: (directory, guests) => new SilentHost(directory).listen(guests),
    watch: async ({ guest }, host) => {
      await guest.waitFor(FIRST, BOOT_SECONDS);
      host.silent = true;
      await guest.waitFor(REBOOTING, BOOT_SECONDS);
      host.silent = false;
      await guest.waitFor(SECOND_BOOT, BOOT_SECONDS);
      const told = guest.console.match(/has not confirmed all records|backend \(virtio\) writing error/g) ?? [];
      assert.ok(told.length > 0, 'nothing is said of it');
    },
  });
});
