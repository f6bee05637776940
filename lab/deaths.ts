/** Ways for a guest to die, or nearly: what is done inside it, and how the console tells that it is there. */

import { PANICKED, READY } from './markers.js';

export interface Death {
  /** What the guest does, in busybox's sh, before it writes down the truth about itself. */
  readonly before: readonly string[];
  /** What it does at its end. */
  readonly end: readonly string[];
  /** The console's words when it is there. */
  readonly until: string | RegExp;
  /** Debian's modules that it needs. */
  readonly modules: readonly string[];
  /** Our module with ways to die is inserted, and our program is there. */
  readonly ours: boolean;
  /** A disk to swap to, in MiB. */
  readonly swapMegabytes: number;
  /** The clock runs ahead whenever all CPUs are idle: minutes of waiting are over at once. */
  readonly idleTimeSkipped: boolean;
  /** The guest tells of each task all that it knows, or only `stat`, when there are too many. */
  readonly tellsAll: boolean;
  /** Words on the console on which the host sends a non-maskable interrupt. */
  readonly nmiAt?: string;
}

function death(choices: Partial<Death> & Pick<Death, 'end'>): Death {
  return {
    before: [],
    until: PANICKED,
    modules: [],
    ours: true,
    swapMegabytes: 0,
    idleTimeSkipped: false,
    tellsAll: true,
    ...choices,
  };
}

function sysctl(name: string, value: number): string {
  return `echo ${value} > /proc/sys/${name}`;
}

/** A word for our module, from a process that is not init: init's end is a panic of its own. */
function die(way: string): string {
  return `sh -c 'echo ${way} > /proc/exhume-lab'`;
}

const SYSRQ = 'echo c > /proc/sysrq-trigger';
const OOPS_PANICS = sysctl('kernel/panic_on_oops', 1);

/** Something that our module does, after which the kernel does not go on. */
function fatal(way: string): Death {
  // What happens in an interrupt happens after the write, so the script waits.
  return death({ before: [OOPS_PANICS], end: [die(way), 'sleep 1000'] });
}

function threads(processes: number, each: number, tellsAll: boolean): Death {
  return death({
    before: [
      sysctl('kernel/threads-max', processes * each + 5000),
      `exhume-lab-user threads ${processes} ${each} > /tmp/user &`,
      "until grep -q '^@@' /tmp/user; do sleep 0.1; done; cat /tmp/user",
    ],
    end: [SYSRQ],
    tellsAll,
  });
}

const SECRET_NUMBER = '7391846205';

/** What `exhume-lab-secrets` puts in places, by the name of the place. */
export function secretOf(place: string): string {
  return `s3cret-${place}-${SECRET_NUMBER}`;
}

export const DEATHS = {
  null: fatal('null'),
  poison: fatal('poison'),
  bug: fatal('bug'),
  jump: fatal('jump'),
  divide: fatal('divide'),
  list: fatal('list'),
  overflow: fatal('overflow'),
  irq: fatal('irq'),
  softirq: fatal('softirq'),
  work: fatal('work'),
  warn: death({ before: [sysctl('kernel/panic_on_warn', 1)], end: [die('warn')] }),
  // The process is killed, and the kernel goes on.
  survived: death({ end: [die('null'), `echo "${READY}"`, 'wait'], until: READY }),
  softlockup: death({
    before: [sysctl('kernel/watchdog_thresh', 2), sysctl('kernel/softlockup_panic', 1)],
    end: [die('softlockup')],
  }),
  'softlockup-alive': death({
    before: [sysctl('kernel/watchdog_thresh', 2)],
    end: [die('softlockup')],
    until: /BUG: soft lockup[\s\S]*<\/TASK>/,
  }),
  // Without an NMI watchdog only the other CPU's RCU sees it. Init itself must stay where it can be seen.
  hardlockup: death({
    before: ['echo 3 > /sys/module/rcupdate/parameters/rcu_cpu_stall_timeout'],
    end: [`taskset 2 ${die('hardlockup')}`],
    until: /rcu: INFO: rcu_preempt (?:self-)?detected[\s\S]*(?:<\/TASK>|rcu: .*stack dump)/,
  }),
  'hung-task': death({
    before: [sysctl('kernel/hung_task_timeout_secs', 2), sysctl('kernel/hung_task_panic', 1)],
    end: [die('hold'), ...Array.from({ length: 3 }, () => `${die('wait')} &`), 'sleep 1000'],
  }),
  // As people find it: the default of 120 s, no panic, and a warning for each task.
  'hung-task-alive': death({
    end: [die('hold'), ...Array.from({ length: 3 }, () => `${die('wait')} &`), 'sleep 300', `echo "${READY}"`, 'wait'],
    until: READY,
    idleTimeSkipped: true,
  }),
  oom: death({ before: [sysctl('vm/panic_on_oom', 1)], end: ['exhume-lab-user hog'] }),
  'oom-kill': death({ end: ['exhume-lab-user hog', `echo "${READY}"`, 'wait'], until: READY }),
  'threads-5000': threads(20, 250, true),
  'threads-20000': threads(40, 500, false),
  busy: death({
    before: [
      'ip link set lo up',
      'ip link set dummy0 up',
      'ip addr add 192.0.2.7/24 dev dummy0',
      'ip -6 addr add 2001:db8::7/64 dev dummy0',
      'mkdir -p /mnt/tmpfs /mnt/bound /mnt/overlay /mnt/private /mnt/cgroup',
      'mount -t tmpfs -o size=32m,nosuid,nodev "a tmpfs" /mnt/tmpfs',
      'mkdir /mnt/tmpfs/lower /mnt/tmpfs/upper /mnt/tmpfs/work',
      'mount --bind /mnt/tmpfs /mnt/bound',
      'mount -t overlay -o lowerdir=/mnt/tmpfs/lower,upperdir=/mnt/tmpfs/upper,workdir=/mnt/tmpfs/work over /mnt/overlay',
      'mount -t cgroup2 cgroup2 /mnt/cgroup',
      'mkdir /mnt/cgroup/lab',
      'mkswap /dev/vdb > /dev/null && swapon /dev/vdb || echo "@@ failed: swapon"',
      'exhume-lab-user busy > /tmp/user &',
      "until grep -q '^@@' /tmp/user; do sleep 0.1; done; cat /tmp/user",
    ],
    end: [SYSRQ],
    modules: ['dummy', 'overlay'],
    swapMegabytes: 64,
  }),
  secrets: death({
    before: [
      'ip link set lo up',
      'mkdir -p /dev/pts /dev/mqueue && mount -t devpts devpts /dev/pts && mount -t mqueue mqueue /dev/mqueue',
      `IN_ENVIRONMENT=${secretOf('environment')} exhume-lab-secrets ${SECRET_NUMBER} ${secretOf('argument')} > /tmp/user &`,
      "until grep -q '^@@' /tmp/user; do sleep 0.1; done; cat /tmp/user",
    ],
    end: [SYSRQ],
  }),
  nmi: death({
    before: [sysctl('kernel/unknown_nmi_panic', 1), sysctl('kernel/panic_on_unrecovered_nmi', 1)],
    end: [`echo "${READY}"`, 'while :; do :; done'],
    nmiAt: READY,
  }),
} as const satisfies Record<string, Death>;

export type DeathName = keyof typeof DEATHS;
