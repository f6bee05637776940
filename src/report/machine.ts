import type { Machine } from '../machine/machine.js';
import type { MachineReport } from './schema/report.js';

export function machineReport({ architecture, cpus, memory }: Machine): MachineReport {
  const described = memory.describedBytes();
  const present = memory.presentBytes();
  return {
    architecture,
    cpus: cpus.length,
    memory: { described, present, missing: Math.max(0, described - present) },
  };
}
