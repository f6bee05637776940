/** A guest that dies again and again: the first oops stays, and the host's limits hold. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CRASH, command, HEAR, LISTEN, OOPS, play } from '../last-words.js';
import { READY } from '../markers.js';
import { BOOT_SECONDS, dumpsIn, exhume, FOREVER, MOUNT, PATIENT } from './last-words.js';

const PANICS = 10;
const KEEP_FIRST = 3;
const KEEP_LAST = 4;
/** For ten panics and little more; there is next to nothing for each second. */
const BURST = 384 << 10;

/** The first boot oopses. Then each panics when it is told to; in the end it oopses until the host has enough. */
const LOOP = `
${LISTEN}
${PATIENT}
${MOUNT}
[ -z "$(ls /sys/fs/pstore)" ] && ${OOPS}
echo "@@ boot"
${HEAR}
[ "$word" = panic ] && ${CRASH}
until dmesg | grep 'the host refused'; do ${OOPS}; done
echo "${READY}"
${FOREVER}
`;

test('ten panics in a row: the first oops is kept, and the last panics, no more than the policy allows; too much is refused', async () => {
  await play({
    name: 'last-words-loop',
    guests: [{ name: 'guest', kernel: '6.1', script: LOOP, commandLine: ['panic=-1'], listens: true }],
    host: command(
      ...['--keep-first', `${KEEP_FIRST}`, '--keep-last', `${KEEP_LAST}`],
      ...['--burst', `${BURST}`, '--rate', '1'],
    ),
    watch: async ({ guest, words, tell }, host) => {
      for (let panics = 0; panics <= PANICS; panics++) {
        await guest.waitFor(new RegExp(`(?:@@ boot[^]*){${panics + 1}}`), BOOT_SECONDS);
        if (panics < PANICS) await tell('panic');
      }
      const store = host.store(words.name);
      const written = host.told(words.name, 'kept');
      assert.ok(written.length > PANICS, `${written.length} records were written`);
      const ids = written.map(({ id }) => id);
      assert.deepEqual(
        ids,
        ids.map((_, i) => i + 1),
      );
      const dumps = dumpsIn(store);
      const kept = dumps.flatMap(({ parts }) => parts.map(({ id }) => Number(id))).sort((a, b) => a - b);
      assert.deepEqual(kept, [...ids.slice(0, KEEP_FIRST), ...ids.slice(-KEEP_LAST)]);
      assert.deepEqual([dumps[0]?.reason, dumps[0]?.count], ['Oops', 1]);
      assert.equal(dumps.at(-1)?.reason, 'Panic');
      assert.match(exhume('report', store).stdout, /sysrq triggered crash/);

      await tell('storm');
      await guest.waitFor(READY, BOOT_SECONDS);
      // -EBUSY
      assert.match(guest.console, /the host refused \d+ records: error -16/);
      assert.ok(host.told(words.name, 'refused').every(({ why }) => why === 'rate'));
      const bytes = host.told(words.name, 'kept').reduce((sum, { bytes }) => sum + bytes, 0);
      // A byte for each second.
      assert.ok(bytes > BURST / 2 && bytes < BURST + 3600, `${bytes} bytes were written`);
      assert.deepEqual(dumpsIn(store)[0]?.reason, 'Oops');
    },
  });
});
