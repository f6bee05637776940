/** What the guests of `lab/traces.ts` trace, and how they write it down, in busybox's sh. */

import type { KernelName } from './kernels.js';
import type { TraceScene } from './traces.js';

export const PROGRAM_PATH = '/bin/exhume-lab-trace';
export const MODULE_PATH = '/lab/exhume_lab_trace.ko';

/** The host's word, on the first disk there: the dump is made, go on. */
export const GO = 'go';
export const GO_OFFSET = 124 << 20;
export const DISK_BYTES = 128 << 20;

/** The console's words: the trace was written down and the guest can be dumped; all of it is done. */
export const WRITTEN = '@@ written';
export const DONE = '@@ done';

/** The instance in memory that survives a reset, where that is, and how much. */
const KEPT = 'boot_map';
export const KEPT_ADDRESS = 0x8000000;
export const KEPT_BYTES = 4 << 20;

/** A file of the instance's directory, and what is written to it. */
type Setting = readonly [file: string, value: string];

/** One ring buffer. */
interface Buffer {
  /** Empty: the top level. */
  readonly name: string;
  /** Per CPU. */
  readonly kilobytes: number;
  readonly settings: readonly Setting[];
  /** Switched on only for a moment at the end. */
  readonly late?: boolean;
}

const option = (name: string, value = 1): Setting => [`options/${name}`, `${value}`];
const events = (...names: readonly string[]): Setting[] => names.map((name) => [`events/${name}/enable`, '1']);
const tracer = (name: string): Setting => ['current_tracer', name];

/** Few events of many forms. */
const SOME = events('sched/sched_switch', 'syscalls/sys_enter_openat', 'syscalls/sys_exit_openat', 'exhume_lab', 'lab');

/** The buffer whose text is kept with each of `READ_OPTIONS`, as `with/OPTION`. */
const OPTIONS = 'read-again';
const READ_OPTIONS: readonly (readonly [name: string, value: number])[] = [
  ...['sym-offset', 'sym-addr', 'verbose'].map((name) => [name, 1] as const),
  ...['print-parent', 'context-info', 'annotate', 'irq-info'].map((name) => [name, 0] as const),
];
/** 6.1 loses whole lines with it. */
const NEW_READ_OPTIONS: typeof READ_OPTIONS = [...READ_OPTIONS, ['hash-ptr', 0]];

/** All that 6.1 has: an instance is 11,000 files there, and takes a second and 10 MiB. */
const OLD_BUFFERS = [
  ...['', 'small', 'function', 'stacks', 'user-stacks', 'snapshot', 'consumed', 'synthetic', 'clock-mono'],
  ...['clock-x86-tsc', 'option-verbose', OPTIONS, 'everything'],
];

const CLOCKS = ['global', 'counter', 'uptime', 'perf', 'mono', 'mono_raw', 'boot', 'tai', 'x86-tsc'] as const;

const MANY = [
  ...events('sched', 'irq', 'timer', 'signal', 'task', 'syscalls', 'block', 'net', 'sock', 'tcp', 'skb', 'udp'),
  ...events('workqueue', 'exhume_lab', 'lab'),
];

const BUFFERS: readonly Buffer[] = [
  { name: '', kilobytes: 512, settings: [option('record-tgid'), ...MANY] },
  // Too small for what comes.
  { name: 'small', kilobytes: 24, settings: events('kmem', 'raw_syscalls') },
  { name: 'full', kilobytes: 16, settings: [option('overwrite', 0), ...events('raw_syscalls', 'sched')] },
  { name: 'empty', kilobytes: 16, settings: [] },
  { name: 'function', kilobytes: 128, settings: [['set_ftrace_filter', 'vfs_* do_sys_* tcp_*'], tracer('function')] },
  {
    name: 'repeats',
    kilobytes: 64,
    settings: [['set_ftrace_filter', 'ktime_get* vfs_*'], option('func-no-repeats'), tracer('function')],
  },
  {
    name: 'arguments',
    kilobytes: 64,
    settings: [['set_ftrace_filter', 'vfs_*'], option('func-args'), tracer('function')],
  },
  {
    name: 'graph',
    kilobytes: 128,
    settings: [
      ['set_ftrace_filter', 'vfs_* ext4_* do_sys_* security_* kmem_cache_*'],
      tracer('function_graph'),
      ...events('sched/sched_switch', 'irq'),
    ],
  },
  {
    name: 'graph-all',
    kilobytes: 64,
    settings: [
      ['set_ftrace_filter', 'vfs_* ksys_*'],
      ...['funcgraph-proc', 'funcgraph-abstime', 'funcgraph-tail', 'funcgraph-args'].map((name) => option(name)),
      tracer('function_graph'),
    ],
  },
  { name: 'stacks', kilobytes: 48, settings: [option('stacktrace'), ...events('sched/sched_waking', 'lab')] },
  {
    name: 'user-stacks',
    kilobytes: 64,
    settings: [option('userstacktrace'), option('sym-userobj'), ...events('syscalls/sys_enter_pwrite64')],
  },
  {
    name: 'trigger',
    kilobytes: 64,
    settings: [...events('sched/sched_process_fork'), ['events/sched/sched_process_exec/trigger', 'stacktrace:3']],
  },
  { name: 'snapshot', kilobytes: 64, settings: SOME },
  { name: 'consumed', kilobytes: 64, settings: [...SOME, ...events('irq')] },
  { name: 'large-pages', kilobytes: 128, settings: [['buffer_subbuf_size_kb', '16'], ...SOME] },
  {
    name: 'synthetic',
    kilobytes: 128,
    settings: [
      ['events/sched/sched_waking/trigger', 'hist:keys=pid:ts0=common_timestamp.usecs'],
      [
        'events/sched/sched_switch/trigger',
        'hist:keys=next_pid:lat=common_timestamp.usecs-$ts0:onmatch(sched.sched_waking).lab_latency($lat,next_pid,next_comm)',
      ],
      ...events('synthetic/lab_latency', 'sched/sched_switch'),
    ],
  },
  ...CLOCKS.map(
    (clock): Buffer => ({ name: `clock-${clock}`, kilobytes: 16, settings: [['trace_clock', clock], ...SOME] }),
  ),
  { name: 'option-verbose', kilobytes: 32, settings: [option('verbose'), ...SOME] },
  {
    name: OPTIONS,
    kilobytes: 64,
    settings: [['set_ftrace_filter', 'vfs_read'], tracer('function'), ...SOME],
  },
  { name: 'everything', kilobytes: 256, late: true, settings: [['events/enable', '1']] },
];

/** Definitions of events made at run time. */
const DYNAMIC: readonly (Setting & { readonly length: 2 })[] = [
  [
    'kprobe_events',
    'p:lab/openat __x64_sys_openat dfd=+112(%di):s32 name=+0(+104(%di)):ustring flags=+96(%di):x32 words=+96(%di):x16[3] comm=$comm low=%di:b4@2/32 top=$stack0 here=%ip:symbol lost=+0(%r15):u8',
  ],
  ['kprobe_events', 'r:lab/openat_return __x64_sys_openat result=$retval:s64'],
  ['kprobe_events', 'p:lab/comm __set_task_comm name=+0(%si):string exec=%dx:u8'],
  [
    'uprobe_events',
    `p:lab/uprobe ${PROGRAM_PATH}:$probe number=%di:s32 text=+0(%si):ustring first=+0(%dx):s16 second=+8(%dx):x64`,
  ],
  ['uprobe_events', `r:lab/uprobe_return ${PROGRAM_PATH}:$probe result=$retval:s32`],
  ['dynamic_events', 'e:lab/eprobe sched.sched_process_exec pid=$pid:s32 file=$filename:string'],
  ['synthetic_events', 'lab_latency u64 lat; pid_t pid; char comm[16]'],
];

const DYNAMIC_7: readonly Setting[] = [
  ['dynamic_events', 'f:lab/fprobe vfs_write count pos'],
  ['dynamic_events', 'f:lab/fprobe_return vfs_write%return count result=$retval'],
  [
    'kprobe_events',
    'p:lab/letters __x64_sys_openat first=+0(+104(%di)):char letters=+0(+104(%di)):char[4] symbol=%ip:symstr',
  ],
  ['dynamic_events', 't:lab/tprobe sched_wakeup pid=p->pid comm=p->comm:string'],
];

/** Everything in the script that can be refused says so, and the scene fails. */
const BEGINNING = `
mount -t tracefs tracefs /sys/kernel/tracing
T=/sys/kernel/tracing
mkdir -p /truth
echo 0 > /proc/sys/kernel/kptr_restrict
ifconfig lo 127.0.0.1 up
put() { echo "$2" >> "$1" || echo "@@ failed: $2 to $1"; }
every() { for on in $T/tracing_on $T/instances/*/tracing_on; do echo $1 > $on; done; }
`;

/** For the events of disks and file systems. */
const DISK_WORK = `
mkdir -p /mnt
mount -t ext4 /dev/vdc /mnt || echo "@@ failed: mount"
dd if=/dev/zero of=/mnt/file bs=16k count=8 2> /dev/null
sync
dd if=/dev/vdb of=/dev/null bs=64k count=4 iflag=direct 2> /dev/null
umount /mnt
`;

/** Files of tracefs that are the truth, in each instance. */
const TRUTH =
  'trace snapshot stats trace_clock current_tracer buffer_size_kb buffer_subbuf_size_kb trace_options saved_cmdlines ' +
  'saved_tgids printk_formats eval_map kprobe_events uprobe_events dynamic_events synthetic_events tracing_on ' +
  'timestamp_mode set_ftrace_filter last_boot_info';

const writeDown = (more: string): string => `
${PROGRAM_PATH} copy $T /truth ${TRUTH}
${more}
${PROGRAM_PATH} copy $T/events /truth/events format header_page header_event
for name in kallsyms modules cmdline version uptime; do cat /proc/$name > /truth/$name; done
uname -r > /truth/release
date -u +%s > /truth/date
tar -cf /dev/vda -C /truth . || echo "@@ failed: tar"
sync
`;

/** The text of each CPU of one buffer, and that of another with other options. */
const readMore = (options: typeof READ_OPTIONS): string => `
for cpu in 0 1; do cat $T/instances/small/per_cpu/cpu$cpu/trace > /truth/instances/small/per_cpu/cpu$cpu/trace; done
mkdir /truth/instances/${OPTIONS}/with
${options.map(readWith).join('\n')}
`;

const WAIT_TO_GO = `
until [ "$(dd iflag=direct if=/dev/vda bs=4096 skip=${GO_OFFSET / 4096} count=1 2> /dev/null | head -c ${GO.length})" = ${GO} ]; do sleep 0.1; done
`;

export function traceScript(scene: TraceScene): string {
  switch (scene.ending) {
    case 'off':
      return offScript(scene.kernel);
    case 'on':
      return ON_SCRIPT;
    case 'boots':
      return bootsScript(scene);
  }
}

/** What is on the command line besides. */
export function traceCommandLine({ ending }: TraceScene): readonly string[] {
  switch (ending) {
    case 'off':
      return [];
    case 'on':
      return ['ftrace_dump_on_oops'];
    case 'boots': {
      const address = `0x${KEPT_ADDRESS.toString(16)}`;
      const size = `${KEPT_BYTES >> 20}M`;
      return [`memmap=${size}$${address}`, `trace_instance=${KEPT}^traceoff@${address}:${size}`];
    }
  }
}

/** The console shows the top level buffer as it takes its events out; what the twin has is still there. */
const ON_SCRIPT = `
${BEGINNING}
mkdir $T/instances/twin
for at in $T $T/instances/twin; do
echo 0 > $at/tracing_on
for events in sched irq timer syscalls; do put $at/events/$events/enable 1; done
done
put $T/buffer_size_kb 24
put $T/instances/twin/buffer_size_kb 64
every 1
${PROGRAM_PATH} work $T/trace_marker $T/trace_marker_raw
echo c > /proc/sysrq-trigger
`;

/** The first boot traces and panics, the second writes down what is left of it, and enables nothing before. */
function bootsScript({ kernel }: TraceScene): string {
  const module = kernel === '7.2';
  const insert = module ? `insmod ${MODULE_PATH} || echo "@@ failed: insmod"` : '';
  const marker = (at: string): string => `${at}/trace_marker ${at}/trace_marker_raw`;
  const at = `$T/instances/${KEPT}`;
  const systems = ['sched', 'irq', 'syscalls', 'signal', ...(module ? ['exhume_lab'] : [])];
  return `
${BEGINNING}
${insert}
if [ "$(dd if=/dev/vda bs=4096 skip=${GO_OFFSET / 4096} count=1 2> /dev/null | head -c 5)" != first ]; then
echo first | dd of=/dev/vda bs=4096 seek=${GO_OFFSET / 4096} conv=notrunc 2> /dev/null
mkdir -p /first
${PROGRAM_PATH} copy $T /first saved_cmdlines printk_formats
${PROGRAM_PATH} copy $T/events /first/events format header_page header_event
cat /proc/kallsyms > /first/kallsyms
cat /proc/modules > /first/modules
tar -cf /dev/vdb -C /first . || echo "@@ failed: tar"
sync
${systems.map((system) => `put ${at}/events/${system}/enable 1`).join('\n')}
echo 1 > ${at}/tracing_on
${module ? 'echo 1 > /sys/module/exhume_lab_trace/parameters/go' : ''}
${PROGRAM_PATH} work ${marker(at)}
echo c > /proc/sysrq-trigger
sleep 1000
fi
${writeDown('')}
echo "${WRITTEN}"
while :; do sleep 1000; done
`;
}

function offScript(kernel: KernelName): string {
  const buffers = BUFFERS.filter(({ name }) => kernel === '7.2' || OLD_BUFFERS.includes(name));
  const dynamic = [...DYNAMIC, ...(kernel === '7.2' ? DYNAMIC_7 : [])];
  const late = buffers.filter((buffer) => buffer.late).map(path);
  return `
${BEGINNING}
insmod ${MODULE_PATH} || echo "@@ failed: insmod"
probe=$(${PROGRAM_PATH} probe)
${dynamic.map(([file, value]) => `put $T/${file} '${value.replaceAll('$probe', "'$probe'")}'`).join('\n')}
echo 0 > $T/tracing_on
${buffers.map(setUp).join('\n')}
every 1
${late.map((one) => `echo 0 > ${one}/tracing_on`).join('\n')}
echo 1 > /sys/module/exhume_lab_trace/parameters/go
${PROGRAM_PATH} work $T/trace_marker $T/trace_marker_raw
echo 1 > $T/instances/snapshot/snapshot
head -n 40 $T/instances/consumed/trace_pipe > /truth/consumed
${PROGRAM_PATH} work $T/instances/stacks/trace_marker $T/instances/stacks/trace_marker_raw
echo 1 > /sys/module/exhume_lab_trace/parameters/go
${DISK_WORK}
${late.map((one) => `echo 1 > ${one}/tracing_on`).join('\n')}
${PROGRAM_PATH} work $T/instances/everything/trace_marker $T/instances/everything/trace_marker_raw
echo 1 > /sys/module/exhume_lab_trace/parameters/go
every 0
for set in $T/set_event $T/instances/*/set_event; do echo > $set; done
${writeDown(readMore(kernel === '7.2' ? NEW_READ_OPTIONS : READ_OPTIONS))}
echo "${WRITTEN}"
${WAIT_TO_GO}
${PROGRAM_PATH} copy $T /raw trace_pipe_raw snapshot_raw
tar -cf /dev/vdb -C /raw . || echo "@@ failed: tar"
sync
echo "${DONE}"
while :; do sleep 1000; done
`;
}

function readWith([name, value]: readonly [name: string, value: number]): string {
  const at = `$T/instances/${OPTIONS}`;
  const set = (to: number): string => `echo ${to} > ${at}/options/${name}`;
  return `${set(value)}; cat ${at}/trace > /truth/instances/${OPTIONS}/with/${name}; ${set(1 - value)}`;
}

function path({ name }: Buffer): string {
  return name === '' ? '$T' : `$T/instances/${name}`;
}

function setUp(buffer: Buffer): string {
  const at = path(buffer);
  return [
    ...(buffer.name === '' ? [] : [`mkdir ${at}`, `echo 0 > ${at}/tracing_on`]),
    `put ${at}/buffer_size_kb ${buffer.kilobytes}`,
    ...buffer.settings.map(([file, value]) => `put ${at}/${file} '${value}'`),
  ].join('\n');
}
