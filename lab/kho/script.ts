/** What the guest does, the old kernel and the next one, in busybox's sh. */

import { MAIN, NODE } from '../live.js';
import { INSTANCE, NEXT_TRUTH, OLD_TRUTH, RESERVED, RESERVED_BYTES, SAID, TAKEN_TRUTH } from './names.js';

export const TRACE_PROGRAM = '/bin/exhume-lab-trace';
export const HANDOVER_PROGRAM = '/bin/exhume-lab-kho';

/** The guest's disks, in order. The last is the luggage: the kernel, its initramfs, node and exhume. */
export const TRUTH_DISKS = [OLD_TRUTH, NEXT_TRUTH, TAKEN_TRUTH] as const;
export const TRUTH_DISK_BYTES = 96 << 20;
const LUGGAGE_DISK = '/dev/vdd';
export const KERNEL_PATH = 'luggage/vmlinuz';
export const INITRD_PATH = 'luggage/initrd';

/** The host's word, on the first disk. */
export const GO = ['leave', 'take'] as const;
export const GO_OFFSET = TRUTH_DISK_BYTES - (1 << 20);

/** The console's words. */
export const LEAVING = /^@@ leaving through ([0-9a-f]+)\r?$/m;
export const ARRIVED = '@@ arrived';
export const FINISHED = '@@ finished';

/** Pages that the old kernel preserves and gives up, from before the first of them. */
const PROBES = ['add', 'del'].map((what) => `p:kho/${what},kho_radix_${what}_page,pfn=%si,order=%dx:u32`);

export const COMMAND_LINE: readonly string[] = [
  ...[
    'console=ttyS0',
    'no_timer_check',
    'ignore_loglevel',
    'panic=0',
    'kho=on',
    'liveupdate=on',
    'kho_scratch=16M,128M,64M',
  ],
  `reserve_mem=${RESERVED_BYTES >> 20}M:2M:${RESERVED}`,
  `trace_instance=${INSTANCE}^traceoff@${RESERVED}`,
  `kprobe_event=${PROBES.join(';')}`,
];

/** Files of tracefs that are the truth, in each instance. */
const TRACE_FILES =
  'trace stats trace_clock current_tracer buffer_size_kb trace_options saved_cmdlines printk_formats tracing_on ' +
  'set_ftrace_filter last_boot_info';

/** What exhume is asked in the next kernel, by the name of its answer. */
const QUESTIONS: readonly (readonly [name: string, words: string])[] = [
  ['report', 'report /proc/kcore --json'],
  ['show', 'kho show /proc/kcore --json'],
  ['check', 'kho check /proc/kcore --json'],
  ['trace', `trace /proc/kcore --buffer ${INSTANCE} --format restarted`],
  ['extract', `kho extract /proc/kcore vm/1 -o /${TAKEN_TRUTH}/extracted`],
];

const BEGINNING = `
T=/sys/kernel/tracing
mount -t debugfs debugfs /sys/kernel/debug
mount -t tracefs tracefs $T
at=$T/instances/${INSTANCE}
put() { echo "$2" >> "$1" || echo "@@ failed: $2 to $1"; }
# Everything that the guest says of itself, to a directory.
tell() {
  mkdir -p $1
  ${TRACE_PROGRAM} copy $T $1 ${TRACE_FILES}
  ${TRACE_PROGRAM} copy $T/events $1/events format header_page header_event
  cp -r /sys/kernel/debug/kho $1/kho
  for name in kallsyms iomem cmdline version uptime; do cat /proc/$name > $1/$name; done
  uname -r > $1/release
  dmesg -r > $1/dmesg
}
keep() { tar -cf $2 -C $1 . || echo "@@ failed: tar"; sync; }
until_told() {
  until [ "$(dd iflag=direct if=/dev/vda bs=4096 skip=${GO_OFFSET / 4096} count=1 2> /dev/null | head -c \${#1})" = "$1" ]; do sleep 0.1; done
}
unpack() { cpio -id "$@" < ${LUGGAGE_DISK} 2> /dev/null || echo "@@ failed: cpio"; }
cd /
`;

/** What is traced goes on until the very end, and what it does last is there whatever was overwritten before. */
const OLD_SCRIPT = `
# Until now it was as small as it could be.
put $T/buffer_size_kb 4096
mkdir /${OLD_TRUTH}
unpack '${KERNEL_PATH}' '${INITRD_PATH}'
put $at/set_ftrace_filter 'vfs_*'
put $at/current_tracer function
# Who reads a trace that grows as it is read never comes to its end.
put $at/options/pause-on-trace 1
for events in sched/sched_switch sched/sched_process_exec syscalls/sys_enter_openat syscalls/sys_exit_openat; do put $at/events/$events/enable 1; done
${HANDOVER_PROGRAM} preserve /${OLD_TRUTH}/files
echo 1 > $at/tracing_on
${HANDOVER_PROGRAM} work $at/trace_marker
${HANDOVER_PROGRAM} load /${KERNEL_PATH} /${INITRD_PATH} "$(cat /proc/cmdline)"
put $T/events/sched/enable 1
put $T/events/syscalls/enable 1
${HANDOVER_PROGRAM} work $T/trace_marker
echo 0 > $T/tracing_on
tell /${OLD_TRUTH}
keep /${OLD_TRUTH} /dev/vda
echo "@@ leaving through $(sed -n 's/ . machine_kexec$//p' /proc/kallsyms)"
until_told ${GO[0]}
${HANDOVER_PROGRAM} work $at/trace_marker
${HANDOVER_PROGRAM} kexec
`;

/** Nothing is enabled before the trace of the old kernel was read: that wipes it. */
const NEXT_SCRIPT = `
tell /${NEXT_TRUTH}
mkdir /${NEXT_TRUTH}/setup_data
for entry in /sys/kernel/boot_params/setup_data/*; do for name in type data; do cat $entry/$name > /${NEXT_TRUTH}/setup_data/\${entry##*/}.$name; done; done
keep /${NEXT_TRUTH} /dev/vdb
echo "${ARRIVED}"
until_told ${GO[1]}
unpack
mkdir -p /${TAKEN_TRUTH}/${SAID}
ask() {
  name=/${TAKEN_TRUTH}/${SAID}/$1; shift
  "$@" > $name 2> $name.err
  echo $? > $name.status
}
${QUESTIONS.map(([name, words]) => `ask ${name} ${NODE} ${MAIN} ${words}`).join('\n')}
${HANDOVER_PROGRAM} retrieve /${TAKEN_TRUTH}/files
dmesg -r > /${TAKEN_TRUTH}/dmesg
keep /${TAKEN_TRUTH} /dev/vdc
echo "${FINISHED}"
`;

export const HANDOVER_SCRIPT = `
${BEGINNING}
if [ ! -e /sys/kernel/debug/kho/in ]; then
${OLD_SCRIPT}
else
${NEXT_SCRIPT}
fi
while :; do sleep 1000; done
`;
