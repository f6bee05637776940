/** What a guest says last is on the host when it boots again: our driver in real guests, our device, our store. */

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { PstoreDevice } from '../../src/device/pstore-device.js';
import { type Dump, joinDumps } from '../../src/pstore/dumps.js';
import { findRecords, loadRecord } from '../../src/pstore/node/read.js';
import { HostStore } from '../../src/pstore/node/store.js';
import type { KernelName } from '../kernels.js';
import { withLastWords } from '../last-words.js';
import { READY } from '../markers.js';
import type { Guest } from '../qemu.js';

const BOOT_SECONDS = 240;
const FIRST = '@@ first';
/** The kernel says it after the dumpers, but not in an NMI. */
const REBOOTING = /Rebooting in \d+ seconds/;
const SECOND_BOOT = /Linux version[\s\S]*Linux version/;

/** The first boot dies; the next one lists what it finds, and erases it. */
function script(dies: string): string {
  return `
mount -t pstore -o kmsg_bytes=1048576 pstore /sys/fs/pstore
if [ -z "$(ls /sys/fs/pstore)" ]; then
i=0
while [ $i -lt ${CHATTER} ]; do
  i=$((i + 1))
  echo "<6>line $i $RANDOM$RANDOM$RANDOM $RANDOM$RANDOM$RANDOM $RANDOM$RANDOM$RANDOM $RANDOM$RANDOM$RANDOM" > /dev/kmsg
done
echo "${FIRST}"
sleep 1
${dies}
while :; do sleep 1000; done
fi
for file in /sys/fs/pstore/*; do echo "@@ found \${file##*/} $(head -n 1 $file)"; done
rm /sys/fs/pstore/*
umount /sys/fs/pstore
mount -t pstore pstore /sys/fs/pstore
echo "@@ left $(ls /sys/fs/pstore | wc -l)"
echo "${READY}"
while :; do sleep 1000; done
`;
}

const CHATTER = 600;

interface Death {
  readonly title: string;
  readonly kernel: KernelName;
  readonly bufferSize: number;
  /** The fewest records that it takes. */
  readonly records: number;
  readonly commandLine: readonly string[];
  readonly dies: string;
  /** What is done to the guest when it is ready to die. */
  kill?(guest: Guest): Promise<unknown>;
}

const CRASH = 'echo c > /proc/sysrq-trigger';

const DEATHS: readonly Death[] = [
  { title: 'panic', kernel: '6.1', bufferSize: 16384, records: 2, commandLine: [], dies: CRASH },
  { title: 'panic', kernel: '7.2', bufferSize: 16384, records: 2, commandLine: [], dies: CRASH },
  {
    // More records than can be on their way at once, and out of an interrupt that nothing holds back.
    title: 'panic in an NMI',
    kernel: '7.2',
    bufferSize: 4096,
    records: 9,
    commandLine: ['unknown_nmi_panic=1'],
    dies: '',
    kill: (guest) => guest.execute('inject-nmi'),
  },
];

for (const death of DEATHS) {
  test(`${death.kernel}, ${death.title}: the log is on the host as it was on the console; the next boot erases it`, async () => {
    const name = `last-words-${death.kernel}-${death.title.replaceAll(' ', '-')}`;
    const device = (directory: string): PstoreDevice => {
      return new PstoreDevice(HostStore.open(join(directory, 'store')).guest('guest'), death.bufferSize);
    };
    const commandLine = ['panic=1', 'log_buf_len=1M', ...death.commandLine];
    const words = { name, kernel: death.kernel, commandLine, script: script(death.dies), device };
    await withLastWords(words, async (guest, directory) => {
      const store = join(directory, 'store', 'guest');
      await guest.waitFor(FIRST, BOOT_SECONDS);
      await death.kill?.(guest);
      await guest.waitFor(SECOND_BOOT, BOOT_SECONDS);
      const dumps = joinDumps(findRecords(store).map(loadRecord));
      const [dump] = dumps;
      assert.ok(dump !== undefined && dumps.length === 1, `${dumps.length} dumps`);
      assert.deepEqual([dump.reason, dump.count, dump.missing, dump.damage], ['Panic', 1, [], []]);
      assert.ok(dump.parts.length >= death.records, `${dump.parts.length} records`);
      assert.deepEqual(loggedLines(dump), consoleLines(guest.console));

      await guest.waitFor(READY, BOOT_SECONDS);
      const found = [...guest.console.matchAll(/^@@ found (\S+) (\S+ \S+)\r?$/gm)].map(
        ([, file, head]) => `${file} ${head}`,
      );
      const kept = dump.parts.map(({ id, header }) => `dmesg-virtio-${id} Panic#1 Part${header?.part}`);
      assert.deepEqual(found.sort(), kept.sort());
      assert.match(guest.console, /^@@ left 0\r?$/m);
      assert.throws(() => findRecords(store), /no pstore record/);
    });
  });
}

test('7.2: a host that never answers costs a panic the time of one wait', async () => {
  const commandLine = ['panic=1', 'log_buf_len=1M'];
  let silent = false;
  const device = (directory: string): PstoreDevice => {
    const answering = new PstoreDevice(HostStore.open(join(directory, 'store')).guest('guest'), 4096);
    const handle = answering.handle.bind(answering);
    answering.handle = (chain, memory) => (silent ? new Promise(() => {}) : handle(chain, memory));
    return answering;
  };
  const words = { name: 'last-words-silent', kernel: '7.2', commandLine, script: script(CRASH), device } as const;
  await withLastWords(words, async (guest) => {
    await guest.waitFor(FIRST, BOOT_SECONDS);
    silent = true;
    await guest.waitFor(REBOOTING, BOOT_SECONDS);
    silent = false;
    await guest.waitFor(SECOND_BOOT, BOOT_SECONDS);
    const told = guest.console.match(/has not confirmed all records|backend \(virtio\) writing error/g) ?? [];
    assert.ok(told.length > 0, 'nothing is said of it');
  });
});

/** Without the level that begins each line. */
function loggedLines(dump: Dump): string[] {
  return Buffer.from(dump.text)
    .toString('latin1')
    .trimEnd()
    .split('\n')
    .map((line) => line.replace(/^<\d+>/, ''));
}

/** What the kernel of the first boot said until it called the dumpers; without what its user space said. */
function consoleLines(console: string): string[] {
  const lines = console.split(/\r?\n/).filter((line) => /^\[ *\d+\.\d{6}\]/.test(line));
  const end = lines.findIndex((line, i) => REBOOTING.test(line) || (i > 0 && line.includes('] Linux version ')));
  assert.ok(end > 0);
  return lines.slice(0, end);
}
