/** `SCHED_*`, include/uapi/linux/sched.h; 4 was never used. */
const POLICIES = ['NORMAL', 'FIFO', 'RR', 'BATCH', undefined, 'IDLE', 'DEADLINE', 'EXT'];

/** A scheduling policy's name without `SCHED_`; undefined for a number that is none. */
export function policyName(policy: number | undefined): string | undefined {
  return policy === undefined ? undefined : POLICIES[policy];
}
