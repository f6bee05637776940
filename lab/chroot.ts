/**
 * Debian forky in a directory: QEMU 11, and the newest crash, drgn and makedumpfile.
 *
 * Every command gets its own mount namespace. Nothing stays mounted, so the directory is always safe to delete.
 */

import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { mirror } from './apt.js';
import { labDirectory, labPath } from './directories.js';
import { run, say } from './shell.js';

const SUITE = 'forky';
const PACKAGES = [
  'qemu-system-x86',
  'seabios',
  'ovmf',
  'crash',
  'makedumpfile',
  'libkdumpfile-utils',
  'python3-pykdumpfile',
  'python3-drgn',
  'python3-snappy',
  'trace-cmd',
];

/** What modules for forky's kernels are built with. */
const TOOLS = ['gcc', 'make', 'pahole', 'dkms'];

const root = join(labDirectory, SUITE);
/** Where its files are in this machine. */
export const forkyRoot = root;
/** Holds the list of what was installed. */
const stamp = join(root, '.exhume-lab');
const installed = `${PACKAGES.join('\n')}\n`;

export interface Command {
  readonly command: string;
  readonly args: readonly string[];
}

/** A command that runs in the chroot and sees the given directories of the machine at their own paths. */
export function inForky(directories: readonly string[], command: string, args: readonly string[]): Command {
  const script = [
    'set -e',
    'root=$1; shift',
    'for d in proc sys dev; do mount --rbind /$d "$root/$d"; done',
    'while [ "$1" != -- ]; do mkdir -p "$root$1"; mount --bind "$1" "$root$1"; shift; done; shift',
    'exec chroot "$root" "$@"',
  ].join('\n');
  return {
    command: 'unshare',
    args: ['--mount', 'sh', '-c', script, 'sh', root, ...directories, '--', command, ...args],
  };
}

/** Makes the chroot, once. */
export function installForky(): void {
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === installed) return;
  if (!existsSync(join(root, 'usr/bin/apt-get'))) {
    say(`debootstrap ${SUITE}`);
    // bookworm's debootstrap does not know forky by name; the script for sid is the same.
    const script = '/usr/share/debootstrap/scripts/sid';
    const cache = `--cache-dir=${labPath('downloads', 'debootstrap')}`;
    run('debootstrap', ['--variant=minbase', cache, SUITE, root, mirror().archive, script]);
  }
  say(`installing ${PACKAGES.join(' ')} in ${SUITE}`);
  // The same as for our own index: see apt.ts.
  apt('-o', 'Acquire::Check-Valid-Until=false', 'update');
  apt('install', '-y', '--no-install-recommends', ...PACKAGES);
  writeFileSync(stamp, installed);
}

/** Adds what is needed to build modules, once. */
export function installForkyTools(): void {
  if (TOOLS.every((tool) => ['bin', 'sbin'].some((directory) => existsSync(join(root, 'usr', directory, tool)))))
    return;
  say(`installing ${TOOLS.join(' ')} in ${SUITE}`);
  apt('install', '-y', '--no-install-recommends', ...TOOLS);
}

function apt(...args: string[]): void {
  const { command, args: all } = inForky([], 'env', ['DEBIAN_FRONTEND=noninteractive', 'apt-get', '-q', ...args]);
  run(command, all);
}
