import { orUndefined } from '../../bytes/errors.js';
import { clockIfAny } from '../../kernel/interrupts/clock.js';
import type { KernelView } from '../../kernel/kernel-view.js';
import type { TraceClocks } from '../model.js';

/**
 * How the clocks of a kernel's traces stand to the wall clock. Those of the timekeeper differ by what it adds to them. `local` is
 * `sched_clock()`: each CPU notes it with the monotonic clock at every tick, until it proves stable
 * (`struct sched_clock_data`, kernel/sched/clock.c). `global` and `perf` stand off it by `__gtod_offset`.
 * Undefined where the kernel has no timekeeper that can be read.
 */
export function readTraceClocks(view: KernelView): TraceClocks | undefined {
  const clock = clockIfAny(view);
  if (clock === undefined) return undefined;
  const { toReal, toBoot, toTai } = clock;
  const clocks = new Map([
    ['mono', toReal],
    ['boot', toReal - toBoot],
    ['tai', toReal - toTai],
  ]);
  const local = orUndefined(() => localToMonotonic(view));
  if (local !== undefined) clocks.set('local', toReal + local);
  const symbol = view.kernel.symbols.address('__gtod_offset');
  const offset = symbol === undefined ? undefined : orUndefined(() => view.memory.i64(symbol));
  if (offset !== undefined) for (const name of ['global', 'perf']) clocks.set(name, toReal - offset);
  return { toReal: clocks };
}

/** CLOCK_MONOTONIC minus `sched_clock()`, as the CPU saw it that ticked last. */
function localToMonotonic(view: KernelView): bigint | undefined {
  let last = 0n;
  let found: bigint | undefined;
  for (let cpu = 0; cpu < view.cpuCount; cpu++) {
    const data = view.struct('sched_clock_data', view.perCpu('sched_clock_data', cpu));
    const monotonic = data.big('tick_gtod');
    if (monotonic <= last) continue;
    last = monotonic;
    found = monotonic - data.big('tick_raw');
  }
  return found;
}
