import type { Task } from './task.js';

/** The last moment at which a task is known to have been running; nanoseconds of its CPU's clock. */
export interface LastSeenRunning {
  readonly since: bigint;
  readonly basis: 'sched_info.last_arrival' | 'se.exec_start';
}

/**
 * Since when a task in uninterruptible sleep has been in it; undefined for other tasks, and where nothing tells.
 * No kernel writes down when a task went to sleep. It came onto a CPU at `sched_info.last_arrival`, and was last charged
 * for running at `se.exec_start` (kernel/sched/), as it left: the later one is the nearest.
 */
export function blockedSince({ state, lastArrival, lastCharged }: Task): LastSeenRunning | undefined {
  if (state.letter !== 'D') return undefined;
  const arrival = lastArrival ?? 0n;
  const charged = lastCharged ?? 0n;
  if (arrival === 0n && charged === 0n) return undefined;
  return charged > arrival
    ? { since: charged, basis: 'se.exec_start' }
    : { since: arrival, basis: 'sched_info.last_arrival' };
}
