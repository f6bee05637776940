import { test } from 'node:test';
import type { RegsReport } from '../../src/report/schema/cpu.js';
import { assertRegisters } from './registers.js';
import { account, exhumeJson, labDumps } from './support.js';

for (const dump of labDumps().filter(({ files }) => /\/dump\./.test(files[0] ?? ''))) {
  test(`${dump.title}: registers are what QEMU said when it wrote the dump`, () => {
    assertRegisters(exhumeJson<RegsReport>(dump, 'regs').answer, account(dump, 'registers.txt'));
  });
}
