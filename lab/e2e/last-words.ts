/** What the tests of virtio-pstore share: the scripts of guests that die, their consoles, and their records. */

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { randomInt } from 'node:crypto';
import type { Dump } from '../../src/pstore/dumps.js';
import { joinDumps } from '../../src/pstore/dumps.js';
import { findRecords, loadRecord } from '../../src/pstore/node/read.js';
import { EXHUME } from '../exhume.js';

export const BOOT_SECONDS = 240;
export const FIRST = '@@ first';
/** The kernel says it after the dumpers, but not in an NMI, and not when it does not wait. */
export const REBOOTING = /Rebooting in \d+ seconds/;
export const SECOND_BOOT = /Linux version[\s\S]*Linux version/;
/** The last line of an oops. */
export const OOPSED = /---\[ end trace [0-9a-f]+ \]---/;

/** The whole log is wanted: 6.1 has no module parameter for it. */
export const MOUNT = 'mount -t pstore -o kmsg_bytes=16777216 pstore /sys/fs/pstore';
/** On a busy machine the host takes its time: the driver's wait is not what is looked at. */
export const PATIENT = 'echo 60000 > /sys/module/virtio_pstore/parameters/timeout_ms';
export const FOREVER = 'while :; do sleep 1000; done';

const LINE = 100;

/**
 * A file of lines for a log of about so many bytes, and how a guest logs it. They compress like most logs do: what does
 * not fit into a record when it is compressed, the kernel cuts.
 */
export function chatter(bytes: number): { files: ReadonlyMap<string, Uint8Array>; commandLine: string; log: string } {
  // The kernel adds the time.
  const lines = Math.floor(bytes / (LINE + 15));
  const line = (): string => {
    const digits = Array.from({ length: 11 }, () => `${randomInt(1e8)}`.padEnd(8, '0')).join(' ');
    return `${digits.padEnd(LINE - 1, '.')}\n`;
  };
  return {
    files: new Map([['/chatter', Buffer.from(Array.from({ length: lines }, line).join(''))]]),
    commandLine: 'printk.devkmsg=on',
    // Each write is a line of the log.
    log: `dd if=/chatter of=/dev/kmsg bs=${LINE} 2> /dev/null`,
  };
}

/** A guest's dumps, as they are on the host. */
export function dumpsIn(store: string): Dump[] {
  return joinDumps(findRecords(store).map(loadRecord));
}

/** Without the level that begins each line. */
export function loggedLines(text: Uint8Array | string): string[] {
  return Buffer.from(text)
    .toString('latin1')
    .trimEnd()
    .split('\n')
    .map((line) => line.replace(/^<\d+>/, ''));
}

/** What the kernel said in each of its boots, without what its user space said. */
export function bootsOf(console: string): string[][] {
  const boots: string[][] = [];
  for (const line of console.split(/\r?\n/)) {
    if (!/^\[ *\d+\.\d{6}\]/.test(line)) continue;
    if (line.includes('] Linux version ')) boots.push([]);
    boots.at(-1)?.push(line);
  }
  return boots;
}

/** Until the line that matches, with it. */
export function upTo(lines: readonly string[], last: RegExp): string[] {
  const end = lines.findIndex((line) => last.test(line));
  assert.ok(end > 0, `no ${last} among ${lines.length} lines`);
  return lines.slice(0, end + 1);
}

/** What a boot said until it called the dumpers in its panic. */
export function untilDumped(lines: readonly string[]): string[] {
  const end = lines.findIndex((line) => REBOOTING.test(line));
  return end < 0 ? [...lines] : lines.slice(0, end);
}

/** Of logs that differ it shows where they begin to. */
export function assertSameLog(found: readonly string[], said: readonly string[]): void {
  const at = said.findIndex((line, i) => line !== found[i]);
  if (at < 0 && found.length === said.length) return;
  const around = (lines: readonly string[]): readonly string[] => lines.slice(Math.max(0, at - 1), at + 2);
  assert.deepEqual([found.length, ...around(found)], [said.length, ...around(said)], `line ${at}`);
}

/** Runs an exhume command to its end. */
export function exhume(...words: readonly string[]): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(process.execPath, [EXHUME, ...words], { encoding: 'latin1', maxBuffer: 64 << 20 });
}
