/** What the tests of conversions share. */

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, rmSync } from 'node:fs';
import { after } from 'node:test';
import type { Pfn } from '../../src/bytes/address.js';
import { joinRanges, type PhysicalMemory } from '../../src/dump/memory.js';
import { openDumpFiles } from '../../src/dump/node.js';
import type { ConvertReport } from '../../src/report/schema/convert.js';
import { labPath } from '../directories.js';
import { EXHUME } from '../exhume.js';
import { run } from '../shell.js';

/** A directory for what a test writes, gone afterwards. */
export function scratchDirectory(): string {
  const scratch = labPath('scratch', `convert-${process.pid}`);
  mkdirSync(scratch, { recursive: true });
  after(() => rmSync(scratch, { recursive: true }));
  return scratch;
}

/** Runs `exhume convert`. */
export function convert(...args: readonly string[]): ConvertReport {
  const finished = run(process.execPath, [EXHUME, 'convert', '--json', ...args], { accept: [0, 1] });
  return JSON.parse(finished.stdout);
}

/** The memory of a dump, or of the files of a split one. */
export function memoryOf(files: readonly string[], raw = false): PhysicalMemory {
  return openDumpFiles(files, raw ? { format: 'raw' } : {}).memory;
}

/** The same, with all its pages kept once they were read: for what many others are compared with. */
export function keptMemoryOf(file: string, raw = false): PhysicalMemory {
  return openDumpFiles([file], { cacheBytes: 2 ** 30, ...(raw ? { format: 'raw' } : {}) }).memory;
}

/** QEMU describes the firmware as the last MiB below 4 GiB. */
export const FIRMWARE = 0xfff00;

/** How many pages are the same; fails for the first one that is not. */
export function samePages(one: PhysicalMemory, other: PhysicalMemory): number {
  let same = 0;
  // What neither of them describes is absent in both.
  for (const { start, end } of joinRanges([...one.ranges(), ...other.ranges()])) {
    for (let pfn = Math.floor(start / 4096); pfn < end / 4096; pfn++) {
      const [before, now] = [one.page(pfn as Pfn), other.peek(pfn as Pfn)];
      // The firmware, which the kernel does not know, is in no kdump file.
      if (pfn >= FIRMWARE && now === 'absent') continue;
      if (typeof before === 'string' || typeof now === 'string') assert.equal(now, before, `page ${pfn}`);
      else if (Buffer.compare(before, now) === 0) same++;
      else assert.fail(`page ${pfn} is another one`);
    }
  }
  return same;
}

/** What exhume says, without what is about the file. */
export function said(command: string, files: readonly string[], ...options: readonly string[]): unknown {
  const [first = '', ...parts] = files;
  const args = [EXHUME, command, '--json', ...parts.flatMap((part) => ['--part', part]), first, ...options];
  const { stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8', maxBuffer: 1 << 28 });
  assert.notEqual(stdout, '', stderr);
  const { file, evidence, damage, complete, ...answer } = JSON.parse(stdout);
  return answer;
}
