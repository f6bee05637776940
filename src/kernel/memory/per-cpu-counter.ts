import type { KernelView } from '../kernel-view.js';
import type { Struct } from '../types/struct.js';

/**
 * `percpu_counter_sum()`: the shared count and what every CPU has beside it (include/linux/percpu_counter.h). CPUs that
 * the panic stopped are offline, and still hold theirs: all possible ones count.
 */
export function perCpuCounterSum(view: KernelView, counter: Struct): bigint {
  let sum = counter.big('count');
  const counters = counter.pointer('counters');
  if (counters === 0n) return sum;
  for (const cpu of view.cpus('possible')) sum += BigInt(view.memory.i32(view.perCpu(counters, cpu)));
  return sum;
}
