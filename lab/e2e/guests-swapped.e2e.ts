/**
 * A guest a part of whose memory its host had swapped out, to three disks of zram that compress in different ways, under
 * QEMU 11: it is what that QEMU dumped before.
 */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { RegsReport } from '../../src/report/schema/cpu.js';
import type { GuestsReport } from '../../src/report/schema/guests.js';
import { sceneDirectory } from '../directories.js';
import { EXHUME } from '../exhume.js';
import { HOSTS, uuidOf } from '../hosts.js';
import { run } from '../shell.js';
import { convert, memoryOf, said, scratchDirectory } from './conversions.js';
import { comparePages } from './pages.js';
import { assertRegisters } from './registers.js';
import { timed } from './support.js';

/** Of the 10240 pages that the host gave up some were QEMU's own. */
const LEAST_SWAPPED = 2000;

const scratch = scratchDirectory();

for (const host of HOSTS) {
  const directory = sceneDirectory(host.name);
  const file = join(directory, 'host.elf');
  const text = (name: string): string => readFileSync(join(directory, name), 'latin1');
  for (const guest of host.guests.filter(({ swapped }) => swapped)) {
    test(`${guest.name}: much of it is in swap, and nothing is lost`, () => {
      const { guests } = said('guests', [file], '--verbose') as GuestsReport;
      const [found, ...others] = guests;
      assert.deepEqual([others, found?.name, found?.process?.uuid], [[], guest.name, uuidOf(guest)]);
      const { swapped, lost } = found?.pages ?? { swapped: 0, lost: undefined };
      assert.ok(swapped > LEAST_SWAPPED && lost === 0, `${swapped} pages in swap, ${lost} lost`);
      const used = text('swaps').match(/^\/dev\/zram\d+\s+partition\s+\d+\s+[1-9]\d*/gm);
      assert.equal(used?.length, 3, text('swaps'));
    });

    test(`${guest.name}: extracted by one thread and by two, it is the memory that its own QEMU dumped`, () => {
      const dump = memoryOf([join(directory, `${guest.name}.elf`)]);
      for (const jobs of ['1', '2']) {
        const out = join(scratch, `${guest.name}.${jobs}`);
        convert(file, out, '--guest', guest.name, '--format', 'elf', '--jobs', jobs);
        const { same, other, missing } = comparePages(memoryOf([out]), dump);
        assert.deepEqual([other, missing], [[], []]);
        assert.ok(same > (guest.megabytes << 8) * 0.9, `${same} pages compared`);
      }
    });

    test(`${guest.name}: its registers are what its own QEMU said, its log is what its console showed`, () => {
      assertRegisters(said('regs', [file], '--guest', guest.name) as RegsReport, text(`${guest.name}.registers`));
      const { stdout } = run(process.execPath, [EXHUME, 'log', file, '--guest', guest.name]);
      const shown = timed(text(`${guest.name}.serial`));
      assert.ok(shown.length > 100);
      assert.deepEqual(timed(stdout), shown);
    });
  }
}
