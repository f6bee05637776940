import { hex } from '../bytes/address.js';
import type { Damage } from '../bytes/errors.js';
import { attempt } from '../kernel/collect.js';
import { clockIfAny, type KernelClock } from '../kernel/interrupts/clock.js';
import { type HrtimerClock, type PendingTimer, readHrtimers, readWheels } from '../kernel/interrupts/timers.js';
import type { KernelView } from '../kernel/kernel-view.js';
import { requireView } from './kernel-view.js';
import { requireCpus } from './runq.js';
import type { TimerEntry, TimerReport } from './schema/timer.js';
import type { Subject } from './subject.js';
import { damageOf, symbolOf } from './words.js';

export interface TimerOptions {
  /** High-resolution timers in place of the wheels. */
  readonly hrtimers?: boolean | undefined;
  readonly cpus?: readonly number[] | undefined;
}

/** The pending timers. Throws EXH_USAGE for a CPU that there is not, EXH_NO_KERNEL, EXH_NO_LAYOUT. */
export function buildTimer(subject: Subject, { hrtimers, cpus }: TimerOptions = {}): TimerReport {
  const view = requireView(subject);
  requireCpus(view, cpus);
  const found: Damage[] = [];
  const clock = clockIfAny(view);
  const wanted = ({ cpu }: { readonly cpu: number }): boolean => cpus === undefined || cpus.includes(cpu);
  const wheels = hrtimers === true ? [] : (attempt(found, 'timers', () => readWheels(view, found)) ?? []);
  const bases =
    hrtimers === true ? (attempt(found, 'high-resolution timers', () => readHrtimers(view, found)) ?? []) : [];
  const damage = damageOf(subject, found);
  return {
    schema: 'exhume-timer/1',
    complete: damage.length === 0,
    jiffies: clock === undefined ? null : Number(clock.jiffies),
    hz: clock?.hz ?? null,
    wheels: wheels.filter(wanted).map(({ cpu, name, address, timers }) => ({
      cpu,
      name,
      address: hex(address),
      timers: timers.map((timer) => timerReport(view, timer, clock?.jiffies)),
    })),
    hrtimers: bases.filter(wanted).map(({ cpu, address, clocks }) => ({
      cpu,
      address: hex(address),
      clocks: clocks.map((one) => clockReport(view, one, clock)),
    })),
    damage,
  };
}

function clockReport(
  view: KernelView,
  base: HrtimerClock,
  clock: KernelClock | undefined,
): TimerReport['hrtimers'][number]['clocks'][number] {
  const now = clock && clock.monotonic + offsetOf(base.clock, clock);
  return {
    index: base.index,
    clock: base.clock,
    soft: base.soft,
    address: hex(base.address),
    getTime: base.getTime === undefined ? null : (view.kernel.symbols.at(base.getTime)?.symbol.name ?? null),
    now: now === undefined ? null : Number(now),
    timers: base.timers.map((timer) => timerReport(view, timer, now)),
  };
}

function offsetOf(name: HrtimerClock['clock'], { toReal, toBoot, toTai }: KernelClock): bigint {
  return { CLOCK_MONOTONIC: 0n, CLOCK_REALTIME: toReal, CLOCK_BOOTTIME: toBoot, CLOCK_TAI: toTai }[name];
}

function timerReport(view: KernelView, timer: PendingTimer, now: bigint | undefined): TimerEntry {
  return {
    address: hex(timer.address),
    expires: Number(timer.expires),
    softExpires: timer.softExpires === undefined ? null : Number(timer.softExpires),
    left: now === undefined ? null : Number(timer.expires - now),
    function: hex(timer.function),
    symbol: symbolOf(view.kernel, timer.function),
  };
}
