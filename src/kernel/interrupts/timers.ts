import type { VirtualAddress } from '../../bytes/address.js';
import type { Damage } from '../../bytes/errors.js';
import { attempt, collectEach } from '../collect.js';
import type { KernelView } from '../kernel-view.js';
import { BtfKind } from '../types/btf.js';
import { hlistEntries } from '../types/lists.js';
import { rbtreeEntries } from '../types/rbtree.js';
import type { Struct } from '../types/struct.js';

/** A timer that has not run yet. */
export interface PendingTimer {
  /** Of its `timer_list` or `hrtimer`. */
  readonly address: VirtualAddress;
  /** In jiffies for the wheel; in nanoseconds of its base's clock for an hrtimer. */
  readonly expires: bigint;
  /** For an hrtimer: from when on it may run. */
  readonly softExpires: bigint | undefined;
  readonly function: VirtualAddress;
}

/** A wheel of timers: `struct timer_base`, kernel/time/timer.c. */
export interface TimerWheel {
  readonly cpu: number;
  /** `BASE_STD` and `BASE_DEF`; since 6.9 `BASE_LOCAL`, `BASE_GLOBAL` and `BASE_DEF`. */
  readonly name: string;
  readonly address: VirtualAddress;
  /** By when they expire. */
  readonly timers: readonly PendingTimer[];
}

/** The wheels of all possible CPUs. Throws EXH_NO_SYMBOL, EXH_NO_LAYOUT; a broken bucket is told as damage. */
export function readWheels(view: KernelView, damage: Damage[]): TimerWheel[] {
  const type = view.types.requireStruct('timer_base');
  const names = wheelNames(view);
  const wheels: TimerWheel[] = [];
  for (const cpu of view.cpus('possible')) {
    const first = view.perCpu('timer_bases', cpu);
    for (const [index, name] of names.entries()) {
      const base = view.struct(type.name, first + BigInt(index * type.size));
      wheels.push({
        cpu,
        name,
        address: base.address,
        timers: wheelTimers(view, base, `timers of CPU ${cpu}`, damage),
      });
    }
  }
  return wheels;
}

/** How many wheels a CPU has the type of the variable tells: BTF has the per-CPU variables. */
function wheelNames({ types: { btf } }: KernelView): readonly string[] {
  const variable = btf.find('timer_bases', BtfKind.Variable);
  const count = variable === undefined ? 1 : btf.elementCount(btf.resolve(btf.target(variable)));
  if (count >= 3) return ['BASE_LOCAL', 'BASE_GLOBAL', 'BASE_DEF'];
  return count === 2 ? ['BASE_STD', 'BASE_DEF'] : ['BASE_STD'];
}

/** The buckets of all levels: each is an `hlist_head`. */
function wheelTimers(view: KernelView, base: Struct, part: string, damage: Damage[]): PendingTimer[] {
  const { memory, types } = view;
  const timer = types.requireStruct('timer_list');
  const vectors = base.type.require('vectors');
  const buckets = memory.bytes(base.addressOf('vectors'), vectors.size);
  const timers: PendingTimer[] = [];
  for (let at = 0; at < vectors.size; at += 8) {
    if (buckets.subarray(at, at + 8).every((byte) => byte === 0)) continue;
    const entries = hlistEntries(memory, base.addressOf('vectors') + BigInt(at), timer, 'entry');
    timers.push(
      ...collectEach(damage, part, entries, (one) => ({
        address: one.address,
        expires: one.big('expires'),
        softExpires: undefined,
        function: one.pointer('function'),
      })),
    );
  }
  return timers.sort((a, b) => (a.expires < b.expires ? -1 : a.expires > b.expires ? 1 : 0));
}

/** The clock bases in order: `enum hrtimer_base_type`, once for interrupts and once for softirqs. */
const CLOCKS = ['CLOCK_MONOTONIC', 'CLOCK_REALTIME', 'CLOCK_BOOTTIME', 'CLOCK_TAI'] as const;

/** The high-resolution timers of one clock on one CPU: `struct hrtimer_clock_base`, include/linux/hrtimer_defs.h. */
export interface HrtimerClock {
  readonly index: number;
  readonly clock: (typeof CLOCKS)[number];
  /** They are run by the softirq, not by the interrupt. */
  readonly soft: boolean;
  readonly address: VirtualAddress;
  /** `get_time`, which bases had up to 6.17. */
  readonly getTime: VirtualAddress | undefined;
  /** By when they expire. */
  readonly timers: readonly PendingTimer[];
}

/** The high-resolution timers of a CPU: `struct hrtimer_cpu_base`. */
export interface HrtimerCpu {
  readonly cpu: number;
  readonly address: VirtualAddress;
  readonly clocks: readonly HrtimerClock[];
}

/** The high-resolution timers of all possible CPUs. Throws EXH_NO_SYMBOL, EXH_NO_LAYOUT; damage for a broken tree. */
export function readHrtimers(view: KernelView, damage: Damage[]): HrtimerCpu[] {
  const base = view.types.requireStruct('hrtimer_cpu_base');
  const clock = view.types.requireStruct('hrtimer_clock_base');
  const bases = base.require('clock_base');
  return view.cpus('possible').map((cpu) => {
    const address = view.perCpu('hrtimer_bases', cpu);
    const clocks: HrtimerClock[] = [];
    for (let index = 0; (index + 1) * clock.size <= bases.size; index++) {
      const part = `high-resolution timers of CPU ${cpu}`;
      const one = view.struct(clock.name, address + BigInt(bases.offset + index * clock.size));
      clocks.push({
        index,
        clock: CLOCKS[index % CLOCKS.length] ?? CLOCKS[0],
        soft: index >= CLOCKS.length,
        address: one.address,
        getTime: one.has('get_time') ? attempt(damage, part, () => one.pointer('get_time')) : undefined,
        timers: attempt(damage, part, () => clockTimers(view, one, part, damage)) ?? [],
      });
    }
    return { cpu, address, clocks };
  });
}

/** A red-black tree by expiry; in 7.2 its nodes are linked besides, with the `rb_node` still first. */
function clockTimers(view: KernelView, clock: Struct, part: string, damage: Damage[]): PendingTimer[] {
  const timer = view.types.requireStruct('hrtimer');
  const entries = rbtreeEntries(view.memory, clock.addressOf('active.rb_root'), timer, 'node.node');
  return collectEach(damage, part, entries, (one) => ({
    address: one.address,
    expires: one.big('node.expires'),
    softExpires: one.big('_softexpires'),
    function: one.pointer('function'),
  }));
}
