import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { RegsReport } from '../../src/report/schema/cpu.js';
import { account, exhumeJson, labDumps, present } from './support.js';

/** `RAX=00000001f14b01d9`, `R8 =…`, `CR3=…` of QEMU's `info registers -a`, one map a CPU. */
function qemuRegisters(text: string): Map<string, bigint>[] {
  return text
    .split(/^CPU#\d+$/m)
    .slice(1)
    .map((block) => {
      const registers = new Map<string, bigint>();
      for (const [, name, value] of block.matchAll(/\b([A-Z][A-Z0-9]{1,2}) *=([0-9a-f]{8,16})\b/g)) {
        registers.set((name ?? '').toLowerCase(), BigInt(`0x${value}`));
      }
      return registers;
    });
}

const GENERAL = [
  'rax',
  'rbx',
  'rcx',
  'rdx',
  'rsi',
  'rdi',
  'rbp',
  'rsp',
  'r8',
  'r9',
  'r10',
  'r11',
  'r12',
  'r13',
  'r14',
  'r15',
  'rip',
];
const CONTROL = ['cr0', 'cr2', 'cr3', 'cr4'];

for (const dump of labDumps().filter(({ files }) => /\/dump\./.test(files[0] ?? ''))) {
  test(`${dump.title}: registers are what QEMU said when it wrote the dump`, () => {
    const { answer } = exhumeJson<RegsReport>(dump, 'regs');
    const expected = qemuRegisters(account(dump, 'registers.txt'));
    assert.equal(answer.cpus.length, expected.length);
    answer.cpus.forEach((cpu, index) => {
      const found = new Map(
        [...present(cpu.registers), ...cpu.control].map(({ name, value }) => [name, BigInt(value)]),
      );
      let compared = 0;
      for (const name of [...GENERAL, ...CONTROL]) {
        // QEMU shows 16-bit and 32-bit CPUs by other names (EAX, EIP).
        const told = expected[index]?.get(name);
        if (told === undefined) continue;
        assert.equal(found.get(name), told, `CPU ${index} ${name}`);
        compared++;
      }
      assert.ok(compared >= CONTROL.length, `CPU ${index}: ${compared} registers compared`);
    });
  });
}
