import { hex } from '../bytes/address.js';
import type { Kernel } from '../kernel/kernel.js';
import type { Cpu, Machine } from '../machine/machine.js';
import type { CpuReport, RegisterReport } from './schema/cpu.js';
import { hexOrNull, symbolOf } from './words.js';

/**
 * The CPUs with what their registers point to.
 * @param crashed the CPU on which the kernel died, if any
 */
export function cpuReports(machine: Machine, kernel: Kernel | undefined, crashed: number | undefined): CpuReport[] {
  return machine.cpus.map((cpu) => cpuReport(cpu, kernel, cpu.index === crashed));
}

function cpuReport(cpu: Cpu, kernel: Kernel | undefined, crashed: boolean): CpuReport {
  const registers = (map: ReadonlyMap<string, bigint>): RegisterReport[] =>
    [...map].map(([name, value]) => ({ name, value: hex(value), symbol: symbolOf(kernel, value) }));
  const ip = cpu.registers?.get('rip');
  return {
    index: cpu.index,
    mode: cpu.mode,
    crashed,
    pid: cpu.pid ?? null,
    ip: hexOrNull(ip),
    symbol: ip === undefined ? null : symbolOf(kernel, ip),
    registers:
      cpu.registers === undefined
        ? { absent: `the notes hold no registers of CPU ${cpu.index}`, code: 'EXH_BAD_NOTE', hint: null }
        : registers(cpu.registers),
    // cr1 is reserved: it exists in no processor, and QEMU writes 0.
    control: registers(cpu.control ?? new Map()).filter(({ name }) => name !== 'cr1'),
    segments: cpu.segments.map(({ name, selector, base, limit, flags }) => ({
      name,
      selector: hex(selector),
      base: hex(base),
      limit: hex(limit),
      flags: hex(flags),
    })),
    sources: [...cpu.sources],
  };
}
