/** What becomes of a machine's last words when the host's disk fails, or hangs. */

import assert from 'node:assert/strict';
import { renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { HANGING } from '../../src/testing/slow-disk.js';
import { CRASH, HEAR, LISTEN, play } from '../last-words.js';
import { READY } from '../markers.js';
import { PstoreHost } from '../pstore-host.js';
import { BOOT_SECONDS, dumpsIn, FIRST, FOREVER, MOUNT, SECOND_BOOT } from './last-words.js';

const name = 'guest';
/** Waits for a word in each boot: whether to die, or to look at what the boot before left. */
const script = `
${MOUNT}
${LISTEN}
echo "${FIRST}"
${HEAR}
if [ "$word" = die ]; then ${CRASH}; ${FOREVER}; fi
umount /sys/fs/pstore
${MOUNT}
for file in /sys/fs/pstore/*; do echo "@@ found \${file##*/} $(head -n 1 $file)"; done
echo "${READY}"
${FOREVER}
`;
const guest = { name, kernel: '7.2', script, commandLine: ['panic=1'], listens: true } as const;

test('7.2: the disk fails when the guest panics: the machine is paused, and goes on when the disk does', async () => {
  await play({
    name: 'last-words-pause',
    guests: [
      {
        ...guest,
        qemu: (directory) => ['-qmp', `unix:${join(directory, `${name}.qmp`)},server=on,wait=off`],
      },
    ],
    host: (directory, guests) => {
      return PstoreHost.start(directory, guests, ['--on-disk-error', 'pause', '--qmp', directory]);
    },
    async watch({ guest, tell }, host) {
      await guest.waitFor(FIRST, BOOT_SECONDS);
      renameSync(host.store(name), host.store('.away'));
      await tell('die');
      await host.waitFor(name, 'paused', BOOT_SECONDS);
      const { running } = (await guest.execute('query-status')) as { running: boolean };
      assert.equal(running, false);
      assert.doesNotMatch(guest.console, SECOND_BOOT);
      renameSync(host.store('.away'), host.store(name));
      await guest.execute('cont');
      await guest.waitFor(SECOND_BOOT, BOOT_SECONDS);
      const [dump, ...others] = dumpsIn(host.store(name));
      assert.ok(dump !== undefined && others.length === 0);
      assert.deepEqual([dump.reason, dump.count, dump.missing, dump.damage], ['Panic', 1, [], []]);
      assert.equal(host.told(name, 'resumed').length, host.told(name, 'paused').length);
      assert.deepEqual(host.told(name, 'refused'), []);
    },
  });
});

test('7.2: the disk hangs: the guest waits its time and boots again, with a device that answers; the record is there in the end', async () => {
  let hangs = '';
  await play({
    name: 'last-words-hang',
    guests: [guest],
    host(directory, guests) {
      hangs = join(directory, 'hangs');
      const preload = join(directory, 'preload.cjs');
      writeFileSync(preload, HANGING);
      return PstoreHost.start(directory, guests, [], { HANGS: hangs, NODE_OPTIONS: `--require ${preload}` });
    },
    async watch({ guest, tell }, host) {
      await guest.waitFor(FIRST, BOOT_SECONDS);
      writeFileSync(hangs, '');
      await tell('die');
      // The whole second boot, with the disk hanging: registers are answered, or QEMU would have ended the connection.
      await guest.waitFor(new RegExp(`${FIRST}[\\s\\S]*${FIRST}`), BOOT_SECONDS);
      assert.match(guest.console, /has not confirmed all records|backend \(virtio\) writing error/);
      assert.deepEqual([host.told(name, 'kept'), host.told(name, 'disconnected')], [[], []]);
      rmSync(hangs);
      await host.waitFor(name, 'kept', BOOT_SECONDS);
      await tell('look');
      await guest.waitFor(READY, BOOT_SECONDS);
      assert.match(guest.console, /^@@ found dmesg-virtio-1 Panic#1 Part1\r?$/m);
      assert.deepEqual(host.told(name, 'disconnected'), []);
    },
  });
});
