import { ExhumeError } from '../bytes/errors.js';
import { isAbsence } from './absence.js';
import { cpuReports } from './cpus.js';
import type { DamageReport } from './schema/common.js';
import type { RegsReport } from './schema/cpu.js';
import { requireMachine, type Subject } from './subject.js';
import { damageOf } from './words.js';

/**
 * The registers of all CPUs, or of one.
 * Throws EXH_USAGE for a CPU that the dump does not have.
 */
export function buildRegs(subject: Subject, only?: number): RegsReport {
  const machine = requireMachine(subject);
  const kernel = isAbsence(subject.kernel) ? undefined : subject.kernel;
  const all = cpuReports(subject, machine, kernel?.panicCpu);
  const cpus = only === undefined ? all : all.filter((cpu) => cpu.index === only);
  if (cpus.length === 0 && only !== undefined && all.length > 0) {
    throw new ExhumeError('EXH_USAGE', `this dump has no CPU ${only}; it has ${all.length}, counted from 0`, {
      found: only,
      expected: all.length,
    });
  }
  const damage = damageOf(subject);
  if (all.length === 0) damage.push(withoutCpus(subject.container.live ?? false));
  if (kernel === undefined || kernel.symbols.size === 0) damage.push(withoutSymbols(subject.kernel));
  const complete = damage.length === 0 && cpus.every((cpu) => !isAbsence(cpu.registers));
  return { schema: 'exhume-regs/1', complete, cpus, damage };
}

function withoutCpus(live: boolean): DamageReport {
  const message = live
    ? 'a running kernel keeps no registers of its CPUs where they could be read'
    : 'the file holds no notes about its CPUs';
  return { code: 'EXH_BAD_NOTE', part: 'notes', message };
}

/** Symbols belong to the answer: that they are missing makes it a partial one. */
function withoutSymbols(kernel: Subject['kernel']): DamageReport {
  const reason = isAbsence(kernel) ? kernel.absent : 'the kernel has none';
  const code = isAbsence(kernel) ? (kernel.code ?? 'EXH_NO_KERNEL') : 'EXH_NO_SYMBOL';
  return { code, part: 'symbols', message: `addresses are shown without symbols: ${reason}` };
}
