import { isAbsence } from './absence.js';
import type { Report } from './schema/report.js';

/** The answer in one line: which kernel, and what became of it. */
export function headlineOf({
  file,
  kernel,
  crash,
  machine,
}: Pick<Report, 'file' | 'kernel' | 'crash' | 'machine'>): string {
  if (isAbsence(kernel)) return isAbsence(machine) ? `Not readable: ${machine.absent}` : 'No Linux kernel was found';
  const host = kernel.hostName === null || UNNAMED.has(kernel.hostName) ? '' : ` on ${kernel.hostName}`;
  const name = `Linux ${kernel.release ?? '(unknown release)'}${host}`;
  if (kernel.role === 'capture') return `${name} was saving the dump of another kernel`;
  if (isAbsence(crash)) return kernel.role === 'crashed' ? `${name} crashed` : name;
  if (kernel.role === 'crashed') return `${name} died: ${crash.reason}`;
  if (crash.kind === 'unknown') return `${name}: whether it crashed cannot be told: ${crash.reason}`;
  if (file.format === 'pstore') return `${name} kept its log after this: ${crash.reason}`;
  const state = file.live ? 'is running' : 'was dumped alive';
  return crash.kind === 'none' ? `${name} ${state}; ${crash.reason}` : `${name} ${state} after this: ${crash.reason}`;
}

/** What a machine is called that nobody named. */
const UNNAMED = new Set(['', '(none)']);
