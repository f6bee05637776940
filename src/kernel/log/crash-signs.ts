/** What ended a kernel, or hurt it. */
export type CrashKind =
  /** panic() for a reason of its own. */
  | 'panic'
  /** Someone asked for it: `echo c > /proc/sysrq-trigger`, Alt-SysRq-c. */
  | 'sysrq'
  /** The kernel used an address that is not mapped, or not so; a NULL pointer is one. */
  | 'page-fault'
  | 'general-protection'
  /** BUG() and BUG_ON(). */
  | 'bug'
  /** Another CPU exception in kernel code: divide error, invalid opcode, int3 … */
  | 'exception'
  | 'double-fault'
  | 'stack-overflow'
  /** Found damaged: a list, a slab, a page, a stack, by the kernel's own checks. */
  | 'corruption'
  /** KASAN, KFENCE, KMSAN, KCSAN, UBSAN. */
  | 'sanitizer'
  | 'warning'
  /** Sleeping or scheduling where that is not allowed. */
  | 'atomic-sleep'
  | 'soft-lockup'
  | 'hard-lockup'
  | 'workqueue-lockup'
  | 'hung-task'
  | 'rcu-stall'
  | 'out-of-memory'
  | 'machine-check'
  | 'nmi'
  /** The first user process ended. */
  | 'init-died'
  /** No root file system, or no init on it. */
  | 'no-root';

/**
 * panic: the end. die: the kernel killed what ran, or itself. stuck: something makes no progress.
 * notice: it went on, and this may explain why it did not go on later.
 */
export type CrashWeight = 'panic' | 'die' | 'stuck' | 'notice';

/** A line that begins a crash event. */
export interface Sign {
  readonly kind: CrashKind;
  readonly weight: CrashWeight;
  /** Named groups: `what`, `where`, `address`, `cpu`, `pid`, `comm`, `die` (the number in `[#1]`). */
  readonly pattern: RegExp;
  /** The event in one line, from the pattern's groups. */
  readonly title: (groups: Readonly<Record<string, string | undefined>>) => string;
}

const sign = (kind: CrashKind, weight: CrashWeight, pattern: RegExp, title: Sign['title']): Sign => ({
  kind,
  weight,
  pattern,
  title,
});

/** `0000000000000014`, `(null)`, `0x25b5…`: as one kind of number. */
function address(text: string | undefined): string {
  const digits = /^(?:0x)?0*([0-9a-f]+)$/.exec(text?.trim() ?? '')?.[1];
  return digits === undefined ? (text ?? '').trim() : `0x${digits}`;
}

/** Addresses that printk hashed or hid tell nothing. */
const at = (text: string | undefined): string =>
  text === undefined || address(text) === '' || text.includes('ptrval') ? '' : ` at ${address(text)}`;
const inside = (text: string | undefined): string => (text === undefined ? '' : ` in ${text}`);

/**
 * The lines that begin an event, the more particular ones first. The texts are those of x86-64 kernels 3.0 to 7.2
 * (arch/x86/mm/fault.c, arch/x86/kernel/{dumpstack,traps,nmi}.c, kernel/{panic,watchdog,hung_task}.c, lib/bug.c, mm/oom_kill.c,
 * kernel/rcu/tree_stall.h, mm/kasan), and where they look alike those of other architectures.
 */
export const SIGNS: readonly Sign[] = [
  sign('panic', 'panic', /^Kernel panic(?: - not syncing)?: ?(?<what>.*)$/, ({ what }) => what ?? ''),
  sign(
    'page-fault',
    'die',
    /^BUG: (?:unable to handle )?kernel (?<what>NULL pointer dereference|paging request)(?:,? at|, address:| for address:?)?\s*(?<address>\S.*)?$/,
    ({ what, address }) => `${what}${at(address)}`,
  ),
  sign(
    'page-fault',
    'die',
    /^BUG: unable to handle (?<what>page fault|page-fault|paging request)(?: for address| at)?:?\s*(?<address>\S.*)?$/,
    ({ address }) => `page fault${at(address)}`,
  ),
  sign(
    'page-fault',
    'die',
    /^Unable to handle kernel (?<what>NULL pointer dereference|paging request|access to user memory[^a]*|.*?)(?: at (?:virtual address|vaddr)?\s*(?<address>\S+))?$/,
    ({ what, address }) => `${what}${at(address)}`,
  ),
  sign(
    'page-fault',
    'die',
    /^(?:kernel tried to execute (?<what>NX-protected) page|unable to execute (?<where>userspace code \(SMEP\?\))).*$/,
    ({ what, where }) => `the kernel jumped to ${what === undefined ? where : 'data'}`,
  ),
  sign(
    'stack-overflow',
    'die',
    /^BUG: (?:\S+ )?stack guard page was hit at (?<address>\S+)/,
    ({ address }) => `kernel stack overflow, guard page hit${at(address)}`,
  ),
  sign(
    'stack-overflow',
    'die',
    /^(?<what>kernel stack overflow \(\S+\)): [0-9a-f]+ \[#(?<die>\d+)\]/,
    () => 'kernel stack overflow',
  ),
  sign('double-fault', 'die', /^(?:traps: )?PANIC: (?<what>double fault)\b/, () => 'double fault'),
  sign('double-fault', 'die', /^(?:Oops: )?double fault: [0-9a-f]+ \[#(?<die>\d+)\]/, () => 'double fault'),
  sign(
    'general-protection',
    'die',
    /^(?:Oops: )?general protection fault(?:, (?<what>probably|maybe) for (?:non-canonical )?address (?<address>0x[0-9a-f]+))?: [0-9a-f]+ \[#(?<die>\d+)\]/,
    ({ address }) => `general protection fault${address === undefined ? '' : `, address ${address}`}`,
  ),
  sign(
    'bug',
    'die',
    /^kernel BUG at (?<where>\S+?)!?(?: \[verbose debug info unavailable\])?$/,
    ({ where }) => `kernel BUG at ${where}`,
  ),
  sign(
    'corruption',
    'notice',
    /^(?<what>list_(?:add|del)\b.* corruption\b.*|list_(?:add|del) (?:double add|corruption)\b.*|usercopy: .*(?:attempt detected|exposure|overwrite).*|stack segment corrupted.*|slab error in .*|cache_from_obj: .*)$/,
    ({ what }) => what ?? '',
  ),
  sign(
    'exception',
    'die',
    /^(?:Internal error: )?Oops(?: - (?<what>[^:]+))?: [0-9a-f]+ \[#(?<die>\d+)\]/,
    ({ what }) => what ?? 'oops',
  ),
  // Since 6.10 `Oops: ` stands before every kind.
  sign(
    'exception',
    'die',
    /^(?:Oops: )?(?<what>[A-Za-z#][A-Za-z0-9 #,-]{2,60}): [0-9a-f]{4,16} \[#(?<die>\d+)\]/,
    ({ what }) => what ?? '',
  ),
  sign(
    'warning',
    'notice',
    /^WARNING: (?:CPU: (?<cpu>\d+) PID: (?<pid>\d+) )?at (?<where>\S+:\d+) (?<what>\S+(?: \[\S+\])?)$/,
    ({ where, what }) => `warning at ${where}${inside(what)}`,
  ),
  sign(
    'warning',
    'notice',
    /^WARNING: (?:(?<where>\S+:\d+) )?at (?<what>\S+(?: \[\S+\])?), CPU#(?<cpu>\d+): (?<comm>.*)\/(?<pid>\d+)$/,
    ({ where, what }) => `warning${where === undefined ? '' : ` at ${where}`}${inside(what)}`,
  ),
  sign('warning', 'notice', /^WARNING: (?<what>.*)$/, ({ what }) => `warning: ${what}`),
  sign(
    'soft-lockup',
    'stuck',
    /^(?:(?:NMI )?watchdog: )?BUG: soft lockup - CPU#(?<cpu>\d+) stuck for (?<what>\d+s)! \[(?<comm>.*):(?<pid>\d+)\]/,
    ({ cpu, what, comm, pid }) => `soft lockup: CPU ${cpu} stuck for ${what} in ${comm}, task ${pid}`,
  ),
  sign(
    'hard-lockup',
    'stuck',
    /^(?:(?:NMI )?watchdog: )?(?:CPU\d+: )?Watchdog (?:CPU:\d+ )?detected hard LOCKUP on cpu (?<cpu>\d+)/i,
    ({ cpu }) => `hard lockup: CPU ${cpu} takes no interrupts`,
  ),
  sign('workqueue-lockup', 'stuck', /^BUG: workqueue lockup - (?<what>.*)$/, ({ what }) => `workqueue lockup: ${what}`),
  sign(
    'hung-task',
    'stuck',
    /^INFO: task (?<comm>.*):(?<pid>\d+) blocked(?<where> in I\/O wait)? for more than (?<what>\d+) seconds/,
    ({ comm, pid, what, where }) =>
      `hung task: ${comm}, task ${pid}, blocked${where ?? ''} for more than ${what} seconds`,
  ),
  sign(
    'rcu-stall',
    'stuck',
    /^(?:rcu: )?INFO: (?<what>\S{0,32}rcu\S{0,32} (?:self-)?detected (?:expedited )?stalls? on .*?):?$/,
    ({ what }) => `RCU stall: ${what}`,
  ),
  sign(
    'out-of-memory',
    'notice',
    /^(?<comm>.*) invoked oom-killer: (?<what>.*)$/,
    ({ comm }) => `out of memory: ${comm} invoked the OOM killer`,
  ),
  sign('sysrq', 'notice', /^(?:sysrq: ?)?(?:SysRq ?: ?)?Trigger a crash\b/i, () => 'crash triggered by sysrq'),
  sign(
    'machine-check',
    'notice',
    /^(?:mce: )?\[Hardware Error\]: (?<what>(?:CPU (?<cpu>\d+): )?Machine Check(?: Exception)?: .*)$/,
    ({ what }) => what ?? '',
  ),
  sign(
    'nmi',
    'notice',
    /^(?:Uhhuh\. )?(?<what>NMI received for unknown reason \S+ on CPU (?<cpu>\d+)|NMI: (?:IOCK|PCI system) error.*)\.?$/,
    ({ what }) => what ?? '',
  ),
  sign(
    'sanitizer',
    'notice',
    /^BUG: (?<what>K[A-Z]*SAN|KFENCE): (?<where>.*)$/,
    ({ what, where }) => `${what}: ${where}`,
  ),
  sign('sanitizer', 'notice', /^UBSAN: (?<where>.*)$/, ({ where }) => `UBSAN: ${where}`),
  sign(
    'atomic-sleep',
    'notice',
    /^BUG: (?<what>scheduling while atomic: .*|sleeping function called from invalid context at .*)$/,
    ({ what }) => what ?? '',
  ),
  sign('corruption', 'notice', /^BUG[: ]\s*(?<what>.*)$/, ({ what }) => what ?? ''),
];

/** `------------[ cut here ]------------`: an event begins, and one of the next lines says which. */
export const CUT_HERE = /^-+\[ cut here \]-+$/;

/** What panic() says, and what it comes of. */
export interface PanicReason {
  readonly pattern: RegExp;
  readonly kind: CrashKind;
  /** The panic only follows from an event of one of these kinds or weights before it. */
  readonly follows?: readonly (CrashKind | CrashWeight)[];
  /** Of several such events, the first one in the log is the cause, or the last one before the panic. */
  readonly which?: 'first' | 'last';
}

const DIE: readonly CrashWeight[] = ['die'];

/** The messages of panic() that say what kind of end it was; any other is a `panic` of its own. */
export const PANIC_REASONS: readonly PanicReason[] = [
  { pattern: /^sysrq triggered crash/, kind: 'sysrq' },
  { pattern: /^Fatal exception\b|^Oops\b|oopsed too often/, kind: 'exception', follows: DIE, which: 'first' },
  {
    pattern: /^Aiee, killing interrupt handler|^Attempted to kill the idle task/,
    kind: 'exception',
    follows: DIE,
    which: 'first',
  },
  {
    pattern: /panic_on_warn set|system warned too often/,
    kind: 'warning',
    follows: ['warning', 'sanitizer', 'atomic-sleep', 'corruption'],
    which: 'last',
  },
  { pattern: /^softlockup: hung tasks/, kind: 'soft-lockup', follows: ['soft-lockup'], which: 'last' },
  { pattern: /^(?:Watchdog detected )?Hard LOCKUP/i, kind: 'hard-lockup', follows: ['hard-lockup'], which: 'last' },
  { pattern: /^workqueue/i, kind: 'workqueue-lockup', follows: ['workqueue-lockup'], which: 'last' },
  { pattern: /^hung_task: blocked tasks/, kind: 'hung-task', follows: ['hung-task'], which: 'last' },
  { pattern: /^RCU Stall/i, kind: 'rcu-stall', follows: ['rcu-stall'], which: 'last' },
  {
    pattern: /^Out of memory\b|^System is deadlocked on memory/,
    kind: 'out-of-memory',
    follows: ['out-of-memory'],
    which: 'last',
  },
  { pattern: /^Attempted to kill init/, kind: 'init-died' },
  {
    pattern: /^VFS: Unable to mount root fs|^No (?:working )?init found|^Requested init .* failed|^Unable to find root/,
    kind: 'no-root',
  },
  {
    pattern: /machine check|^MCE\b|^Fatal hardware error/i,
    kind: 'machine-check',
    follows: ['machine-check'],
    which: 'first',
  },
  { pattern: /\bNMI\b/, kind: 'nmi', follows: ['nmi'], which: 'last' },
  {
    pattern: /stack guard hit|stack overflow|^Machine halted/,
    kind: 'stack-overflow',
    follows: ['stack-overflow', 'double-fault'],
    which: 'first',
  },
  { pattern: /^stack-protector:|^[Cc]orrupted stack end|is corrupted/, kind: 'corruption' },
];
