/** A guest whose memory is put to every use that a page frame can have: what page classes are compared on. */

import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { labPath } from './directories.js';
import { run } from './shell.js';

const PROGRAM = 'exhume-lab-memory';
// From dist/lab as from lab.
const SOURCE = fileURLToPath(new URL(`../../lab/memory/${PROGRAM}.c`, import.meta.url));

export const MEMORY_MODULES = ['virtio_balloon'];
/** The console's words when the host is to take memory away, and how much. */
export const BALLOON = '@@ balloon';
export const BALLOON_MEGABYTES = 24;

const SWAP_BYTES = 64 << 20;
const FILES_BYTES = 48 << 20;
/** Sizes of files on the disk. */
const FILES: readonly (readonly [name: string, bytes: number])[] = [
  ['large', 8 << 20],
  ['small', 1 << 20],
  ...Array.from({ length: 40 }, (_, number) => [`file${number}`, 5000 + 7000 * number] as const),
];

/** What the guest does; its disks are there in the order of `memoryDisks`. */
export function memoryScript(swapDisk: string, filesDisk: string): string {
  const pages = BALLOON_MEGABYTES * 256;
  return `
mkdir -p /mnt/files /mnt/tmpfs
mkswap ${swapDisk} > /dev/null && swapon ${swapDisk} || echo "@@ failed: swapon"
mount -t ext4 ${filesDisk} /mnt/files || echo "@@ failed: mount"
mount -t tmpfs -o huge=always tmpfs /mnt/tmpfs || echo "@@ failed: tmpfs"
cat /mnt/files/* > /dev/null
dd if=/dev/urandom of=/mnt/files/written bs=4k count=300 2> /dev/null
dd if=/dev/urandom of=/mnt/tmpfs/file bs=1M count=6 2> /dev/null
echo 1 > /sys/kernel/mm/ksm/run
[ -e /sys/kernel/mm/transparent_hugepage/hugepages-64kB ] && echo always > /sys/kernel/mm/transparent_hugepage/hugepages-64kB/enabled
echo 8 > /proc/sys/vm/nr_hugepages
${PROGRAM} /mnt/files > /tmp/memory &
until grep -q '^@@' /tmp/memory; do sleep 0.1; done; cat /tmp/memory
echo "${BALLOON}"
until [ $(awk '$1 == "balloon_inflate" { print $2 }' /proc/vmstat) -ge ${pages} ]; do sleep 0.1; done
`;
}

/** Writes the disk to swap to and the one with files into a directory. */
export function memoryDisks(directory: string): { readonly swap: string; readonly files: string } {
  const swap = join(directory, 'swap.disk');
  writeFileSync(swap, '');
  truncateSync(swap, SWAP_BYTES);
  const source = join(directory, 'files');
  mkdirSync(source);
  for (const [name, bytes] of FILES) writeFileSync(join(source, name), words(name, bytes));
  const files = join(directory, 'files.disk');
  run('mke2fs', ['-q', '-t', 'ext4', '-d', source, files, `${FILES_BYTES >> 10}k`]);
  rmSync(source, { recursive: true });
  return { swap, files };
}

/** Text of which no two pages are alike. */
function words(name: string, bytes: number): string {
  const lines: string[] = [];
  for (let length = 0; length < bytes; ) {
    const line = `${name}: ${length} bytes before this\n`;
    lines.push(line);
    length += line.length;
  }
  return lines.join('').slice(0, bytes);
}

/** Changes when the program does. */
export function memoryDigest(): string {
  return createHash('sha256').update(readFileSync(SOURCE)).digest('hex').slice(0, 16);
}

/** Where the program goes in the guest, and the program, statically linked. */
export function memoryProgram(): readonly [path: string, program: Uint8Array] {
  const built = join(labPath('guest'), `${PROGRAM}-${memoryDigest()}`);
  if (!existsSync(built)) {
    const made = `${built}.making`;
    run('gcc-12', ['-O1', '-static', '-o', made, SOURCE]);
    renameSync(made, built);
  }
  return [`/bin/${PROGRAM}`, readFileSync(built)];
}
