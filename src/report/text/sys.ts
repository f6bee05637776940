import type { SysReport } from '../schema/sys.js';
import { printable } from './page.js';
import { clockTime } from './task.js';

export function* sysText(model: SysReport): Generator<string> {
  const { cpus, loadAverage, machine, megahertz } = model;
  const rows: (readonly [string, string | null])[] = [
    ['BUILD ID', model.buildId],
    ['DUMPFILE', model.files.join(' ')],
    ['CPUS', cpus === null ? null : cpusInWords(cpus)],
    ['DATE', model.date],
    ['UPTIME', model.uptime === null ? null : clockTime(model.uptime)],
    ['LOAD AVERAGE', loadAverage === null ? null : loadAverage.map((load) => load.toFixed(2)).join(', ')],
    ['TASKS', model.tasks === null ? null : String(model.tasks)],
    ['NODENAME', model.nodeName],
    ['RELEASE', model.release],
    ['VERSION', model.version],
    ['MACHINE', megahertz === null ? machine : `${machine ?? '?'}  (${megahertz} Mhz)`],
    ['MEMORY', model.memory === null ? null : megabytes(model.memory)],
    ['PANIC', model.panic === null ? '(none)' : `"${model.panic}"`],
  ];
  for (const [label, value] of rows) yield `${label.padStart(12)}: ${printable(value ?? 'not known')}`;
}

/** `2 [OFFLINE: 1]`. */
export function cpusInWords({ present, offline }: NonNullable<SysReport['cpus']>): string {
  return offline === 0 ? String(present) : `${present} [OFFLINE: ${offline}]`;
}

/** `255.5 MB`, as crash has it. */
export function megabytes(bytes: number): string {
  const gigabytes = bytes / 2 ** 30;
  return gigabytes >= 1
    ? `${gigabytes.toFixed(1).replace(/\.0$/, '')} GB`
    : `${(bytes / 2 ** 20).toFixed(1).replace(/\.0$/, '')} MB`;
}
