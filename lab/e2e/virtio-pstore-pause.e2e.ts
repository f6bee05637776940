/** A machine whose last words the disk refuses stands still until somebody has mended that, and loses none of them. */

import assert from 'node:assert/strict';
import { renameSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { CRASH, HEAR, LISTEN, play } from '../last-words.js';
import { PstoreHost } from '../pstore-host.js';
import { BOOT_SECONDS, dumpsIn, FIRST, FOREVER, MOUNT, SECOND_BOOT } from './last-words.js';

const name = 'guest';
const script = `
${MOUNT}
${LISTEN}
echo "${FIRST}"
${HEAR}
${CRASH}
${FOREVER}
`;

test('7.2: the disk fails when the guest panics: the machine is paused, and goes on when the disk does', async () => {
  await play({
    name: 'last-words-pause',
    guests: [
      {
        name,
        kernel: '7.2',
        script,
        commandLine: ['panic=1'],
        listens: true,
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
