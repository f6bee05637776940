import { isExhumeError } from '../../bytes/errors.js';
import type { KernelView } from '../kernel-view.js';

/** The kernel's clocks as they stood at its last tick; in nanoseconds. */
export interface KernelClock {
  /** CLOCK_MONOTONIC. */
  readonly monotonic: bigint;
  /** What is added to it for CLOCK_REALTIME, CLOCK_BOOTTIME and CLOCK_TAI. */
  readonly toReal: bigint;
  readonly toBoot: bigint;
  readonly toTai: bigint;
  /** `jiffies_64`. */
  readonly jiffies: bigint;
  /** CONFIG_HZ, from the length of the timekeeper's interval; undefined where that makes no sense. */
  readonly hz: number | undefined;
}

/** What CONFIG_HZ has been on any architecture. */
const RATES = [24, 32, 48, 64, 100, 128, 200, 250, 256, 300, 500, 512, 1000, 1024, 1200];

/**
 * Reads `struct timekeeper` (include/linux/timekeeper_internal.h): in `tk_core` up to 6.15, in `timekeeper_data[0]` after.
 * Throws EXH_NO_SYMBOL, EXH_NO_LAYOUT, and memory's errors.
 */
export function readClock(view: KernelView): KernelClock {
  const { symbols } = view.kernel;
  const core = symbols.address('timekeeper_data') ?? view.address('tk_core');
  // Before `struct tk_data` had a name the timekeeper followed a sequence count of 8 bytes.
  const within = view.types.struct('tk_data')?.require('timekeeper').offset ?? 8;
  const keeper = view.struct('timekeeper', core + BigInt(within));
  const shift = BigInt(keeper.int('tkr_mono.shift') & 63);
  const nanoseconds = keeper.big('tkr_mono.xtime_nsec') >> shift;
  const interval = keeper.has('xtime_interval') ? Number(keeper.big('xtime_interval') >> shift) : 0;
  return {
    monotonic: keeper.big('tkr_mono.base') + nanoseconds,
    toReal: keeper.big('offs_real'),
    toBoot: keeper.big('offs_boot'),
    toTai: keeper.big('offs_tai'),
    jiffies: view.memory.u64(view.address('jiffies_64')),
    hz: RATES.find((rate) => Math.abs(interval * rate - 1e9) < 2e6),
  };
}

/** As `readClock`; undefined where it cannot be had. */
export function clockIfAny(view: KernelView): KernelClock | undefined {
  try {
    return readClock(view);
  } catch (error) {
    if (!isExhumeError(error)) throw error;
    return undefined;
  }
}
