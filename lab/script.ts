/** What a guest does: it writes down the truth about itself, and then ends as its scene says. */

import { LAST_WORDS, TASK_STAT, type Told } from './accounts.js';
import { DEATHS } from './deaths.js';
import { MAIN, NODE, SETPRIV, WATCH } from './live.js';
import { CAPTURED, READY } from './markers.js';
import { memoryScript } from './memory.js';
import { spinning } from './plain.js';
import type { Scene } from './scenes.js';
import { STUCK_MODULE, STUCK_PATH } from './stuck.js';

/** Where on the truth disk the head of /proc/kcore is; the sections of text are at its beginning. */
export const LAST_WORDS_MEGABYTES = 24;
export const KCORE_OFFSET = 48 << 20;
export const KCORE_LENGTH = 64 << 10;
/** Where on the truth disk a guest's second text begins. */
const LIVE_OFFSET = 20 << 20;
export const TRUTH_DISK_BYTES = 64 << 20;

/** Names of what the guest tells about itself, and the command that tells it. `dmesg` and `kmsg` come last. */
const TRUTH: readonly Told[] = [
  ['kallsyms', 'cat /proc/kallsyms'],
  ['cmdline', 'cat /proc/cmdline'],
  ['version', 'cat /proc/version'],
  ['release', 'uname -r'],
  ['iomem', 'cat /proc/iomem'],
  ['modules', 'cat /proc/modules'],
  ['cpuinfo', 'cat /proc/cpuinfo'],
  ['meminfo', 'cat /proc/meminfo'],
  ['mounts', 'cat /proc/mounts'],
  ['interrupts', 'cat /proc/interrupts'],
  ['stat', 'cat /proc/[0-9]*/stat'],
  ['vmcoreinfo-address', 'cat /sys/kernel/vmcoreinfo'],
  ['date', 'date -u +%s'],
  ['uptime', 'cat /proc/uptime'],
  ['dmesg', 'dmesg -r'],
  ['kmsg', 'timeout 1 cat /dev/kmsg'],
];

/** A section of text on the truth disk; the host cuts it out again with `sections`. */
export const TELL = `
tell() { echo "@@ begin $1"; shift; "$@"; echo; echo "@@ end"; }
`;

/** The script of the guest, or of the guest's first kernel. */
export function guestScript(scene: Scene): string {
  return `
${beginning(scene)}
echo 0 > /proc/sys/kernel/kptr_restrict
sleep 100000 &
sh -c 'sleep 100001' &
${before(scene)}
${TELL}
{
${tellAll(TRUTH)}
} > /dev/vda 2> /dev/null
[ -e /proc/kcore ] && dd if=/proc/kcore of=/dev/vda bs=${KCORE_LENGTH} count=1 seek=${KCORE_OFFSET / KCORE_LENGTH} conv=notrunc 2> /dev/null
sync
echo 3 > /proc/sys/vm/drop_caches
${lastWords(scene)}
${ending(scene)}
`;
}

export function tellAll(told: readonly Told[]): string {
  return told.map(([name, command]) => `tell ${name} ${command}`).join('\n');
}

function before(scene: Scene): string {
  if (scene.death === undefined) return '';
  return ['mount -t debugfs debugfs /sys/kernel/debug', ...DEATHS[scene.death].before].join('\n');
}

/** What changes from moment to moment is told last of all, behind what was told before. */
function lastWords(scene: Scene): string {
  if (scene.death === undefined) return '';
  const told = DEATHS[scene.death].tellsAll ? LAST_WORDS : [TASK_STAT];
  // Addresses in /proc/net and the like are shown to root, not hashed.
  return `echo 1 > /proc/sys/kernel/kptr_restrict
{
${tellAll(told)}
} 2> /dev/null | dd of=/dev/vda bs=1M seek=${LAST_WORDS_MEGABYTES} conv=notrunc 2> /dev/null
sync`;
}

/** Before the guest writes down the truth. */
function beginning(scene: Scene): string {
  switch (scene.ending) {
    case 'stuck':
      return `insmod ${STUCK_PATH} || echo "@@ failed: insmod ${STUCK_PATH}"`;
    case 'rebooted':
      // A mark on the disk tells the second boot from the first.
      return `
if [ "$(dd if=/dev/vda bs=1M skip=${LIVE_OFFSET >> 20} count=1 2> /dev/null | head -c 5)" != first ]; then
  echo first | dd of=/dev/vda bs=1M seek=${LIVE_OFFSET >> 20} conv=notrunc 2> /dev/null
  sync
  echo c > /proc/sysrq-trigger
fi`;
    default:
      return '';
  }
}

function ending(scene: Scene): string {
  switch (scene.ending) {
    case 'panic':
      return `echo "${READY}"\necho c > /proc/sysrq-trigger`;
    case 'hung':
      return [...spinning(scene.cpus), `echo "${READY}"`, 'wait'].join('\n');
    case 'rebooted':
    case 'idle':
      return `echo "${READY}"\nwait`;
    case 'kdump':
      return [
        `kexec -p --command-line="console=ttyS0 ignore_loglevel maxcpus=1 nokaslr reset_devices panic=0" --initrd=/capture/initrd /capture/vmlinuz || echo "@@ failed: kexec"`,
        ...(scene.memory ? [memoryScript('/dev/vdc', '/dev/vdd')] : []),
        `echo "${READY}"`,
        'echo c > /proc/sysrq-trigger',
      ].join('\n');
    case 'death':
      return scene.death === undefined ? '' : DEATHS[scene.death].end.join('\n');
    case 'stuck':
      // Switching code on and off asks all CPUs to take notice, and waits.
      return `
echo 1 > /proc/sys/kernel/watchdog_thresh
taskset -p 1 $$ > /dev/null
echo "${READY}"
taskset 2 rmmod ${STUCK_MODULE} &
while :; do echo 1 > /proc/sys/kernel/sched_schedstats; echo 0 > /proc/sys/kernel/sched_schedstats; done`;
    case 'live':
      return `${LIVE_SCRIPT}\necho "${READY}"\nwait`;
    case 'firmware':
      return '';
  }
}

/** What exhume is asked about the running kernel: the name of the answer's file, and the words. */
const QUESTIONS: readonly (readonly [name: string, words: string])[] = [
  ['report', '--json report /proc/kcore'],
  ['log', 'log --raw /proc/kcore'],
  ['info', '--json info /proc/kcore'],
  ['regs', '--json regs /proc/kcore'],
  ['rd', 'rd /proc/kcore linux_banner -a'],
  ['vtop', '--json vtop /proc/kcore linux_banner'],
  ['sym', 'sym --list /proc/kcore'],
  ['link', 'info /tmp/link'],
];

/** Refused: no privilege; a kernel that is locked down; no such file. The last two cannot be undone. */
const REFUSALS: readonly (readonly [name: string, before: string, command: string])[] = [
  ['unprivileged', '', `${SETPRIV} --bounding-set -sys_rawio --inh-caps -sys_rawio ${NODE} ${MAIN} report /proc/kcore`],
  ['user', 'chmod -R a+rX /exhume', `${SETPRIV} --reuid 1000 ${NODE} ${MAIN} report /proc/kcore`],
  [
    'lockdown',
    'mount -t securityfs none /sys/kernel/security; echo confidentiality > /sys/kernel/security/lockdown',
    `${NODE} ${MAIN} report /proc/kcore`,
  ],
  ['missing', 'mount -t tmpfs none /proc', `${NODE} ${MAIN} report /proc/kcore`],
];

/** Each answer is `live-NAME`, with `live-NAME.err` (standard error) and `live-NAME.status`. */
const LIVE_SCRIPT = `
ask() {
  name=live-$1; shift
  "$@" > /tmp/out 2> /tmp/err
  status=$?
  tell $name cat /tmp/out
  tell $name.err cat /tmp/err
  tell $name.status echo $status
}
ln -s /proc/kcore /tmp/link
{
tell live-dmesg-before dmesg -r
tell live-uptime-before cat /proc/uptime
${QUESTIONS.map(([name, words]) => `ask ${name} ${NODE} ${MAIN} ${words}`).join('\n')}
tell live-uptime-after cat /proc/uptime
tell live-dmesg-after dmesg -r
ask watch ${NODE} ${WATCH}
${REFUSALS.map(([name, before, command]) => `${before}\nask ${name} ${command}`).join('\n')}
} > /tmp/live
dd if=/tmp/live of=/dev/vda bs=1M seek=${LIVE_OFFSET >> 20} conv=notrunc 2> /dev/null
sync
`;

/** The script of the capture kernel: it saves the first kernel's memory to the second disk. */
export const CAPTURE_SCRIPT = `
${TELL}
{
tell capture-cmdline cat /proc/cmdline
tell capture-iomem cat /proc/iomem
tell capture-kallsyms cat /proc/kallsyms
tell capture-dmesg dmesg -r
} > /tmp/truth 2> /dev/null
dd if=/tmp/truth of=/dev/vda bs=1M seek=16 conv=notrunc 2> /dev/null
size=$(stat -c %s /proc/vmcore)
dd if=/proc/vmcore of=/dev/vdb bs=1M 2> /dev/null || echo "@@ failed: dd of vmcore"
sync
echo "${CAPTURED} $size"
while :; do sleep 1000; done
`;

/** The sections of a truth disk by name. */
export function sections(text: string): Map<string, string> {
  const found = new Map<string, string>();
  for (const match of text.matchAll(/^@@ begin (\S+)\n([\s\S]*?)\n@@ end$/gm)) {
    const [, name, content] = match;
    if (name !== undefined && content !== undefined) found.set(name, content);
  }
  return found;
}
