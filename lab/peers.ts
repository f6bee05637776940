/**
 * The other readers of dumps, each with the vmlinux that it needs: what exhume is compared to.
 *
 * A peer that cannot read a dump throws; which can read what is in docs/lab.md.
 */

import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Command, inForky } from './chroot.js';
import { run } from './shell.js';

/** bookworm's crash 8.0.2, or forky's 9.0.2. */
export type CrashName = 'bookworm' | 'forky';

const TIMEOUT_SECONDS = 300;

/** Helps crash where it gives up otherwise (kernel 7.2): no more than the log, symbols and memory. */
export const CRASH_MINIMAL = ['--minimal'];

/** Helps drgn where a dump does not name its architecture (kdump files from QEMU 11). */
export const DRGN_ARCHITECTURE = ['--architecture', 'x86_64'];

/** How to run crash commands on a dump; they are read from standard input. */
export function crashCommand(by: CrashName, dump: string, vmlinux: string, options: readonly string[] = []): Command {
  const args = [...options, '-s', '-i', '/dev/stdin', vmlinux, dump];
  return by === 'forky' ? inForky(directories(dump, vmlinux), 'crash', args) : { command: 'crash', args };
}

/** What crash prints for some commands. */
export function crash(
  by: CrashName,
  dump: string,
  vmlinux: string,
  commands: readonly string[],
  options: readonly string[] = [],
): string {
  const { command, args } = crashCommand(by, dump, vmlinux, options);
  const input = [...commands, 'quit', ''].join('\n');
  const finished = run(command, args, { input, timeoutSeconds: TIMEOUT_SECONDS, label: 'crash' });
  return finished.stdout;
}

/** The kernel log as crash prints it. */
export function crashLog(dump: string, vmlinux: string, options: readonly string[] = []): string {
  return crash('forky', dump, vmlinux, ['log'], options);
}

/** The dump's header fields as crash prints them. */
export function crashHelpN(dump: string, vmlinux: string, options: readonly string[] = []): string {
  return crash('forky', dump, vmlinux, ['help -n'], options);
}

/** The registers in the dump's header as crash prints them. */
export function crashHelpR(dump: string, vmlinux: string, options: readonly string[] = []): string {
  return crash('forky', dump, vmlinux, ['help -r'], options);
}

/** How to run a Python program in drgn on a dump. */
export function drgnCommand(dump: string, vmlinux: string, program: string, options: readonly string[] = []): Command {
  const args = [...options, '-q', '-c', dump, '-s', vmlinux, '-e', program];
  return inForky(directories(dump, vmlinux), 'drgn', args);
}

/** The kernel log as drgn prints it. */
export function drgnLog(dump: string, vmlinux: string, options: readonly string[] = []): string {
  const program = 'from drgn.helpers.linux.printk import print_dmesg; print_dmesg()';
  const { command, args } = drgnCommand(dump, vmlinux, program, options);
  return run(command, args, { timeoutSeconds: TIMEOUT_SECONDS, label: 'drgn' }).stdout;
}

// From dist/lab as from lab.
const WALKS = fileURLToPath(new URL('../../lab/peer-drgn.py', import.meta.url));

/** Tasks with their stacks, mounts, files and the like, as JSON: `lab/peer-drgn.py`. */
export function drgnWalks(dump: string, vmlinux: string, moduleFiles: readonly string[], brief: boolean): string {
  const symbols = [vmlinux, ...moduleFiles].flatMap((file) => ['-s', file]);
  const seen = directories(dump, vmlinux, ...moduleFiles, WALKS);
  const { command, args } = inForky(seen, 'drgn', ['-q', '-c', dump, ...symbols, WALKS, ...(brief ? ['brief'] : [])]);
  return run(command, args, { timeoutSeconds: TIMEOUT_SECONDS, label: 'drgn' }).stdout;
}

function directories(...paths: readonly string[]): string[] {
  return [...new Set(paths.map((path) => dirname(path)))];
}
