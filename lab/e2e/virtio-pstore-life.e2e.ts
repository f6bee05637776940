/** What comes between a guest and its device: the driver is taken away and given back, the machine sleeps, the host's side dies. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { CRASH, command, HEAR, type LastWords, LISTEN, OOPS, play } from '../last-words.js';
import { PANICKED, READY } from '../markers.js';
import { PstoreHost } from '../pstore-host.js';
import type { Guest } from '../qemu.js';
import { BOOT_SECONDS, dumpsIn, FIRST, FOREVER, MOUNT, PATIENT, SECOND_BOOT } from './last-words.js';

const DRIVER = '/sys/bus/virtio/drivers/virtio_pstore';

/** Each step ends with an oops, of which the host has a record or not; and the guest goes on. */
const STEPS = `
backend() { ls -d ${DRIVER}/virtio* > /dev/null 2>&1 && echo there || echo gone; }
step() { echo "$1" > /dev/kmsg; echo "@@ $1: $(backend)"; ${OOPS}; echo "@@ $1: goes on"; }
`;

/** What has to be there and what gone, after each step. */
const THERE = ['start', 'bound', 'rescanned', 'woken'];
const GONE = ['unbound', 'removed'];

const LIFE = `
${PATIENT}
${MOUNT}
${STEPS}
device=$(readlink -f ${DRIVER}/virtio*)
virtio=\${device##*/}
step start
echo $virtio > ${DRIVER}/unbind
step unbound
echo $virtio > ${DRIVER}/bind
step bound
echo 1 > \${device%/*}/remove
step removed
echo 1 > /sys/bus/pci/rescan
step rescanned
echo mem > /sys/power/state
step woken
echo "${READY}"
${FOREVER}
`;

test('the driver is unbound and bound, its device removed and found again, the machine sleeps and wakes: then each oops is kept', async () => {
  await play({
    name: 'last-words-life',
    guests: (['6.1', '7.2'] as const).map((kernel) => ({ name: `guest-${kernel}`, kernel, script: LIFE })),
    host: command(),
    watch: async ({ guest, words }, host) => {
      await reaches(guest, '"suspended"');
      await guest.execute('system_wakeup');
      await guest.waitFor(READY, BOOT_SECONDS);
      for (const [steps, backend] of [
        [THERE, 'there'],
        [GONE, 'gone'],
      ] as const) {
        for (const step of steps) {
          assert.ok(guest.console.includes(`@@ ${step}: ${backend}`), step);
          assert.ok(guest.console.includes(`@@ ${step}: goes on`), step);
        }
      }
      const dumps = dumpsIn(host.store(words.name));
      assert.deepEqual(
        dumps.map(({ reason, missing, damage }) => [reason, missing, damage]),
        THERE.map(() => ['Oops', [], []]),
      );
      // The last step before the oops is the one that the record is of.
      const steps = new RegExp(`\\] (${[...THERE, ...GONE].join('|')})$`, 'gm');
      const last = dumps.map(({ text }) => [...Buffer.from(text).toString('latin1').matchAll(steps)].at(-1)?.[1]);
      assert.deepEqual(last, THERE);
      assert.equal(host.told(words.name, 'broken').length, 0);
    },
  });
});

/** Waits until QEMU says so of the guest's state. */
async function reaches(guest: Guest, state: string): Promise<void> {
  const deadline = Date.now() + BOOT_SECONDS * 1000;
  while (!JSON.stringify(await guest.execute('query-status')).includes(state)) {
    assert.ok(Date.now() < deadline, `the guest is never ${state}: ${guest.console.slice(-300)}`);
    await sleep(100);
  }
}

const ORPHAN = `
${LISTEN}
${MOUNT}
${STEPS}
echo "${FIRST}"
${HEAR}
step alone
umount /sys/fs/pstore
mount -t pstore pstore /sys/fs/pstore
echo "@@ mounted $(ls /sys/fs/pstore | wc -l)"
${CRASH}
${FOREVER}
`;

test('the device is killed: the guest oopses, lists and panics without it, and nothing hangs', async () => {
  // QEMU 11.1 ends itself when such a machine is reset: it cannot map memory for a device that is gone.
  const words: LastWords = { name: 'guest', kernel: '7.2', script: ORPHAN, listens: true, commandLine: ['panic=0'] };
  await play({
    name: 'last-words-orphan',
    guests: [words],
    host: command(),
    watch: async ({ guest, directory, tell }, host) => {
      await guest.waitFor(FIRST, BOOT_SECONDS);
      await host.kill();
      await tell('go');
      await guest.waitFor('@@ alone: goes on', BOOT_SECONDS);
      await reaches(guest, '"running"');
      // Another process takes the socket over. This machine does not connect to it.
      const next = await PstoreHost.start(directory, [words.name]);
      await guest.waitFor(PANICKED, BOOT_SECONDS);
      assert.match(guest.console, /^@@ mounted 0\r?$/m);
      assert.match(guest.console, /has not confirmed all records|backend \(virtio\) writing error/);
      await reaches(guest, '"running"');
      assert.deepEqual(next.told(words.name, 'connected'), []);
      await next.stop();
      assert.throws(() => dumpsIn(host.store(words.name)), /no pstore record/);
    },
  });
});

const PANICS = `
${PATIENT}
${MOUNT}
if [ -n "$(ls /sys/fs/pstore)" ]; then
echo "${READY}"
${FOREVER}
fi
echo "${FIRST}"
sleep 1
${CRASH}
${FOREVER}
`;

/** QEMU's reaction to a panic that pvpanic tells it of, by the guest's name. */
const ACTIONS: Readonly<Record<string, readonly string[]>> = {
  none: ['-action', 'panic=none'],
  usual: [],
};

test('pvpanic: with -action panic=none the record is kept; as QEMU usually does, the machine ends before there is one', async () => {
  await play({
    name: 'last-words-pvpanic',
    guests: Object.entries(ACTIONS).map(([name, action]) => ({
      name,
      kernel: '7.2',
      script: PANICS,
      modules: ['pvpanic_pci'],
      commandLine: ['panic=-1'],
      qemu: () => ['-device', 'pvpanic-pci', ...action],
    })),
    host: command(),
    watch: async (living, host) => {
      const { guest, words } = living;
      await guest.waitFor(FIRST, BOOT_SECONDS);
      if (words.name === 'none') {
        await guest.waitFor(READY, BOOT_SECONDS);
        assert.deepEqual(
          dumpsIn(host.store(words.name)).map(({ reason, missing }) => [reason, missing]),
          [['Panic', []]],
        );
      } else {
        assert.match(await guest.ended, /^QEMU ended \(0\)/);
        assert.ok(!guest.console.match(SECOND_BOOT));
        assert.deepEqual(host.told(words.name, 'kept'), []);
      }
    },
  });
});
