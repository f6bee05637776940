/** With new headers alone, the other readers open what QEMU wrote and they refused or misread. */

import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { openDumpFiles } from '../../src/dump/node.js';
import { openSubject, requireKernel } from '../../src/report/subject.js';
import { inForky } from '../chroot.js';
import { type KernelName, kernel, vmlinux } from '../kernels.js';
import { CRASH_MINIMAL, crashLog, drgnLog } from '../peers.js';
import { run } from '../shell.js';
import { exhume, type LabDump, labDumps } from './support.js';

const directory = mkdtempSync(join(tmpdir(), 'exhume-written-'));
after(() => rmSync(directory, { recursive: true }));

const dumps = labDumps();

const CASES = ['panic-6.1/dump.elf', 'panic-7.2-bare/dump.elf', 'panic-7.2-bare/dump.kdump'];

for (const title of CASES) {
  test(`${title} with new headers: crash, drgn, libkdumpfile and makedumpfile read it, with the same log`, () => {
    const dump = named(title);
    for (const file of readdirSync(directory)) rmSync(join(directory, file));
    const path = join(directory, 'written');
    const { status, stderr } = exhume(dump, 'convert', path, '--fix-only');
    assert.equal(status, 0, stderr);
    const name: KernelName = dump.truth.scene.includes('7.2') ? '7.2' : '6.1';
    const image = vmlinux(name);
    const log = words(exhume(dump, 'log').stdout);
    assert.ok(log.length > 300);
    assert.deepEqual(words(drgnLog(path, image)), log, 'drgn');
    assert.deepEqual(words(crashLog(path, image, name === '7.2' ? CRASH_MINIMAL : [])), log, 'crash');

    const forky = (command: string, ...args: string[]) => {
      const { command: program, args: all } = inForky([directory], command, args);
      return run(program, all, { timeoutSeconds: 300, label: command }).stdout;
    };
    assert.match(
      forky('kdumpid', path),
      new RegExp(`Arch: x86_64\\nVersion: ${kernel(name).release.replace('+', '\\+')}`),
    );
    const text = join(directory, 'dmesg');
    forky('makedumpfile', '--dump-dmesg', path, text);
    assert.deepEqual(words(readFileSync(text, 'utf8')), log, 'makedumpfile --dump-dmesg');
    const filtered = join(directory, 'filtered');
    forky('makedumpfile', '-c', '-d', '31', path, filtered);
    assert.ok(statSync(filtered).size > 1_000_000);
    const again = openSubject(openDumpFiles([filtered]));
    assert.equal(requireKernel(again).release, dump.truth.kernelRelease);
  });
}

/** The messages of a log without times, callers and indents, which the readers print each in their own way; crash talks before. */
function words(log: string): string[] {
  const lines = log
    .trimEnd()
    .split('\n')
    .map((line) => line.replace(/^\[ *\d+\.\d{6}\] (?:\[ *[TC]\d+\] )?/, '').trim());
  return lines.slice(lines.findIndex((line) => line.startsWith('Linux version ')));
}

function named(title: string): LabDump {
  const dump = dumps.find((candidate) => candidate.title === title);
  assert.ok(dump, `${title} is not among the dumps`);
  return dump;
}
