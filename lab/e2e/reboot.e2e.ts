/** Memory survives a reset: what an earlier boot left must not be taken for the kernel of the dump. */

import assert from 'node:assert/strict';
import { closeSync, copyFileSync, mkdtempSync, openSync, readSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Report } from '../../src/report/schema/report.js';
import { run } from '../shell.js';
import { account, exhumeJson, type LabDump, labDumps, present } from './support.js';

const dumps = labDumps().filter(({ truth }) => truth.ending === 'rebooted');

function isTheSecondBoot(dump: LabDump, title: string): void {
  const { answer } = exhumeJson<Report>(dump, 'report');
  const kernel = present(answer.kernel);
  const { uptime, panicMessage } = present(answer.crash);
  const first = /Kernel Offset: (0x[0-9a-f]+)/.exec(account(dump, 'serial.first.log'))?.[1];
  assert.notEqual(
    first,
    dump.truth.kernelOffset,
    `${title}: by chance both boots are at one place: make the scene again`,
  );
  assert.equal(kernel.kaslrOffset, dump.truth.kernelOffset, `${title}: the KASLR offset of the first boot is ${first}`);
  assert.equal(kernel.role, 'running', title);
  assert.equal(panicMessage, null, title);
  // The guest told its own shortly before the dump.
  const told = dump.truth.uptime ?? 0;
  assert.ok(
    uptime !== null && uptime >= Math.floor(told) && uptime < told + 10,
    `${title}: up ${uptime} s, told ${told}`,
  );
}

for (const dump of dumps) {
  test(`${dump.title}: the kernel is that of the second boot`, () => isTheSecondBoot(dump, dump.title));
}

test('so it is with no notes, no registers and no VMCOREINFO: only page tables of both boots are left', () => {
  const images = dumps.filter(({ title }) => title.endsWith('.raw'));
  assert.ok(images.length > 0);
  for (const dump of images) {
    const directory = mkdtempSync(join(tmpdir(), 'exhume-'));
    try {
      const copy = join(directory, 'memory.raw');
      copyFileSync(dump.files[0] ?? '', copy);
      assert.ok(wipeVmcoreinfo(copy) > 0, `${dump.title} has VMCOREINFO`);
      run('fallocate', ['--dig-holes', copy]);
      isTheSecondBoot({ ...dump, files: [copy] }, `${dump.title} without VMCOREINFO`);
    } finally {
      rmSync(directory, { recursive: true });
    }
  }
});

/** Fills pages that begin as VMCOREINFO does with zeros, and returns how many. */
function wipeVmcoreinfo(path: string): number {
  const file = openSync(path, 'r+');
  const chunk = Buffer.alloc(4 << 20);
  const page = Buffer.alloc(4096);
  let wiped = 0;
  try {
    for (let at = 0; ; at += chunk.length) {
      const length = readSync(file, chunk, 0, chunk.length, at);
      if (length === 0) return wiped;
      for (let within = chunk.indexOf(FIRST_LINE); within >= 0; within = chunk.indexOf(FIRST_LINE, within + 1)) {
        if (within % 4096 !== 0 || within >= length) continue;
        writeSync(file, page, 0, page.length, at + within);
        wiped++;
      }
    }
  } finally {
    closeSync(file);
  }
}

const FIRST_LINE = 'OSRELEASE=';
