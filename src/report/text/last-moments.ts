import { isAbsence } from '../absence.js';
import type { LastEventReport } from '../schema/last-moments.js';
import type { Report } from '../schema/report.js';
import { counted, type Page, printable } from './page.js';

/** The end of the trace: each CPU's last events, and the task's that died. */
export function* lastMomentsText(page: Page, { trace }: Report): Generator<string> {
  if (trace === null || isAbsence(trace)) return;
  const { buffer, entries, last, task } = trace;
  const which = buffer === 'top' ? '' : ` in ${buffer}`;
  yield* page.heading('Trace', `the last of ${counted(entries, 'event')}${which}; all: exhume trace`);
  for (const event of last) yield* line(page, event);
  if (task === null || task.events.length === 0) return;
  // Those that stand above already say it.
  const shown = new Set(last.map(key));
  const others = task.events.filter((event) => !shown.has(key(event)));
  if (others.length === 0) return;
  yield* page.prose(`of task ${task.pid} before that:`);
  for (const event of others) yield* line(page, event);
}

function key({ cpu, time, text }: LastEventReport): string {
  return `${cpu} ${time} ${text}`;
}

function* line(page: Page, { cpu, time, before, pid, comm, text }: LastEventReport): Generator<string> {
  const when = before === null ? time : before === 0 ? '0' : `-${before.toFixed(6)}`;
  const whole = printable(`  ${when.padStart(10)} s  CPU ${cpu}  ${comm}-${pid}  ${text}`);
  yield whole.length <= page.width ? whole : `${whole.slice(0, page.width - 1)}…`;
}
