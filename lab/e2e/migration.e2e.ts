/** Migration streams, compared with what QEMU said of the guest at the same moment. */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { openDumpFiles } from '../../src/node.js';
import type { RegsReport } from '../../src/report/schema/cpu.js';
import { sceneDirectory } from '../directories.js';
import { EXHUME } from '../exhume.js';
import { run } from '../shell.js';
import { STREAMS } from '../streams.js';
import { memoryOf, said } from './conversions.js';
import { comparePages } from './pages.js';
import { assertRegisters } from './registers.js';
import { timed } from './support.js';

for (const streams of STREAMS) {
  const path = (name: string): string => join(sceneDirectory(streams.name), name);
  const text = (name: string): string => readFileSync(path(name), 'latin1');
  for (const kind of [...streams.kinds, 'libvirt.save', 'savevm.qcow2']) {
    // The running guest went on after its snapshot; all others are made from that.
    const moment = kind === 'stream' ? 'dump' : 'savevm';

    test(`${streams.name}/${kind}: memory is what QEMU dumped, page by page`, () => {
      const { same, other, missing } = comparePages(
        openDumpFiles([path(kind)]).memory,
        memoryOf([path(`${moment}.elf`)]),
      );
      assert.deepEqual({ other, missing }, { other: [], missing: [] });
      assert.ok(same >= (streams.megabytes << 8) - 256, `${same} pages`);
    });

    test(`${streams.name}/${kind}: registers are what QEMU said`, () => {
      assertRegisters(said('regs', [path(kind)]) as RegsReport, text(`${moment}.registers`));
    });

    test(`${streams.name}/${kind}: the log is what the console showed`, () => {
      const shown = timed(text('serial.log'));
      assert.ok(shown.length > 100);
      assert.deepEqual(timed(run(process.execPath, [EXHUME, 'log', path(kind)]).stdout), shown);
    });
  }
}
