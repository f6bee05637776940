import type { Cpu, Register } from './machine.js';

/**
 * Every register that is known of a CPU, in the order in which people read them:
 * general registers, selectors, segment bases, control registers. Empty when its notes are missing or broken.
 */
export function registersOf(cpu: Cpu): Register[] {
  const registers: Register[] = [];
  for (const values of [cpu.registers, cpu.control]) {
    for (const [name, value] of values ?? []) {
      // Reserved: it exists in no processor, and QEMU writes 0.
      if (name !== 'cr1') registers.push({ name, value });
    }
  }
  return registers;
}
