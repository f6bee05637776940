/** What a guest that is going to die tells of itself at the last moment, for the commands that walk structures. */

/** A file beside the dump, and the command in the guest that prints what it holds. */
export type Told = readonly [name: string, command: string];

/** One line for each thread. */
export const TASK_STAT: Told = ['task-stat', 'cat /proc/[0-9]*/task/[0-9]*/stat'];

/** busybox's `tail` puts the name of a file before its content when there are several. */
const headed = (files: string): string => `tail -n +1 ${files}`;

/** What changes most comes last. */
export const LAST_WORDS: readonly Told[] = [
  ['devices', 'cat /proc/devices'],
  ['filesystems', 'cat /proc/filesystems'],
  ['partitions', 'cat /proc/partitions'],
  ['swaps', 'cat /proc/swaps'],
  ['sysvipc-shm', 'cat /proc/sysvipc/shm'],
  ['sysvipc-sem', 'cat /proc/sysvipc/sem'],
  ['sysvipc-msg', 'cat /proc/sysvipc/msg'],
  ...['dev', 'tcp', 'tcp6', 'udp', 'udp6', 'raw', 'unix', 'netlink', 'packet', 'route', 'arp', 'if_inet6'].map(
    (name): Told => [`net-${name}`, `cat /proc/net/${name}`],
  ),
  ['ip-addr', 'ip addr'],
  ['locks', 'cat /proc/locks'],
  ['vmallocinfo', 'cat /proc/vmallocinfo'],
  ['mountinfo', headed('/proc/[0-9]*/mountinfo')],
  ['maps', headed('/proc/[0-9]*/maps')],
  ['fd', 'ls -l /proc/[0-9]*/fd'],
  ['fdinfo', headed('/proc/[0-9]*/fdinfo/*')],
  ['cwd', 'ls -ld /proc/[0-9]*/cwd /proc/[0-9]*/root /proc/[0-9]*/exe'],
  ['task-status', headed('/proc/[0-9]*/task/[0-9]*/status')],
  // The kernel's own unwinder on every task that sleeps.
  ['task-stack', headed('/proc/[0-9]*/task/[0-9]*/stack')],
  ['sched-debug', 'cat /sys/kernel/debug/sched/debug'],
  ['timer-list', 'cat /proc/timer_list'],
  ['softirqs', 'cat /proc/softirqs'],
  ['last-interrupts', 'cat /proc/interrupts'],
  ['kernel-stat', 'cat /proc/stat'],
  ['loadavg', 'cat /proc/loadavg'],
  ['last-modules', 'cat /proc/modules'],
  ['slabinfo', 'cat /proc/slabinfo'],
  ['zoneinfo', 'cat /proc/zoneinfo'],
  ['buddyinfo', 'cat /proc/buddyinfo'],
  ['vmstat', 'cat /proc/vmstat'],
  TASK_STAT,
  ['last-uptime', 'cat /proc/uptime'],
  ['last-meminfo', 'cat /proc/meminfo'],
];
