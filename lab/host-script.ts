/** What a host with guests inside does, and what its guests do. */

import { type Host, type InnerGuest, uuidOf } from './hosts.js';
import { READY } from './markers.js';
import { PLAIN_COMMAND_LINE } from './plain.js';
import { TELL, tellAll } from './script.js';

/** Where the host has a guest's kernel and initramfs. */
export function guestFiles(guest: InnerGuest): { kernel: string; initrd: string } {
  return { kernel: `/guests/${guest.name}/vmlinuz`, initrd: `/guests/${guest.name}/initrd` };
}

export const FIRMWARE = '/usr/share/qemu';

/** Where on the truth disk the host looks for the word to die. */
export const WORD_OFFSET = 60 << 20;
export const DIE = 'die';

/** The host's word that it has booted. */
export const UP = '@@ up';

/** The host's second and later disks are for the dumps that its own QEMUs make, in the order of the guests. */
export function dumpDisk(index: number): string {
  return `/dev/vd${String.fromCharCode('b'.charCodeAt(0) + index)}`;
}

const WAIT_SECONDS = 240;
/** How often a guest is started. */
const STARTS = '1 2 3 4';
/** For a guest inside a guest, which runs some fifty times slower than on a machine of its own. */
const NESTED_WAIT_SECONDS = 1500;

/** A word to a guest's QEMU; the answer ends with what the second word says. */
const ASK = `
ask() {
  size=$(wc -c < /tmp/$1.monitor); asked=$(grep -c 'VM status' /tmp/$1.monitor)
  printf '%s\\ninfo status\\n' "$2" > /tmp/$1.in
  while [ $(grep -c 'VM status' /tmp/$1.monitor) = $asked ]; do sleep 0.1; done
  tail -c +$((size + 1)) /tmp/$1.monitor
}
`;

/** Waits for a condition, in busybox's sh; a host that waits for ever is a failure. */
function waitUntil(condition: string, seconds: number): string {
  return `left=${seconds * 5}
until ${condition} 2> /dev/null; do
  left=$((left - 1)); [ $left = 0 ] && tail -n 20 /tmp/*.serial && echo '@@ failed: no ${condition.replaceAll("'", '')}'
  sleep 0.2
done`;
}

/** The host's script: it starts its guests, waits until each is where it should be, has each dumped, and dies when told. */
export function hostScript(host: Host): string {
  return `
echo "${UP}"
echo 0 > /proc/sys/kernel/kptr_restrict
${TELL}
${ASK}
${host.guests.some(({ swapped }) => swapped) ? SWAP_GROUP : ''}
${host.guests.map((guest) => startGuest(guest)).join('\n')}
${host.guests.map((guest, index) => reachGuest(guest, guest.inside === undefined ? WAIT_SECONDS : NESTED_WAIT_SECONDS, dumpDisk(index))).join('\n')}
${host.guests.some(({ swapped }) => swapped) ? SWAP_OUT : ''}
{
${host.guests.flatMap(tellGuest).join('\n')}
${tellAll([
  ['release', 'uname -r'],
  ['kallsyms', 'cat /proc/kallsyms'],
  ['modules', 'cat /proc/modules'],
  ['iomem', 'cat /proc/iomem'],
  ['stat', 'cat /proc/[0-9]*/task/[0-9]*/stat'],
  ['swaps', 'cat /proc/swaps'],
  ['dmesg', 'dmesg -r'],
])}
} > /dev/vda 2> /dev/null
sync
echo 3 > /proc/sys/vm/drop_caches
echo "${READY}"
until [ "$(dd iflag=direct if=/dev/vda bs=4096 skip=${WORD_OFFSET / 4096} count=1 2> /dev/null | head -c ${DIE.length})" = ${DIE} ]; do sleep 0.2; done
echo c > /proc/sysrq-trigger
`;
}

/** With it a kernel that panics has its other CPUs save their registers (`crash_notes`), though it has no capture kernel. */
const SAVE_REGISTERS = ' crash_kexec_post_notifiers';

/** Processes whose memory can be asked for: a group of its own, as reclaim asks groups. */
const SWAP_GROUP = `
mkdir /cgroup
mount -t cgroup2 none /cgroup
echo +memory > /cgroup/cgroup.subtree_control
mkdir /cgroup/swapped
`;

/** Three disks, each with a way of its own to compress. No one of them holds it all, and the guest's memory is not the first to go. */
const SWAP_OUT = `
swap_to() {
  [ -e /dev/zram$1 ] || cat /sys/class/zram-control/hot_add > /dev/null
  echo $2 > /sys/block/zram$1/comp_algorithm
  echo $3 > /sys/block/zram$1/disksize
  mkswap /dev/zram$1 > /dev/null && swapon /dev/zram$1 || echo "@@ failed: swap to zram$1"
}
swap_to 0 deflate 14M
swap_to 1 zstd 14M
swap_to 2 lz4 14M
echo 40M > /cgroup/swapped/memory.reclaim
`;

function startGuest(guest: InnerGuest, commandLine = PLAIN_COMMAND_LINE): string {
  const { kernel, initrd } = guestFiles(guest);
  const saving = guest.unasked ? SAVE_REGISTERS : '';
  const program = guest.machine === 'microvm' ? 'qemu-system-x86_64-microvm' : 'qemu-system-x86_64';
  const args = [
    ...[`-name`, guest.name, '-uuid', uuidOf(guest)],
    ...['-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot', '-L', FIRMWARE],
    ...['-machine', guest.machine === 'microvm' ? 'microvm,rtc=on' : 'pc', '-accel', 'kvm', '-cpu', 'host'],
    ...['-smp', `${guest.cpus}`, '-m', `${guest.megabytes}`],
    ...['-kernel', kernel, '-initrd', initrd, '-append', `"${commandLine} noxsave${saving}"`],
    ...['-serial', `file:/tmp/${guest.name}.serial`],
    ...['-chardev', `pipe,id=monitor,path=/tmp/${guest.name}`, '-mon', 'monitor'],
    ...(guest.vmcoreinfo ? ['-device', 'vmcoreinfo'] : []),
  ];
  const { name } = guest;
  // Under two emulators a guest sometimes faults as it boots: its QEMU then ends, and says nothing.
  return `mkfifo /tmp/${name}.in /tmp/${name}.out
{ ${guest.swapped ? 'echo 0 > /cgroup/swapped/cgroup.procs; ' : ''}for try in ${STARTS}; do
  cat /tmp/${name}.out > /tmp/${name}.monitor &
  ${program} ${args.join(' ')} || echo "@@ failed: QEMU of ${name}"
  [ -e /tmp/${name}.reached ] && break
  echo "@@ ${name} ended at start $try"
done; [ -e /tmp/${name}.reached ] || echo "@@ failed: ${name} ends as it boots"; } &`;
}

function reachGuest(guest: InnerGuest, seconds: number, dumpTo?: string): string {
  const { name } = guest;
  // What a guest tells of the one inside it is behind a bar.
  const marker = `^${guest.ending === 'panic' ? '[^|]*end Kernel panic' : READY}`;
  const reached = `${waitUntil(`grep -q '${marker}' /tmp/${name}.serial`, seconds)}
touch /tmp/${name}.reached`;
  if (guest.unasked) return `${reached}\nask ${name} stop > /dev/null`;
  const state = { panic: '', hung: 'CPL=3', idle: 'HLT=1' }[guest.ending];
  const caught =
    state === ''
      ? [`ask ${name} stop > /dev/null`, `ask ${name} 'info registers -a' > /tmp/${name}.registers`]
      : [
          `until ask ${name} stop > /dev/null; ask ${name} 'info registers -a' > /tmp/${name}.registers; [ $(grep -c ${state} /tmp/${name}.registers) = ${guest.cpus} ]; do ask ${name} cont > /dev/null; sleep 0.1; done`,
        ];
  return [
    reached,
    ...caught,
    ...(dumpTo === undefined ? [] : dumpGuest(name, dumpTo)),
    `for what in cpus name uuid 'mtree -f' ramblock; do ask ${name} "info $what"; done > /tmp/${name}.info`,
    ...(guest.after === 'running' ? [`ask ${name} cont > /dev/null`] : []),
  ].join('\n');
}

function dumpGuest(name: string, to: string): string[] {
  return [
    `ask ${name} 'dump-guest-memory ${to}' > /tmp/${name}.dump`,
    `echo "@@ ${name} dumped"`,
    `grep -qi error /tmp/${name}.dump && echo "@@ failed: dump of ${name}: $(cat /tmp/${name}.dump)"`,
  ];
}

/** Each character on its console is a way through all the hypervisors and back. */
const QUIET = 'console=ttyS0 loglevel=4 panic=0';

/** What a guest does that has one of its own: it tells of that on its console, behind a bar, and lets it run. */
export function innerHostScript(inside: InnerGuest): string {
  return `
${TELL}
${ASK}
${startGuest(inside, QUIET)}
${reachGuest(inside, NESTED_WAIT_SECONDS)}
{
${tellGuest(inside).join('\n')}
} | sed 's/^/| /'
echo "${READY}"
wait
`;
}

function tellGuest({ name, unasked }: InnerGuest): string[] {
  const console = `tell ${name}.serial cat /tmp/${name}.serial`;
  if (unasked) return [console];
  return [console, `tell ${name}.registers cat /tmp/${name}.registers`, `tell ${name}.info cat /tmp/${name}.info`];
}
