import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isExhumeError } from '../../bytes/errors.js';
import { fixtureLines, logFixture } from '../../testing/log-fixture.js';
import { Random } from '../../testing/random.js';
import { type CrashText, findCrash } from './crash-text.js';
import { readKernelLog } from './read.js';
import type { LogRecord } from './record.js';

/** Records out of console lines: `[    1.234567] text`, with `[  T12]` or `[   C0]` after the time where the kernel prints callers. */
function recordsOf(lines: readonly string[], more: Partial<LogRecord> = {}): LogRecord[] {
  return lines.map((line, sequence) => {
    const [, seconds = '0', fraction = '0', kind, id, text = line] =
      /^\[ *(\d+)\.(\d{6})\](?:\[ *([TC])(\d+)\])? (.*)$/.exec(line) ?? [];
    return {
      sequence,
      timeNanoseconds: BigInt(seconds) * 1_000_000_000n + BigInt(fraction) * 1000n,
      level: 4,
      facility: 0,
      flags: 2,
      newline: true,
      continuation: false,
      caller: kind === undefined ? undefined : { kind: kind === 'C' ? 'cpu' : 'task', id: Number(id) },
      execution: undefined,
      text,
      dictionary: [],
      ...more,
    };
  });
}

function crashOf(lines: readonly string[]): CrashText {
  return findCrash({ records: recordsOf(lines), joinsContinuations: false });
}

/** What a test says about a crash; what it does not mention is not looked at. */
interface Expected {
  readonly kind?: string | undefined;
  readonly title?: string;
  readonly panic?: string | undefined;
  readonly cpu?: number | undefined;
  readonly pid?: number | undefined;
  readonly comm?: string | undefined;
  readonly tainted?: string | undefined;
  readonly release?: string;
  readonly hardware?: string;
  readonly workqueue?: string;
  readonly rip?: string | undefined;
  readonly module?: string;
  readonly cr2?: bigint;
  readonly die?: number | undefined;
  /** The first frames of the call trace. */
  readonly trace?: readonly string[];
  readonly modules?: readonly string[];
  readonly events?: readonly string[];
  /** First and last line of the text. */
  readonly first?: string;
  readonly last?: string;
  readonly kernelOffset?: bigint;
}

function check(name: string, crash: CrashText, expected: Expected): void {
  const { cause } = crash;
  const actual: Expected = {
    kind: cause?.kind,
    title: cause?.title ?? '',
    panic: crash.panicMessage,
    cpu: crash.cpu,
    pid: crash.pid,
    comm: crash.comm,
    tainted: crash.tainted,
    release: cause?.release ?? '',
    hardware: cause?.hardware ?? '',
    workqueue: cause?.workqueue ?? '',
    rip: cause?.rip,
    module: cause?.module ?? '',
    cr2: cause?.cr2 ?? 0n,
    die: cause?.dieNumber,
    trace: cause?.trace.slice(0, expected.trace?.length).map(({ symbol }) => symbol) ?? [],
    modules: cause?.modules ?? [],
    events: crash.events.map(({ kind }) => kind),
    first: crash.text[0] ?? '',
    last: crash.text.at(-1) ?? '',
    kernelOffset: crash.kernelOffset ?? -1n,
  };
  for (const key of Object.keys(expected) as (keyof Expected)[]) {
    assert.deepEqual(actual[key], expected[key], `${name}: ${key}`);
  }
}

/** Guests that died for us, with what was done to them. */
const GUESTS: Readonly<Record<string, Expected>> = {
  // init exits with status 3.
  '5.10-exit': {
    kind: 'init-died',
    title: 'Attempted to kill init! exitcode=0x00000300',
    cpu: 0,
    pid: 1,
    comm: 'init',
    trace: ['dump_stack+0x6b/0x83', 'panic+0x114/0x2f1', 'do_exit.cold+0xb3/0xb3'],
    last: '---[ end Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000300 ]---',
    kernelOffset: 0n,
  },
  // A read through a NULL pointer, at offset 0x20; oops=panic.
  '5.10-null': {
    kind: 'page-fault',
    title: 'NULL pointer dereference at 0x20 in uptime_proc_show+0x2/0x1b0',
    panic: 'Fatal exception',
    cpu: 0,
    pid: 82,
    comm: 'cat',
    tainted: '',
    release: '5.10.0-43-cloud-amd64',
    hardware: 'QEMU Standard PC (i440FX + PIIX, 1996), BIOS 1.16.2-debian-1.16.2-1 04/01/2014',
    rip: 'uptime_proc_show+0x2/0x1b0',
    cr2: 0x20n,
    die: 1,
    events: ['page-fault', 'exception'],
    first: 'BUG: kernel NULL pointer dereference, address: 0000000000000020',
    last: '---[ end Kernel panic - not syncing: Fatal exception ]---',
  },
  '6.1-three-oopses': {
    kind: 'page-fault',
    panic: undefined,
    pid: 91,
    die: 1,
    events: ['page-fault', 'page-fault', 'page-fault'],
    kernelOffset: -1n,
  },
  '7.2-null': {
    kind: 'page-fault',
    title: 'NULL pointer dereference at 0x20 in uptime_proc_show+0x2/0x140',
    panic: 'Fatal exception',
    cpu: 1,
    pid: 109,
    comm: 'cat',
    release: '7.2.12+deb14-cloud-amd64',
    cr2: 0x20n,
    trace: ['seq_read_iter+0x132/0x4b0'],
    events: ['page-fault', 'exception'],
  },
  // A call into the task structure.
  '6.1-nx': {
    kind: 'page-fault',
    title: 'the kernel jumped to data in init_task+0x0/0x2600',
    rip: 'init_task+0x0/0x2600',
    cr2: 0xffffffff82a1aa40n,
    die: 1,
    events: ['page-fault', 'exception'],
    first: 'kernel tried to execute NX-protected page - exploit attempt? (uid: 0)',
  },
  '7.2-nx': { kind: 'page-fault', title: 'the kernel jumped to data in init_task+0x0/0x17c0', die: 1 },
  '6.1-gpf': {
    kind: 'general-protection',
    title: 'general protection fault, address 0x25b5f6bb1a24827e in uptime_proc_show+0xa/0x160',
    panic: 'Fatal exception',
    cpu: 0,
    pid: 93,
    die: 1,
  },
  '6.1-bug': {
    kind: 'bug',
    title: 'kernel BUG at kernel/jump_label.c:515 in __jump_label_update+0x113/0x120',
    panic: 'Fatal exception',
    die: 1,
    events: ['bug', 'exception'],
    first: '------------[ cut here ]------------',
  },
  '7.2-bug': {
    kind: 'bug',
    title: 'kernel BUG at kernel/bpf/arraymap.c:868 in array_of_map_free+0x95/0xd0',
    cpu: 0,
    pid: 113,
    die: 1,
  },
  '5.10-warn': {
    kind: 'warning',
    title: 'warning at mm/truncate.c:748 in invalidate_inode_pages2_range+0x1ef/0x500',
    panic: 'kernel: panic_on_warn set ...',
    cpu: 1,
    pid: 84,
    events: ['warning', 'warning'],
  },
  '6.1-warn': {
    kind: 'warning',
    title: 'warning at kernel/jump_label.c:750 in jump_label_del_module+0x151/0x160',
    panic: 'kernel: panic_on_warn set ...',
    pid: 94,
  },
  // The words of 7.x: place first, CPU and task last.
  '7.2-warn': {
    kind: 'warning',
    title: 'warning at kernel/bpf/fixups.c:2421 in bpf_do_misc_fixups+0xb7b/0x1d90',
    panic: 'kernel: panic_on_warn set ...',
    cpu: 1,
    pid: 111,
    comm: 'cat',
  },
  '6.1-divide': { kind: 'exception', title: 'divide error in uptime_proc_show+0x4/0x160', die: 1, pid: 93 },
  '7.2-int3': {
    kind: 'exception',
    title: 'int3 in uptime_proc_show+0x1/0x140',
    panic: 'Fatal exception in interrupt',
    die: 1,
  },
  '6.1-df': {
    kind: 'double-fault',
    title: 'double fault in uptime_proc_show+0x2/0x160',
    panic: 'Fatal exception in interrupt',
    die: 1,
    first: 'traps: PANIC: double fault, error_code: 0x0',
    events: ['double-fault', 'exception'],
  },
  '7.2-df': { kind: 'double-fault', die: 1, events: ['double-fault', 'exception'] },
  // A function that calls itself for ever. The console of 5.10 ended before the panic's last line.
  '5.10-overflow': {
    kind: 'stack-overflow',
    title: 'kernel stack overflow, guard page hit in uptime_proc_show+0x1/0x1b0',
    panic: 'Fatal exception in interrupt',
    die: 1,
    last: 'Kernel Offset: disabled',
  },
  '7.2-overflow': {
    kind: 'stack-overflow',
    title: 'kernel stack overflow, guard page hit at 0xffffc9000045bff8 in uptime_proc_show+0x1/0x140',
    die: 1,
    events: ['stack-overflow', 'exception'],
  },
  // A loop in the kernel, with interrupts on; softlockup_panic=1.
  '6.1-soft': {
    kind: 'soft-lockup',
    title: 'soft lockup: CPU 1 stuck for 13s in cat, task 92',
    panic: 'softlockup: hung tasks',
    cpu: 1,
    pid: 92,
    comm: 'cat',
    tainted: 'GL',
    rip: 'uptime_proc_show+0x0/0x160',
    events: ['soft-lockup', 'soft-lockup'],
  },
  // The same with interrupts off, on a kernel that has no hard lockup detector here: nothing panicked.
  '7.2-rcu-stall': {
    kind: 'rcu-stall',
    title: 'RCU stall: rcu_preempt detected stalls on CPUs/tasks',
    panic: undefined,
    cpu: 0,
    pid: 109,
    comm: 'cat',
    rip: 'uptime_proc_show+0x1/0x140',
  },
  // panic_on_oom, and a tmpfs that takes all memory.
  '6.1-oom': {
    kind: 'out-of-memory',
    title: 'out of memory: dd invoked the OOM killer',
    panic: 'Out of memory: system-wide panic_on_oom is enabled',
    cpu: 0,
    pid: 94,
    comm: 'dd',
  },
  '7.2-oom': { kind: 'out-of-memory', title: 'out of memory: dd invoked the OOM killer', pid: 112 },
  // unknown_nmi_panic, and an NMI out of the blue.
  '6.1-nmi': {
    kind: 'nmi',
    title: 'NMI received for unknown reason 21 on CPU 0',
    panic: 'NMI: Not continuing',
    cpu: 0,
    pid: 0,
    comm: 'swapper/0',
  },
  '7.2-nmi': { kind: 'nmi', panic: 'NMI: Not continuing' },
  '6.1-vfs': {
    kind: 'no-root',
    title: 'VFS: Unable to mount root fs on unknown-block(0,0)',
    pid: 1,
    comm: 'swapper/0',
  },
};

for (const [name, expected] of Object.entries(GUESTS)) {
  test(`a guest's end: ${name}`, () => check(name, crashOf(fixtureLines(`crashes/${name}.txt`)), expected));
}

test('sysrq panics out of real memory', () => {
  for (const [name, offset] of [
    ['linux-5.10-panic', undefined],
    ['linux-6.1-panic', 0x1a000000n],
    ['linux-7.2-panic', 0x2ca00000n],
  ] as const) {
    const crash = findCrash(readKernelLog(logFixture(name).source));
    check(name, crash, {
      kind: 'sysrq',
      title: 'sysrq triggered crash',
      panic: 'sysrq triggered crash',
      pid: 1,
      comm: 'init',
      tainted: '',
      first: 'Kernel panic - not syncing: sysrq triggered crash',
      last: '---[ end Kernel panic - not syncing: sysrq triggered crash ]---',
    });
    if (offset !== undefined) assert.equal(crash.kernelOffset, offset);
    assert.ok(crash.cause?.trace.some(({ symbol }) => symbol.startsWith('sysrq_handle_crash+')));
  }
});

/** What other machines printed, shortened; the release tells how old the words are. */
const OTHERS: readonly { name: string; lines: string; expected: Expected }[] = [
  {
    name: '3.15: a third oops in an interrupt, addresses before symbols',
    lines: `
general protection fault: 0000 [#3] SMP
Modules linked in: normal_ipcp shim_eth_vlan rinarp 8021q garp stp llc floppy
CPU: 0 PID: 5444 Comm: cron Tainted: G      D       3.15.0 #2
Hardware name: Xen HVM domU, BIOS 4.0.1 05/03/2013
task: ffff88001b3a0000 ti: ffff88002fd40000 task.ti: ffff88002fd40000
RIP: 0010:[<ffffffff81183e9d>]  [<ffffffff81183e9d>] __kmalloc+0x8d/0x180
RSP: 0018:ffff88003fc03c38  EFLAGS: 00010286
CR2: 00007f2b9c0008a0 CR3: 000000002fc2f000 CR4: 00000000000006f0
Stack:
 ffffffff815b4fff ffffea00006bab80 6973000000000000 0000000000008020
Call Trace:
 <IRQ>
 [<ffffffff815b4fff>] ? __alloc_skb+0x7f/0x2a0
 [<ffffffff815b4fcc>] __alloc_skb+0x4c/0x2a0
 <EOI>
 [<ffffffff81002a3d>] system_call_fastpath+0x1a/0x1f
Code: 00 00 49 8b 50 08 4d 8b 28 49 8b 40 10
RIP  [<ffffffff81183e9d>] __kmalloc+0x8d/0x180
 RSP <ffff88003fc03c38>
---[ end trace 18cc81c235915f97 ]---
Kernel panic - not syncing: Fatal exception in interrupt
Kernel Offset: 0x0 from 0xffffffff81000000 (relocation range: 0xffffffff80000000-0xffffffff9fffffff)`,
    expected: {
      kind: 'general-protection',
      title: 'general protection fault in __kmalloc+0x8d/0x180',
      panic: 'Fatal exception in interrupt',
      cpu: 0,
      pid: 5444,
      comm: 'cron',
      tainted: 'GD',
      release: '3.15.0',
      die: 3,
      cr2: 0x7f2b9c0008a0n,
      trace: ['__alloc_skb+0x7f/0x2a0', '__alloc_skb+0x4c/0x2a0', 'system_call_fastpath+0x1a/0x1f'],
      modules: ['normal_ipcp', 'shim_eth_vlan', 'rinarp', '8021q', 'garp', 'stp', 'llc', 'floppy'],
      kernelOffset: 0n,
    },
  },
  {
    name: '3.16: a hard lockup told by a warning',
    lines: `
------------[ cut here ]------------
WARNING: CPU: 1 PID: 31758 at /build/linux-3.16.7/kernel/watchdog.c:265 watchdog_overflow_callback+0x98/0xc0()
Watchdog detected hard LOCKUP on cpu 1
Modules linked in: l2tp_ppp l2tp_netlink xt_ratelimit(O) xt_nat
CPU: 1 PID: 31758 Comm: sqlvpn Tainted: G           O  3.16.0-4-amd64 #1 Debian 3.16.7-ckt11-1+deb8u5
Hardware name: Gigabyte Technology Co., Ltd. To be filled by O.E.M./Z77-D3H, BIOS F22 11/14/2013
 0000000000000009 ffffffff8150b4c5 ffff88021f285c98 ffffffff81067767
Call Trace:
 <NMI>  [<ffffffff8150b4c5>] ? dump_stack+0x41/0x51
 [<ffffffff81067767>] ? warn_slowpath_common+0x77/0x90
---[ end trace 1f0a4ff1e2c50e5b ]---`,
    expected: {
      kind: 'hard-lockup',
      title: 'hard lockup: CPU 1 takes no interrupts',
      panic: undefined,
      cpu: 1,
      pid: 31758,
      comm: 'sqlvpn',
      tainted: 'GO',
      modules: ['l2tp_ppp', 'l2tp_netlink', 'xt_ratelimit(O)', 'xt_nat'],
      trace: ['dump_stack+0x41/0x51'],
    },
  },
  {
    name: '3.10 of a distribution: a panic on a hard lockup, its own taint flags',
    lines: `
Kernel panic - not syncing: Hard LOCKUP
CPU: 0 PID: 282859 Comm: dockerd-current Kdump: loaded Tainted: G        W  OE K------------   3.10.0-862.el7.x86_64 #1
Hardware name: Sugon I620-G20/60G16-US, BIOS 006 09/15/2018
Call Trace:
 <NMI>  [<ffffffffa7313562>] dump_stack+0x19/0x1b
 [<ffffffffa730cc7f>] panic+0xe8/0x20d
 [<ffffffffa6c920af>] nmi_panic+0x3f/0x40`,
    expected: {
      kind: 'hard-lockup',
      title: 'Hard LOCKUP',
      panic: 'Hard LOCKUP',
      cpu: 0,
      pid: 282859,
      comm: 'dockerd-current',
      tainted: 'GWOEK------------',
      release: '3.10.0-862.el7.x86_64',
      trace: ['dump_stack+0x19/0x1b', 'panic+0xe8/0x20d', 'nmi_panic+0x3f/0x40'],
    },
  },
  {
    name: '3.16: the OOM killer asked for by hand, panicking',
    lines: `
SysRq : Manual OOM execution
Kernel panic - not syncing: Out of memory: compulsory panic_on_oom is enabled

CPU: 1 PID: 243 Comm: kworker/1:2 Tainted: G         C O  3.16.0-6-amd64 #1 Debian 3.16.57-2
Workqueue: events moom_callback`,
    expected: {
      kind: 'out-of-memory',
      title: 'Out of memory: compulsory panic_on_oom is enabled',
      cpu: 1,
      comm: 'kworker/1:2',
      tainted: 'GCO',
      workqueue: 'events moom_callback',
    },
  },
  {
    name: '4.4: data executed',
    lines: `
kernel tried to execute NX-protected page - exploit attempt? (uid: 0)
BUG: unable to handle kernel paging request at ffff88007bd671c0
IP: [<ffff88007bd671c0>] 0xffff88007bd671c0
PGD 1ee2067 PUD 1ee5067 PMD 800000007bc001e3
Oops: 0011 [#1] SMP
Modules linked in:
CPU: 3 PID: 1835 Comm: start-stop-daem Not tainted 4.4.15-moby #1
Hardware name:   BHYVE, BIOS 1.00 03/14/2014
task: ffff88007bd671c0 ti: ffff88007210c000 task.ti: ffff88007210c000
RIP: 0010:[<ffff88007bd671c0>]  [<ffff88007bd671c0>] 0xffff88007bd671c0`,
    expected: {
      kind: 'page-fault',
      title: 'the kernel jumped to data in 0xffff88007bd671c0',
      panic: undefined,
      comm: 'start-stop-daem',
      tainted: '',
      die: 1,
      hardware: 'BHYVE, BIOS 1.00 03/14/2014',
      modules: [],
      events: ['page-fault'],
    },
  },
  {
    name: '4.9: a soft lockup that panicked, the trace on one line with its stack',
    lines: `
NMI watchdog: BUG: soft lockup - CPU#1 stuck for 23s! [python3.6:22618]
Kernel panic - not syncing: softlockup: hung tasks
CPU: 1 PID: 22618 Comm: python3.6 Tainted: G             L  4.9.0-11-2-amd64 #1 Debian 4.9.189-3
Hardware name: QEMU Standard PC (i440FX + PIIX, 1996), BIOS 1.13.0-1ubuntu1.1 04/01/2014
 0000000000000000 ffffffff9e933ca4 0000000000000000 ffff9524bfd03f10
Call Trace:
 <IRQ> [<ffffffff9e933ca4>] ? dump_stack+0x5c/0x78
 [<ffffffff9e781f8c>] ? panic+0xe4/0x242`,
    expected: {
      kind: 'soft-lockup',
      title: 'soft lockup: CPU 1 stuck for 23s in python3.6, task 22618',
      panic: 'softlockup: hung tasks',
      cpu: 1,
      pid: 22618,
      tainted: 'GL',
    },
  },
  {
    name: '4.14: the fifth oops, IP: before RIP:',
    lines: `
BUG: unable to handle kernel NULL pointer dereference at 00000000000008d0
IP: check_preempt_curr+0x28/0x90
PGD 0 P4D 0
Oops: 0000 [#5] SMP
CPU: 3 PID: 3388 Comm: Xorg Tainted: G      D         4.14.4171209-12 #2
task: ffff9faca0194480 task.stack: ffffae3849b3c000
RIP: 0010:check_preempt_curr+0x28/0x90`,
    expected: {
      kind: 'page-fault',
      title: 'NULL pointer dereference at 0x8d0 in check_preempt_curr+0x28/0x90',
      cpu: 3,
      comm: 'Xorg',
      tainted: 'GD',
      die: 5,
    },
  },
  {
    name: 'up to 4.x: a NULL pointer told as (null)',
    lines: `
BUG: unable to handle kernel NULL pointer dereference at           (null)
IP:           (null)
Oops: 0010 [#1] SMP
CPU: 0 PID: 12 Comm: a b Not tainted 4.8.0 #1
RIP: 0010:[<          (null)>]            (null)`,
    expected: {
      kind: 'page-fault',
      title: 'NULL pointer dereference at (null) in 0x0',
      comm: 'a b',
      die: 1,
      rip: '0x0',
    },
  },
  {
    name: '4.19: two CPUs at once, no callers in the log',
    lines: `
------------[ cut here ]------------
kernel BUG at mm/slub.c:294!
invalid opcode: 0000 [#1] SMP PTI
------------[ cut here ]------------
CPU: 7 PID: 154126 Comm: z_wr_int_2 Tainted: P           OE     4.19.43-300.el7.x86_64 #1
kernel BUG at mm/slub.c:294!
Hardware name: Intel Corporation S1600JP/S1600JP, BIOS SE5C600.86B.02.06.0002.101320150901 10/13/2015
RIP: 0010:__slab_free+0x24d/0x3d0
Call Trace:
 kmem_cache_free+0x1b0/0x1d0
 zio_done+0x3a5/0x11a0 [zfs]
---[ end trace 3fe4a2b1d0e8c9f7 ]---`,
    expected: {
      kind: 'bug',
      title: 'kernel BUG at mm/slub.c:294 in __slab_free+0x24d/0x3d0',
      cpu: 7,
      pid: 154126,
      comm: 'z_wr_int_2',
      tainted: 'POE',
      trace: ['kmem_cache_free+0x1b0/0x1d0', 'zio_done+0x3a5/0x11a0'],
    },
  },
  {
    name: '5.8: a fault under a warning of hours before',
    lines: `
------------[ cut here ]------------
WARNING: CPU: 2 PID: 11 at kernel/rcu/tree.c:613 rcu_eqs_enter.isra.0+0x4b/0x50
Modules linked in: kvmgt mdev
CPU: 2 PID: 11 Comm: rcu_sched Tainted: G     U     OE     5.8.7-arch1-1 #1
RIP: 0010:rcu_eqs_enter.isra.0+0x4b/0x50
---[ end trace 0a1b2c3d4e5f6071 ]---
usb 1-2: new high-speed USB device number 4 using xhci_hcd
BUG: kernel NULL pointer dereference, address: 0000000000000001
#PF: supervisor write access in kernel mode
#PF: error_code(0x0002) - not-present page
PGD 0 P4D 0
Oops: 0002 [#1] PREEMPT SMP PTI
CPU: 1 PID: 1939 Comm: qemu-system-x86 Tainted: G     U     OE     5.8.7-arch1-1 #1
Hardware name: Hewlett-Packard HP ProBook 430 G2/2246, BIOS M73 Ver. 01.51 05/21/2019
RIP: 0010:memcpy_erms+0x6/0x10
RSP: 0018:ffffb7c1816f3e60 EFLAGS: 00010202
CR2: 0000000000000001 CR3: 000000011b1c6004 CR4: 00000000003626e0
Call Trace:
 kvmgt_rw_gpa+0x92/0x110 [kvmgt]
 ? vfs_write+0x1f/0x2d0
Modules linked in: kvmgt(OE) mdev vfio_iommu_type1 vfio
 snd_hda_intel snd_hda_codec(E) [last unloaded: vboxdrv]
CR2: 0000000000000001
---[ end trace 7d2b8e1f0c9a3b45 ]---`,
    expected: {
      kind: 'page-fault',
      title: 'NULL pointer dereference at 0x1 in memcpy_erms+0x6/0x10',
      tainted: 'GUOE',
      cr2: 1n,
      trace: ['kvmgt_rw_gpa+0x92/0x110', 'vfs_write+0x1f/0x2d0'],
      modules: ['kvmgt(OE)', 'mdev', 'vfio_iommu_type1', 'vfio', 'snd_hda_intel', 'snd_hda_codec(E)'],
      events: ['warning', 'page-fault'],
      first: 'BUG: kernel NULL pointer dereference, address: 0000000000000001',
      last: '---[ end trace 7d2b8e1f0c9a3b45 ]---',
    },
  },
  {
    name: '5.8: a copy to user space stopped by the kernel',
    lines: `
usercopy: Kernel memory exposure attempt detected from SLUB object 'sock_inode_cache(6899:a1b14e7b)' (offset 177, size 29007)!
------------[ cut here ]------------
kernel BUG at mm/usercopy.c:99!
invalid opcode: 0000 [#1] SMP PTI
CPU: 16 PID: 2373466 Comm: qbittorrent-nox Kdump: loaded Tainted: P           OE     5.8.0-63-generic #71~20.04.1-Ubuntu
RIP: 0010:usercopy_abort+0x7b/0x7d
---[ end trace 11aa22bb33cc44dd ]---`,
    expected: {
      kind: 'corruption',
      title:
        "usercopy: Kernel memory exposure attempt detected from SLUB object 'sock_inode_cache(6899:a1b14e7b)' (offset 177, size 29007)! in usercopy_abort+0x7b/0x7d",
      cpu: 16,
      comm: 'qbittorrent-nox',
      die: 1,
      events: ['corruption'],
    },
  },
  {
    name: '5.15: a task name with a blank',
    lines: `
BUG: kernel NULL pointer dereference, address: 0000000000000008
#PF: supervisor write access in kernel mode
Oops: 0002 [#1] SMP NOPTI
CPU: 21 PID: 1065141 Comm: CPU 7/KVM Tainted: P           O      5.15.0-43-generic #46-Ubuntu
RIP: 0010:handle_removed_tdp_mmu_page+0x88/0x280 [kvm]`,
    expected: {
      kind: 'page-fault',
      title: 'NULL pointer dereference at 0x8 in handle_removed_tdp_mmu_page+0x88/0x280 [kvm]',
      comm: 'CPU 7/KVM',
      tainted: 'PO',
      module: 'kvm',
    },
  },
  {
    name: '6.1: a forced module, letters side by side',
    lines: `
BUG: kernel NULL pointer dereference, address: 00000000000002d0
Oops: 0000 [#1] PREEMPT SMP NOPTI
CPU: 7 PID: 15623 Comm: cat Tainted: GF          OE      6.1.0-22-2-amd64 #1  Debian 6.1.94-1
Hardware name:  Default string/Default string, BIOS Icld_Lcc_BIOS_v5.8.2 09/23/2024
RIP: 0010:bkn_proc_dma_read+0x1f/0x90 [linux_bcm_knet]`,
    expected: {
      tainted: 'GFOE',
      module: 'linux_bcm_knet',
      hardware: 'Default string/Default string, BIOS Icld_Lcc_BIOS_v5.8.2 09/23/2024',
    },
  },
  {
    name: '5.10: a kworker with a colon in its name',
    lines: `
watchdog: BUG: soft lockup - CPU#2 stuck for 23s! [kworker/2:1:25629]
Modules linked in: xt_nat
CPU: 2 PID: 25629 Comm: kworker/2:1 Tainted: G           OEL    5.10.0-18-2-amd64 #1 Debian 5.10.140-1
Workqueue: rcu_gp wait_rcu_exp_gp
RIP: 0010:smp_call_function_single+0xa5/0x100
Call Trace:
 ? __sync_rcu_exp_select_node_cpus+0x4a0/0x4a0
 wait_rcu_exp_gp+0xf/0x20
usb 1-1: reset high-speed USB device`,
    expected: {
      kind: 'soft-lockup',
      comm: 'kworker/2:1',
      pid: 25629,
      workqueue: 'rcu_gp wait_rcu_exp_gp',
      rip: 'smp_call_function_single+0xa5/0x100',
      last: ' wait_rcu_exp_gp+0xf/0x20',
    },
  },
  {
    name: '6.15: a breakpoint nobody set, callers in the log, another CPU in between',
    lines: `
[  150.665871][    C0] Oops: int3: 0000 [#1] SMP KASAN NOPTI
[  150.665887][    C0] CPU: 0 UID: 0 PID: 5959 Comm: syz-executor130 Not tainted 6.15.0-syzkaller #0 PREEMPT(full)
[  150.665890][  T812] usb 2-1: device descriptor read/64, error -71
[  150.665905][    C0] RIP: 0010:kmem_cache_alloc_noprof+0x83/0x3b0
[  150.665910][   T31] INFO: task kworker/0:1:9 blocked for more than 143 seconds.
[  150.665912][    C0] Call Trace:
[  150.665915][   T31]       Not tainted 6.15.0-syzkaller #0
[  150.665920][    C0]  <TASK>
[  150.665925][    C0]  getname_flags+0xb8/0x540
[  150.700000][    C0] ---[ end trace 0000000000000000 ]---
[  150.710000][    C0] Kernel panic - not syncing: Fatal exception in interrupt`,
    expected: {
      kind: 'exception',
      title: 'int3 in kmem_cache_alloc_noprof+0x83/0x3b0',
      trace: ['getname_flags+0xb8/0x540'],
      events: ['exception', 'hung-task', 'exception'],
      panic: 'Fatal exception in interrupt',
      last: 'Kernel panic - not syncing: Fatal exception in interrupt',
    },
  },
  {
    name: '7.2: taint spelled out',
    lines: `
Oops: Oops: 0000 [#1] SMP NOPTI
CPU: 9 UID: 0 PID: 138 Comm: kswapd0 Tainted: G      D    OE       7.2.0-ogc6.1.fc44.x86_64 #1 PREEMPT(lazy)
Tainted: [D]=DIE, [O]=OOT_MODULE, [E]=UNSIGNED_MODULE
RIP: 0010:remove_assoc_queue+0x3b/0x450`,
    expected: { kind: 'exception', tainted: 'GDOE', comm: 'kswapd0', die: 1 },
  },
  {
    name: 'a hung task that panicked',
    lines: `
INFO: task balenad:4049 blocked for more than 120 seconds.
      Not tainted 4.9.140-l4t-r32.4 #1
"echo 0 > /proc/sys/kernel/hung_task_timeout_secs" disables this message.
balenad         D    0  4049      1 0x00000008
Call trace:
[<ffffff80080863a4>] __switch_to+0x9c/0xc0
[<ffffff8008f0d09c>] __schedule+0x22c/0x570
Kernel panic - not syncing: hung_task: blocked tasks
CPU: 3 PID: 47 Comm: khungtaskd Not tainted 4.9.140-l4t-r32.4 #1`,
    expected: {
      kind: 'hung-task',
      title: 'hung task: balenad, task 4049, blocked for more than 120 seconds',
      panic: 'hung_task: blocked tasks',
      cpu: 3,
      comm: 'khungtaskd',
      trace: ['__switch_to+0x9c/0xc0', '__schedule+0x22c/0x570'],
    },
  },
  {
    name: '7.2: blocked in I/O',
    lines: `
INFO: task kworker/u8:0:5 blocked in I/O wait for more than 122 seconds.`,
    expected: {
      kind: 'hung-task',
      title: 'hung task: kworker/u8:0, task 5, blocked in I/O wait for more than 122 seconds',
      comm: 'kworker/u8:0',
      pid: 5,
    },
  },
  {
    name: 'a machine check',
    lines: `
mce: [Hardware Error]: CPU 7: Machine Check Exception: 5 Bank 0: b200000080060001
mce: [Hardware Error]: RIP !INEXACT! 33:<00007f181dce2d3c>
mce: [Hardware Error]: TSC 2b0a54e5d4
mce: [Hardware Error]: PROCESSOR 0:906ed TIME 1787000000 SOCKET 0 APIC e microcode 104
mce: [Hardware Error]: Machine check: Processor context corrupt
Kernel panic - not syncing: Fatal machine check`,
    expected: {
      kind: 'machine-check',
      title: 'CPU 7: Machine Check Exception: 5 Bank 0: b200000080060001',
      panic: 'Fatal machine check',
      cpu: 7,
      events: ['machine-check', 'machine-check'],
    },
  },
  {
    name: 'memory gone, and nobody left to kill',
    lines: `
systemd-userdbd invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0
CPU: 3 PID: 724 Comm: systemd-userdbd Tainted: G        W  OE     5.10.35perf+ #1
Out of memory and no killable processes...
Kernel panic - not syncing: System is deadlocked on memory`,
    expected: {
      kind: 'out-of-memory',
      title: 'out of memory: systemd-userdbd invoked the OOM killer',
      panic: 'System is deadlocked on memory',
      pid: 724,
    },
  },
  {
    name: 'init killed by its own oops',
    lines: `
BUG: unable to handle page fault for address: ffffc90000200000
Oops: 0002 [#1] SMP
CPU: 0 PID: 1 Comm: init Not tainted 5.15.0 #1
RIP: 0010:some_driver_write+0x40/0x80 [some]
---[ end trace 0000000000000000 ]---
Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000009`,
    expected: {
      kind: 'page-fault',
      title: 'page fault at 0xffffc90000200000 in some_driver_write+0x40/0x80 [some]',
      panic: 'Attempted to kill init! exitcode=0x00000009',
    },
  },
  {
    name: 'a list found broken',
    lines: `
list_del corruption. prev->next should be ffff888104a0e0c8, but was dead000000000122
------------[ cut here ]------------
kernel BUG at lib/list_debug.c:59!
Oops: invalid opcode: 0000 [#1] PREEMPT SMP NOPTI
CPU: 2 UID: 1000 PID: 4711 Comm: worker Not tainted 6.12.5 #1
RIP: 0010:__list_del_entry_valid_or_report+0x96/0xe0
---[ end trace 0000000000000000 ]---
note: worker[4711] exited with irqs disabled
Kernel panic - not syncing: Fatal exception`,
    expected: {
      kind: 'corruption',
      die: 1,
      pid: 4711,
      panic: 'Fatal exception',
      first: 'list_del corruption. prev->next should be ffff888104a0e0c8, but was dead000000000122',
      events: ['corruption', 'exception'],
    },
  },
  {
    name: 'KASAN with panic_on_warn',
    lines: `
==================================================================
BUG: KASAN: slab-use-after-free in nft_do_chain+0x1a/0x90 [nf_tables]
Read of size 8 at addr ffff88810c8f4a08 by task iperf3/977
CPU: 1 UID: 0 PID: 977 Comm: iperf3 Not tainted 6.12.0 #1
Call Trace:
 <TASK>
 dump_stack_lvl+0x53/0x70
 </TASK>
Allocated by task 900:
 kasan_save_stack+0x24/0x50
==================================================================
Kernel panic - not syncing: KASAN: panic_on_warn set ...`,
    expected: {
      kind: 'sanitizer',
      title: 'KASAN: slab-use-after-free in nft_do_chain+0x1a/0x90 [nf_tables]',
      panic: 'KASAN: panic_on_warn set ...',
      pid: 977,
    },
  },
  {
    name: 'a stack smashed',
    lines: 'Kernel panic - not syncing: stack-protector: Kernel stack is corrupted in: foo_ioctl+0x1b4/0x1c0 [foo]',
    expected: { kind: 'corruption', cpu: undefined, comm: undefined },
  },
  {
    name: 'a file system told to',
    lines: 'Kernel panic - not syncing: EXT4-fs (device dm-0): panic forced after error',
    expected: { kind: 'panic', title: 'EXT4-fs (device dm-0): panic forced after error' },
  },
  {
    name: 'before 5.x sysrq crashed by a NULL pointer',
    lines: `
sysrq: SysRq : Trigger a crash
BUG: unable to handle kernel NULL pointer dereference at 0000000000000000
IP: sysrq_handle_crash+0x16/0x20
Oops: 0002 [#1] SMP
CPU: 2 PID: 5290 Comm: bash Not tainted 4.14.0 #1
RIP: 0010:sysrq_handle_crash+0x16/0x20
---[ end trace 9c6e2f1a7d8b4c35 ]---
Kernel panic - not syncing: Fatal exception`,
    expected: { kind: 'sysrq', title: 'crash triggered by sysrq in sysrq_handle_crash+0x16/0x20', pid: 5290, die: 1 },
  },
  {
    name: 'arm: another architecture in about the same words',
    lines: `
Unable to handle kernel NULL pointer dereference at virtual address 0000000c
pgd = 6f458410
[0000000c] *pgd=0d3e2831, *pte=00000000, *ppte=00000000
Internal error: Oops: 17 [#2] ARM
Modules linked in: fuse rfcomm bnep bcm2835_codec(C)
CPU: 0 PID: 7690 Comm: htop Tainted: G      D  C        5.4.79+ #1373
Hardware name: BCM2835
PC is at seq_vprintf+0x18/0x64`,
    expected: {
      kind: 'page-fault',
      title: 'NULL pointer dereference at 0xc in seq_vprintf+0x18/0x64',
      tainted: 'GDC',
      die: 2,
      modules: ['fuse', 'rfcomm', 'bnep', 'bcm2835_codec(C)'],
    },
  },
  {
    name: 'only a warning: no end',
    lines: `
------------[ cut here ]------------
refcount_t: underflow; use-after-free.
WARNING: CPU: 46 PID: 0 at lib/refcount.c:28 refcount_warn_saturate+0xba/0x110
Modules linked in: dm_mod
CPU: 46 PID: 0 Comm: swapper/46 Not tainted 5.14.0 #1
---[ end trace 0000000000000000 ]---
systemd[1]: Started something.`,
    expected: { kind: undefined, events: ['warning'], first: '' },
  },
];

for (const { name, lines, expected } of OTHERS) {
  test(`another machine's end: ${name}`, () => check(name, crashOf(lines.replace(/^\n/, '').split('\n')), expected));
}

test('what users write into the log is not the kernel speaking', () => {
  const lines = ['Kernel panic - not syncing: just kidding', 'BUG: kernel NULL pointer dereference, address: 0'];
  const crash = findCrash({ records: recordsOf(lines, { facility: 1 }), joinsContinuations: false });
  assert.deepEqual(crash.events, []);
  assert.equal(crash.cause, undefined);
});

test('every event says where in the log it is', () => {
  const lines = fixtureLines('crashes/6.1-bug.txt');
  const records = recordsOf(lines);
  const { events } = findCrash({ records, joinsContinuations: false });
  for (const event of events) {
    assert.equal(records[event.from]?.text, event.lines[0]);
    assert.equal(records[event.to]?.text, event.lines.at(-1));
    assert.equal(event.timeNanoseconds, records[event.from]?.timeNanoseconds);
  }
});

test('continuation records of kernels up to 4.9 are read as the lines that they were', () => {
  const [head, tail] = recordsOf(['Modules linked in:', ' nfs lockd']);
  const [bug, oops, cpu, end] = recordsOf([
    'BUG: unable to handle kernel paging request at ffffc90000200000',
    'Oops: 0002 [#1] SMP',
    'CPU: 0 PID: 9 Comm: x Not tainted 4.4.0 #1',
    '---[ end trace 18cc81c235915f97 ]---',
  ]);
  assert.ok(head && tail && bug && oops && cpu && end);
  const records = [
    bug,
    oops,
    { ...head, newline: false, continuation: true },
    { ...tail, continuation: true },
    cpu,
    end,
  ];
  const crash = findCrash({ records, joinsContinuations: true });
  assert.deepEqual(crash.cause?.modules, ['nfs', 'lockd']);
  assert.ok(crash.text.includes('Modules linked in: nfs lockd'));
});

test('an event ends where time goes by', () => {
  const lines = [
    '[   10.000000] watchdog: BUG: soft lockup - CPU#1 stuck for 22s! [dd:77]',
    '[   10.000001] CPU: 1 PID: 77 Comm: dd Not tainted 6.1.0 #1',
    '[   99.000000] Call Trace:',
  ];
  assert.equal(crashOf(lines).cause?.lines.length, 2);
});

test('a log full of events is read in a time that grows with it, not with its square', () => {
  const started = performance.now();
  const mce = Array.from(
    { length: 60_000 },
    (_, i) => `mce: [Hardware Error]: CPU ${i}: Machine Check: 0 Bank 6: cc59`,
  );
  assert.equal(crashOf(mce).events[0]?.kind, 'machine-check');
  const callers = Array.from({ length: 60_000 }, (_, i) =>
    i % 2 === 0
      ? `[    1.000000][T${i}] INFO: task x:${i} blocked for more than 120 seconds.`
      : `[    1.000000][T${i}] NMI backtrace for cpu 1`,
  );
  assert.ok(crashOf(callers).events.length === 30_000);
  assert.ok(performance.now() - started < 20_000);
});

test('a log without an end has no cause', () => {
  const crash = crashOf(['Linux version 6.1', 'x86/fpu: x87 FPU will use FXSAVE']);
  assert.deepEqual(crash.events, []);
  assert.equal(crash.panicMessage, undefined);
  assert.deepEqual(crash.text, []);
});

test('fuzz: oops lines torn, mixed and made long give events within the log, soon', () => {
  const lines = [
    ...Object.keys(GUESTS).flatMap((name) => fixtureLines(`crashes/${name}.txt`)),
    ...OTHERS.flatMap((other) => other.lines.split('\n')),
  ];
  for (let seed = 1; seed <= 60; seed++) {
    const random = new Random(seed);
    const torn = Array.from({ length: 400 }, () => {
      const line = lines[random.below(lines.length)] ?? '';
      const cut = line.slice(random.below(4) === 0 ? random.below(line.length + 1) : 0);
      const tail = random.pick(['', '', '', ' ', '+', ':', 'A']);
      return cut + tail.repeat(random.below(6) === 0 ? 60_000 : 1);
    });
    const started = performance.now();
    try {
      const crash = crashOf(torn);
      for (const { from, to, lines: own, title } of crash.events) {
        assert.ok(from >= 0 && from <= to && to < torn.length);
        assert.ok(own.length > 0 && title.length < 10_000);
      }
    } catch (error) {
      if (!isExhumeError(error)) throw error;
    }
    assert.ok(performance.now() - started < 20_000, `seed ${seed} took too long`);
  }
});
