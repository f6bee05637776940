/** Cores of QEMU processes, compared with what QEMU itself said of the guest that it had stopped. */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Pfn } from '../../src/bytes/address.js';
import { openDumpFiles } from '../../src/node.js';
import type { RegsReport } from '../../src/report/schema/cpu.js';
import type { InfoReport } from '../../src/report/schema/info.js';
import { CORES, type Core, DIMM_MEGABYTES } from '../cores.js';
import { labDirectory, sceneDirectory } from '../directories.js';
import { EXHUME } from '../exhume.js';
import { run } from '../shell.js';
import { memoryOf, said } from './conversions.js';
import { comparePages } from './pages.js';
import { assertRegisters } from './registers.js';
import { timed } from './support.js';

/** Pages that a guest of these sizes has written, at least: zero pages prove little. */
const WRITTEN = 5000;

for (const core of CORES) {
  const directory = sceneDirectory(core.name);
  const path = (name: string): string => join(directory, name);
  const text = (name: string): string => readFileSync(path(name), 'latin1');
  // Shared with a file, memory is not in the core.
  const files = core.backend === 'file' ? [path('core'), path('memory')] : [path('core')];

  test(`${core.name}: registers are what QEMU said`, () => {
    assertRegisters(said('regs', files) as RegsReport, text('info-registers'));
  });

  test(`${core.name}: the process tells of itself, and what ended it`, () => {
    const { stdout } = run(process.execPath, [EXHUME, 'info', '--json', path('core')], { accept: [0, 1] });
    const { file } = JSON.parse(stdout) as InfoReport;
    const { process: qemu } = file;
    if (qemu === null) assert.fail('no process');
    assert.ok(qemu.commandLine.includes(core.name));
    assert.equal(qemu.accelerator, 'TCG');
    // gcore takes a copy of a process that goes on.
    assert.equal(qemu.death?.signal, core.by === 'kernel' ? 'SIGABRT' : undefined);
  });

  test(`${core.name}: what QEMU's program exports leads to the same blocks and CPUs`, () => {
    // That of 11.1 is not where its core says: it ran in another root.
    const program = core.qemu === '7.2' ? [] : ['--part', join(labDirectory, 'forky/usr/bin/qemu-system-x86_64')];
    const { stdout } = run(process.execPath, [EXHUME, 'info', '--json', path('core'), ...program], { accept: [0, 1] });
    const { header } = JSON.parse(stdout) as InfoReport;
    const told = header.map(({ name, value, note }) => `${name}: ${value} (${note ?? ''})`).join('\n');
    assert.match(told, /^QEMU's program: build [0-9a-f]{40} /m);
    assert.match(told, /^guest memory: the same \d+ blocks \(ram_list of QEMU's program\)$/m);
    assert.match(told, /^CPU states: .*, as in the list of CPUs that QEMU's program exports /m);
  });

  if (core.backend === 'nodump') testLeftOut(core, files);
  else testWhole(core, files, path('dump.elf'), text('serial.log'));
  if (core.backend === 'file') testLeftOut(core, [path('core')]);
}

function testWhole(core: Core, files: readonly string[], dump: string, console: string): void {
  test(`${core.name}: memory is what QEMU dumped, page by page`, () => {
    const qemu = memoryOf([dump]);
    const { same, other, missing } = comparePages(openDumpFiles(files).memory, qemu);
    assert.deepEqual({ other, missing }, { other: [], missing: [] });
    const megabytes = core.megabytes + (core.backend === 'dimm' ? DIMM_MEGABYTES : 0);
    assert.ok(same >= (megabytes << 8) - 256 && same > WRITTEN, `${same} pages`);
  });

  test(`${core.name}: the log is what the console showed`, () => {
    const [file = '', ...parts] = files;
    const args = ['log', ...parts.flatMap((part) => ['--part', part]), file];
    const shown = timed(console);
    assert.ok(shown.length > 100);
    assert.deepEqual(timed(run(process.execPath, [EXHUME, ...args]).stdout), shown);
  });
}

function testLeftOut(core: Core, files: readonly string[]): void {
  test(`${core.name}: what is not in the core is said, with the way to have it`, () => {
    const { status, stdout } = run(process.execPath, [EXHUME, 'info', ...files], { accept: [1] });
    assert.equal(status, 1);
    const words = stdout.replace(/\s+/g, ' ');
    assert.match(
      words,
      core.backend === 'file' ? /not in the core: .*--part FILE/ : /not in the core: .*dump-guest-core=on/,
    );
    assert.notEqual(openDumpFiles(files).memory.state(0x200 as Pfn), 'present');
  });
}
