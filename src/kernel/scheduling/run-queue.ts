import { isExhumeError } from '../../bytes/errors.js';
import type { KernelView } from '../kernel-view.js';
import type { Struct } from '../types/struct.js';

/** A CPU's run queue: `struct rq`, kernel/sched/sched.h. Throws EXH_NO_SYMBOL, EXH_NO_LAYOUT. */
export function runQueue(view: KernelView, cpu: number): Struct {
  return view.struct('rq', view.perCpu('runqueues', cpu));
}

/** The clock of each possible CPU's run queue, in nanoseconds; those that cannot be read are left out. */
export function queueClocks(view: KernelView): ReadonlyMap<number, bigint> {
  const clocks = new Map<number, bigint>();
  try {
    for (const cpu of view.cpus('possible')) clocks.set(cpu, runQueue(view, cpu).big('clock'));
  } catch (error) {
    if (!isExhumeError(error)) throw error;
  }
  return clocks;
}
