import type { Kernel } from '../kernel/kernel.js';
import type { KernelLog } from '../kernel/log/record.js';
import type { Absence } from './schema/common.js';
import type { CrashReport } from './schema/report.js';

export function crashReport(kernel: Kernel, _log: KernelLog | Absence): CrashReport {
  return {
    kind: kernel.role === 'crashed' ? 'panic' : 'none',
    reason: kernel.role === 'crashed' ? 'it panicked' : 'nothing in it says that it crashed',
    panicMessage: null,
    time: timeOf(kernel),
    uptime: kernel.uptime ?? null,
    cpu: kernel.panicCpu ?? null,
    pid: null,
    comm: null,
    tainted: null,
    text: [],
  };
}

/** VMCOREINFO's CRASHTIME is when it panicked; else the clock at the moment of the dump. */
function timeOf({ crashTime, stoppedTime }: Kernel): CrashReport['time'] {
  const epoch = crashTime ?? stoppedTime;
  if (epoch === undefined) return null;
  const date = new Date(epoch * 1000);
  if (Number.isNaN(date.getTime())) return null;
  const source = crashTime === undefined ? 'timekeeper' : 'CRASHTIME';
  return { epoch, iso: date.toISOString().replace('.000Z', 'Z'), source };
}
