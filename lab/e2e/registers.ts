/** What QEMU says of a guest's registers, compared with what exhume says. */

import assert from 'node:assert/strict';
import type { RegsReport } from '../../src/report/schema/cpu.js';
import { present } from './support.js';

/** `RAX=00000001f14b01d9`, `R8 =…`, `CR3=…` of QEMU's `info registers -a`, one map a CPU. */
export function qemuRegisters(text: string): Map<string, bigint>[] {
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

const GENERAL = ['rax', 'rbx', 'rcx', 'rdx', 'rsi', 'rdi', 'rbp', 'rsp', 'rip'];
const MORE_GENERAL = ['r8', 'r9', 'r10', 'r11', 'r12', 'r13', 'r14', 'r15'];
export const CONTROL = ['cr0', 'cr2', 'cr3', 'cr4'];

/** Every general and control register, or those that are named, of every CPU. */
export function assertRegisters(
  answer: RegsReport,
  infoRegisters: string,
  names: readonly string[] = [...GENERAL, ...MORE_GENERAL, ...CONTROL],
): void {
  const expected = qemuRegisters(infoRegisters);
  assert.equal(answer.cpus.length, expected.length);
  answer.cpus.forEach((cpu, index) => {
    const found = new Map([...present(cpu.registers), ...cpu.control].map(({ name, value }) => [name, BigInt(value)]));
    let compared = 0;
    for (const name of names) {
      // QEMU shows 16-bit and 32-bit CPUs by other names (EAX, EIP).
      const told = expected[index]?.get(name);
      if (told === undefined) continue;
      assert.equal(found.get(name), told, `CPU ${index} ${name}`);
      compared++;
    }
    assert.ok(compared >= Math.min(names.length, CONTROL.length), `CPU ${index}: ${compared} registers compared`);
  });
}
