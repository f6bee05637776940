import type { Machine } from '../machine/machine.js';
import type { MachineReport } from './schema/report.js';

export function machineReport({ architecture, cpus, memory }: Machine): MachineReport {
  const described = memory.ranges().reduce((sum, { start, end }) => sum + (end - start), 0);
  return {
    architecture,
    cpus: cpus.length,
    memory: { described, present: null, excluded: null, lost: null },
  };
}
