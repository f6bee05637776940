/** Whole logs: a mebibyte of one, and the same panic kept by virtio-pstore and by QEMU's ERST. */

import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { KernelName } from '../kernels.js';
import { CRASH, command, type LastWords, play } from '../last-words.js';
import { READY } from '../markers.js';
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
  PATIENT,
  SECOND_BOOT,
  untilDumped,
} from './last-words.js';

const MEBIBYTE = 1 << 20;

/** Of a mebibyte, in one record or in many; with the mount's option, or with the kernel's own where it has one. */
const LARGE: readonly { kernel: KernelName; bufferSize: number; mount: string; commandLine: readonly string[] }[] = [
  { kernel: '6.1', bufferSize: MEBIBYTE, mount: MOUNT, commandLine: [] },
  {
    kernel: '7.2',
    bufferSize: MEBIBYTE / 8,
    mount: 'mount -t pstore pstore /sys/fs/pstore',
    commandLine: [`pstore.kmsg_bytes=${2 * MEBIBYTE}`],
  },
];

test('a log of a mebibyte is whole on the host, in records of 128 KiB and of 1 MiB', async () => {
  const { files, commandLine: loud, log } = chatter(MEBIBYTE + 100_000);
  await Promise.all(
    LARGE.map(({ kernel, bufferSize, mount, commandLine }) => {
      const script = `
${PATIENT}
${mount}
if [ -z "$(ls /sys/fs/pstore)" ]; then
${log}
echo "${FIRST}"
sleep 1
${CRASH}
${FOREVER}
fi
for file in /sys/fs/pstore/*; do echo "@@ found \${file##*-} $(wc -c < $file)"; done
echo "${READY}"
${FOREVER}
`;
      const words: LastWords = {
        name: `large-${kernel}`,
        kernel,
        script,
        files,
        commandLine: [loud, 'log_buf_len=4M', 'panic=-1', ...commandLine],
      };
      return play({
        name: `last-words-large-${kernel}`,
        guests: [words],
        host: command('--buffer-size', `${bufferSize}`),
        watch: async ({ guest }, host) => {
          await guest.waitFor(SECOND_BOOT, BOOT_SECONDS);
          const store = host.store(words.name);
          const { status, stdout, stderr } = exhume('pstore', 'cat', store);
          assert.equal(status, 0, stderr);
          assert.ok(stdout.length > MEBIBYTE, `${stdout.length} bytes`);
          assertSameLog(loggedLines(Buffer.from(stdout, 'latin1')), untilDumped(bootsOf(guest.console)[0] ?? []));
          const [{ parts } = assert.fail('no dump')] = dumpsIn(store);
          assert.equal(parts.length === 1, bufferSize === MEBIBYTE, `${parts.length} records`);
          // The next boot gets them all back.
          await guest.waitFor(READY, BOOT_SECONDS);
          const found = [...guest.console.matchAll(/^@@ found (\d+ \d+)\r?$/gm)].map(([, record]) => record);
          assert.deepEqual(found.sort(), parts.map(({ id, text }) => `${id} ${text.length}`).sort());
        },
      });
    }),
  );
});

/** The next boot shows the files that it finds on the second serial port. */
const TELLING = `
stty -F /dev/ttyS1 raw
${MOUNT}
if [ -z "$(ls /sys/fs/pstore)" ]; then
echo "${FIRST}"
sleep 1
${CRASH}
${FOREVER}
fi
cd /sys/fs/pstore
for file in *; do echo "==> $file" > /dev/ttyS1; cat $file > /dev/ttyS1; done
echo "${READY}"
${FOREVER}
`;

const PEERS: Readonly<Record<string, Partial<LastWords>>> = {
  virtio: {},
  erst: {
    without: true,
    commandLine: ['pstore.backend=erst'],
    qemu: (directory) => [
      ...['-object', `memory-backend-file,id=erst,share=on,size=1M,mem-path=${join(directory, 'erst.memory')}`],
      ...['-device', 'acpi-erst,memdev=erst'],
    ],
  },
};

test('what virtio-pstore and ERST keep of the same panic is the same, and what the console showed', async () => {
  const texts = new Map<string, string[]>();
  await play({
    name: 'last-words-peers',
    guests: Object.entries(PEERS).map(([name, peer]) => ({
      name,
      kernel: '7.2',
      script: TELLING,
      ...peer,
      commandLine: ['panic=-1', 'nokaslr', ...(peer.commandLine ?? [])],
      qemu: (directory) => [
        ...['-chardev', `file,id=found,path=${join(directory, `${name}.found`)}`, '-serial', 'chardev:found'],
        ...(peer.qemu?.(directory) ?? []),
      ],
    })),
    host: command(),
    watch: async ({ guest, words, directory }, host) => {
      await guest.waitFor(READY, BOOT_SECONDS);
      const copied = join(directory, `${words.name}.copied`);
      mkdirSync(copied);
      const found = readFileSync(join(directory, `${words.name}.found`), 'latin1').split(/^==> (.*)\n/m);
      for (let i = 1; i < found.length; i += 2) {
        writeFileSync(join(copied, found[i] ?? ''), found[i + 1] ?? '', 'latin1');
      }
      const { status, stdout, stderr } = exhume('pstore', 'cat', copied);
      assert.equal(status, 0, stderr);
      const lines = loggedLines(Buffer.from(stdout, 'latin1'));
      assertSameLog(lines, untilDumped(bootsOf(guest.console)[0] ?? []));
      if (words.name === 'virtio') assertSameLog(loggedLines(dumpsIn(host.store('virtio'))[0]?.text ?? ''), lines);
      texts.set(words.name, lines);
    },
  });
  const [virtio = [], erst = []] = Object.keys(PEERS).map((name) => panicIn(texts.get(name) ?? []));
  assert.ok(virtio.length > 10);
  assert.deepEqual(erst, virtio);
});

/** A panic's lines, without what no two panics have in common: times, and what registers hold and the stack is left with. */
function panicIn(lines: readonly string[]): string[] {
  const start = lines.findIndex((line) => line.includes('Kernel panic'));
  return lines
    .slice(start)
    .filter((line) => !/\] {2}\? /.test(line))
    .map((line) => line.replace(/^\[ *\d+\.\d+\] /, ''))
    .map((line) => line.replace(/\b(?:[0-9a-f]{16}|PID: \d+)\b/g, '…'));
}
