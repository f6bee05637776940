import type { TimerEntry, TimerReport } from '../schema/timer.js';
import { columns, symbolName } from './table-columns.js';

export function* timerText({ jiffies, wheels, hrtimers }: TimerReport): Generator<string> {
  if (hrtimers.length === 0) {
    yield 'JIFFIES';
    yield String(jiffies ?? '?');
    yield '';
  }
  for (const { cpu, name, address, timers } of wheels) {
    yield `TIMER_BASES[${cpu}][${name}]: ${address.slice(2)}`;
    if (timers.length === 0) yield '  (none)';
    else yield* columns([['EXPIRES', 'TTE', 'TIMER_LIST', 'FUNCTION'], ...timers.map(wheelRow)], [3]);
  }
  for (const [index, { cpu, address, clocks }] of hrtimers.entries()) {
    if (index > 0) yield '';
    yield `CPU: ${cpu}  HRTIMER_CPU_BASE: ${address.slice(2)}`;
    for (const clock of clocks) yield* clockText(clock);
  }
}

function* clockText(base: TimerReport['hrtimers'][number]['clocks'][number]): Generator<string> {
  if (base.index > 0) yield '';
  const name = base.getTime ?? `${base.clock}${base.soft ? ', soft' : ''}`;
  yield `  CLOCK: ${base.index}  HRTIMER_CLOCK_BASE: ${base.address.slice(2)}  [${name}]`;
  if (base.timers.length === 0) {
    yield '  (empty)';
    return;
  }
  yield `    CURRENT: ${base.now ?? '?'}`;
  const rows = base.timers.map((timer) => [
    String(timer.softExpires ?? '?'),
    String(timer.expires),
    String(timer.left ?? '?'),
    timer.address.slice(2),
    functionOf(timer),
  ]);
  yield* columns([['SOFTEXPIRES', 'EXPIRES', 'TTE', 'HRTIMER', 'FUNCTION'], ...rows], [4]);
}

function wheelRow(timer: TimerEntry): string[] {
  return [String(timer.expires), String(timer.left ?? '?'), timer.address.slice(2), functionOf(timer)];
}

function functionOf({ function: address, symbol }: TimerEntry): string {
  return `${address.slice(2).padStart(16, '0')}  <${symbolName(symbol)}>`;
}
