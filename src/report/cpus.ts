import { hex, type VirtualAddress } from '../bytes/address.js';
import { cpusInGuests } from '../hypervisor/kvm/on-cpu.js';
import { attempt } from '../kernel/collect.js';
import type { Kernel } from '../kernel/kernel.js';
import type { Cpu, Machine } from '../machine/machine.js';
import { isAbsence } from './absence.js';
import type { CpuReport, RegisterReport } from './schema/cpu.js';
import type { Subject } from './subject.js';
import { hexOrNull, symbolOf } from './words.js';

/**
 * The CPUs with what their registers point to. Where the dump holds several kernels, each CPU's addresses are told by the
 * kernel that it was running: a dump taken while a capture kernel ran has its registers, not those of the crash. Of a CPU that
 * was inside a guest they mean nothing to the kernel.
 * @param crashed the CPU on which the chosen kernel died, if any
 */
export function cpuReports(subject: Subject, machine: Machine, crashed: number | undefined): CpuReport[] {
  const { kernels } = subject.search;
  const chosen = isAbsence(subject.kernel) ? undefined : subject.kernel;
  const inGuests = chosen && attempt([], 'CPUs', () => new Set(cpusInGuests(chosen).map(({ index }) => index)));
  return machine.cpus.map((cpu) => {
    const running = kernels.length < 2 ? chosen : (runningKernel(machine, cpu, kernels) ?? chosen);
    const otherKernel = running === undefined || running.index === chosen?.index ? null : running.index;
    const guest = otherKernel === null && (inGuests?.has(cpu.index) ?? false);
    return cpuReport(cpu, guest ? undefined : running, { crashed: cpu.index === crashed, otherKernel, guest });
  });
}

/** The kernel whose code a CPU's page table maps where that kernel has it. */
function runningKernel(machine: Machine, cpu: Cpu, kernels: readonly Kernel[]): Kernel | undefined {
  const tables = machine.rootsOf(cpu).map(({ root, levels }) => machine.pageTable(root, levels));
  return kernels.find((kernel) => {
    const text = kernel.symbols.address('_stext');
    const physical = text === undefined ? undefined : kernel.pageTable.translate(text);
    return physical !== undefined && tables.some((table) => table.translate(text as VirtualAddress) === physical);
  });
}

function cpuReport(
  cpu: Cpu,
  kernel: Kernel | undefined,
  { crashed, otherKernel, guest }: Pick<CpuReport, 'crashed' | 'otherKernel' | 'guest'>,
): CpuReport {
  const registers = (map: ReadonlyMap<string, bigint>): RegisterReport[] =>
    [...map].map(([name, value]) => ({ name, value: hex(value), symbol: symbolOf(kernel, value) }));
  const ip = cpu.registers?.get('rip');
  return {
    index: cpu.index,
    mode: cpu.mode,
    crashed,
    otherKernel,
    guest,
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
    stale: cpu.stale ?? null,
  };
}
