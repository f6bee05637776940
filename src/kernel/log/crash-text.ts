import {
  type CrashKind,
  type CrashWeight,
  CUT_HERE,
  PANIC_REASONS,
  type PanicReason,
  SIGNS,
  type Sign,
} from './crash-signs.js';
import { type OopsHeader, parseOopsHeader } from './oops-header.js';
import { callerName, type KernelLog, type LogRecord } from './record.js';

export type { CrashKind, CrashWeight } from './crash-signs.js';
export type { OopsHeader, TraceLine } from './oops-header.js';

/** One thing that went wrong, as the log tells it. What the text does not say is undefined. */
export interface CrashEvent extends OopsHeader {
  readonly kind: CrashKind;
  readonly weight: CrashWeight;
  /** In one line, with where it happened: `NULL pointer dereference at 0x20 in zap_leaf_lookup+0x4d/0x170 [zfs]`. */
  readonly title: string;
  /** The line that says what happened, as printed. */
  readonly message: string;
  /** The number in `[#1]`: the oopses of one boot are counted. */
  readonly dieNumber: number | undefined;
  /** Nanoseconds since boot. */
  readonly timeNanoseconds: bigint | undefined;
  /** Indexes into the log's records: the first and the last one that belong to it. */
  readonly from: number;
  readonly to: number;
  /** Its lines as printed, without times; other CPUs' lines in between are left out where the log names callers. */
  readonly lines: readonly string[];
}

/** Why a kernel died, as far as its log tells. */
export interface CrashText {
  /** What began it: the first oops rather than the panic that followed from it. Undefined: the log shows no end. */
  readonly cause: CrashEvent | undefined;
  /** The panic, whether it is the cause or its consequence. */
  readonly panic: CrashEvent | undefined;
  /** What follows `Kernel panic - not syncing: `. */
  readonly panicMessage: string | undefined;
  /** All events, in the order of their first lines. */
  readonly events: readonly CrashEvent[];
  /** CPU and task that it died on, from the panic's own lines or else the cause's. */
  readonly cpu: number | undefined;
  readonly pid: number | undefined;
  readonly comm: string | undefined;
  readonly tainted: string | undefined;
  /** The KASLR offset that the panic printed, in bytes: 0 where it printed `disabled`. */
  readonly kernelOffset: bigint | undefined;
  /** The cause's lines and then the panic's. */
  readonly text: readonly string[];
}

/** Reads why the kernel died out of its log. Never throws. Only the kernel's own messages count: any user may write others. */
export function findCrash(log: Pick<KernelLog, 'records' | 'joinsContinuations'>): CrashText {
  const events = new EventScan(log).scan();
  const panic = events.find((event) => event.weight === 'panic');
  const cause = causeOf(events, panic);
  const both = [panic, cause];
  const known = both.find((event) => event?.cpu !== undefined) ?? both.find((event) => event?.pid !== undefined);
  return {
    cause,
    panic,
    panicMessage: panic === undefined ? undefined : panicMessage(panic),
    events,
    cpu: known?.cpu,
    pid: known?.pid,
    comm: known?.comm,
    tainted: both.find((event) => event?.tainted !== undefined)?.tainted,
    kernelOffset: kernelOffset(log.records),
    text: [...(cause?.lines ?? []), ...(panic === undefined || panic === cause ? [] : panic.lines)],
  };
}

function panicMessage(panic: CrashEvent): string {
  return panic.message.replace(/^Kernel panic(?: - not syncing)?: ?/, '');
}

/** Most panics follow from an event before them; which one depends on what the panic says. */
function causeOf(events: readonly CrashEvent[], panic: CrashEvent | undefined): CrashEvent | undefined {
  if (panic === undefined) {
    return events.find(({ weight }) => weight === 'die') ?? events.find(({ weight }) => weight === 'stuck');
  }
  const before = events.slice(0, events.indexOf(panic));
  const reason = reasonOf(panicMessage(panic));
  if (reason?.follows !== undefined) {
    const candidates = before.filter(({ kind, weight }) =>
      reason.follows?.some((each) => each === kind || each === weight),
    );
    const cause = reason.which === 'first' ? candidates[0] : candidates.at(-1);
    return cause ?? panic;
  }
  // init dies of an oops of its own, too.
  const oops = before.find(({ weight, pid }) => weight === 'die' && pid === 1);
  return reason?.kind === 'init-died' && oops !== undefined ? oops : panic;
}

function reasonOf(message: string): PanicReason | undefined {
  return PANIC_REASONS.find(({ pattern }) => pattern.test(message));
}

function kernelOffset(records: readonly LogRecord[]): bigint | undefined {
  for (let i = records.length - 1; i >= 0; i--) {
    const [, offset] = /^Kernel Offset: (0x[0-9a-f]+ from|disabled)/.exec(records[i]?.text ?? '') ?? [];
    if (offset !== undefined && records[i]?.facility === 0) {
      return offset === 'disabled' ? 0n : BigInt(offset.slice(0, -' from'.length));
    }
  }
  return undefined;
}

/** A line of the log and the record that it is in. */
interface Line {
  readonly text: string;
  readonly index: number;
  readonly record: LogRecord;
}

/** An event that is being collected. */
interface Open {
  sign: Sign | undefined;
  groups: Readonly<Record<string, string | undefined>>;
  message: string;
  die: string | undefined;
  readonly first: Line;
  /** The last line that looks like a part of it, and how many lines there were then. */
  last: Line;
  kept: number;
  readonly lines: string[];
  /** The line that names CPU and task was seen. */
  headed: boolean;
  /** Its end marker was seen; only registers may still follow. */
  ended: boolean;
  /** Another CPU's `cut here` stands in it, as the log does not name callers: its BUG line will, too. */
  mixed: boolean;
}

/** Longer lines are cut before they are looked at; printk's own are at most 1 KiB. */
const LONGEST_LINE = 4096;
/** An event that goes on for longer is cut; nothing that a kernel prints as one does. */
const MOST_LINES = 2000;
/** So many lines that look like nothing of an event are let pass inside one whose end is marked, and at the beginning of any. */
const MOST_STRANGE = 8;
const MOST_STRANGE_FIRST = 3;
/** What comes later than this after an event's last line is no part of it. */
const MOST_NANOSECONDS = 10_000_000_000n;

const HEAD = /^(?:CPU: \d|PID: \d|Pid: \d)/;
const BACKTRACE = /^NMI backtrace for cpu \d+/;
const END = /^---\[ end (?:trace|Kernel panic)\b/;
/** What is printed once more after the end of an oops that panics. */
const REGISTERS = /^(?:RIP|RSP|E?IP|Code|R[A-D]X|R[SD]I|RBP|R\d\d|EFLAGS|FS|CS|DS|CR\d|DR\d|PKRU|note): ?/;
/** What an event's lines begin with, besides frames and registers. */
const PART =
  /^(?:CPU: |PID: |Pid: |Hardware name: |Workqueue: |Modules linked in:|Call [Tt]race:|Tainted: |Stack:|Oops: |PGD |\*pgd|#PF: |BAD |task: |Sched_ext: |Kernel Offset: |Rebooting in |Dumping ftrace|Shutting down cpus|Bringing down|ACPI MEMORY|unloaded tainted|Unloaded tainted|\[last unloaded|irq event stamp|(?:hard|soft)irqs last|Thread overran|IDT: |TR: |LDTR: |Allocated by|Freed by|The buggy|Memory state|Read of size|Write of size|page:|page dumped|raw: |flags: |Mem-Info|Node \d|rcu:|\(detected by|\(t=\d|Sending NMI|NMI backtrace|mce: |\[Hardware Error\]|task:|Not tainted|"echo 0 >|Blocked by|INFO: task .{1,32} is blocked on |Showing |Process |Internal error|Mem abort|Data abort|x\d+ ?:|pc : |lr : |sp : |PC is at |LR is at |pstate: |user pgtable|=+$|-+\[)/;
const FRAME_LIKE =
  /^\s*(?:<\/?[A-Z#][\w#]*>|\[<[0-9a-f]+>\]|\?|(?:[0-9a-f]{16}|[0-9a-f]{8}) |\S+\+0x[0-9a-f]+\/0x[0-9a-f]+)/;

class EventScan {
  /** One event at a time for each task or CPU that prints. */
  private readonly open = new Map<string, Open>();
  private readonly done = new Set<Open>();
  /** The last event of something stuck that began: its finder asks the other CPUs for their stacks. */
  private asking: Open | undefined;

  constructor(private readonly log: Pick<KernelLog, 'records' | 'joinsContinuations'>) {}

  scan(): CrashEvent[] {
    for (const line of linesOf(this.log)) this.take(line);
    for (const event of this.open.values()) this.done.add(event);
    return [...this.done]
      .filter((event) => event.sign !== undefined)
      .sort((a, b) => a.first.index - b.first.index)
      .map(eventOf)
      .filter((event): event is CrashEvent => event !== undefined);
  }

  private take(line: Line): void {
    const key = line.record.caller === undefined ? '' : callerName(line.record.caller);
    if (BACKTRACE.test(line.text)) this.lend(key);
    const before = this.open.get(key);
    if (before !== undefined && isLate(before, line)) this.close(key, before);
    const open = this.open.get(key);
    const found = CUT_HERE.test(line.text) ? 'cut' : match(line.text);
    if (found === undefined) {
      if (open !== undefined) this.add(key, open, line);
    } else if (open === undefined || !this.joins(open, line, found)) {
      if (open !== undefined) this.close(key, open);
      const begun = begin(line, found);
      this.open.set(key, begun);
      if (begun.sign?.weight === 'stuck') this.asking = begun;
    }
  }

  /** A CPU that another one asked for its stack prints it into the other one's event. */
  private lend(key: string): void {
    if (this.asking !== undefined && !this.done.has(this.asking) && !this.open.has(key)) {
      this.open.set(key, this.asking);
    }
  }

  /** Does a line that could begin an event belong to the one that is open? Takes it in if so. */
  private joins(open: Open, line: Line, found: 'cut' | Match): boolean {
    if (open.ended) return false;
    const { headed } = open;
    const kind = open.sign?.kind;
    if (found === 'cut') {
      // The check that finds a list broken says so before it calls BUG(). Without callers two CPUs' oopses may mix.
      open.mixed = line.record.caller === undefined && open.die !== undefined && !headed;
      if (kind !== 'corruption' && !open.mixed) return false;
    } else if (open.sign === undefined) {
      adopt(open, line, found);
    } else {
      const die = found.groups['die'];
      const dies = die !== undefined && open.die === undefined && !headed;
      // One fault takes several lines to tell: what was tried, then where, then `Oops: `.
      const same = open.sign.weight === 'die' && open.die === undefined && !headed && found.sign.kind === kind;
      const more = same || (kind === 'machine-check' && found.sign.kind === 'machine-check');
      const lockup = kind === 'warning' && found.sign.kind === 'hard-lockup' && !headed;
      const bug = kind === 'corruption' && found.sign.kind === 'bug' && !headed;
      const mixed = open.mixed && (found.sign.kind === 'bug' || found.sign.kind === 'warning');
      if (!dies && !more && !lockup && !bug && !mixed) return false;
      if (mixed) open.mixed = false;
      if (dies) open.die = die;
      if (lockup) adopt(open, line, found);
      // The check's own words say more than the BUG() that it ends in, and the fault more than `Oops: 0000`.
      if (bug || (dies && open.sign.weight === 'notice')) open.sign = { ...open.sign, weight: 'die' };
    }
    push(open, line);
    return true;
  }

  private add(key: string, open: Open, line: Line): void {
    const text = line.text;
    if (open.ended) {
      if (REGISTERS.test(text)) push(open, line);
      else this.close(key, open);
      return;
    }
    const part = PART.test(text.trimStart()) || REGISTERS.test(text) || FRAME_LIKE.test(text) || END.test(text);
    if (part && open.lines.length < MOST_LINES) {
      push(open, line);
      if (END.test(text)) open.ended = true;
      return;
    }
    // Between `cut here` and the end of its trace everything belongs; elsewhere an event ends where other lines begin.
    const bounded = CUT_HERE.test(open.first.text) || open.die !== undefined;
    const most = bounded ? MOST_STRANGE : open.headed ? 0 : MOST_STRANGE_FIRST;
    open.lines.push(text);
    if (open.lines.length - open.kept > most || open.lines.length > MOST_LINES) this.close(key, open);
  }

  private close(key: string, open: Open): void {
    this.open.delete(key);
    this.done.add(open);
  }
}

function isLate(open: Open, { record }: Line): boolean {
  const { timeNanoseconds: last } = open.last.record;
  return last !== undefined && record.timeNanoseconds !== undefined && record.timeNanoseconds - last > MOST_NANOSECONDS;
}

interface Match {
  readonly sign: Sign;
  readonly groups: Readonly<Record<string, string | undefined>>;
}

/** Words that every sign has one of: most lines of a log need not be tried against each. */
const HINT =
  /panic|PANIC|BUG|Oops|fault|WARNING|LOCKUP|INFO:|oom-killer|Trigger|Hardware Error|NMI|SAN:|error:|corruption|\[#|handle kernel|usercopy|slab error|cache_from_obj|to execute/i;

function match(text: string): Match | undefined {
  if (!HINT.test(text)) return undefined;
  for (const sign of SIGNS) {
    const groups = sign.pattern.exec(text);
    if (groups !== null) return { sign, groups: groups.groups ?? {} };
  }
  return undefined;
}

function begin(line: Line, found: 'cut' | Match): Open {
  const open: Open = {
    sign: undefined,
    groups: {},
    message: line.text,
    die: undefined,
    first: line,
    last: line,
    kept: 1,
    lines: [line.text],
    headed: false,
    ended: false,
    mixed: false,
  };
  if (found !== 'cut') adopt(open, line, found);
  return open;
}

function adopt(open: Open, line: Line, { sign, groups }: Match): void {
  open.sign = sign;
  open.groups = groups;
  open.message = line.text;
  open.die = groups['die'] ?? open.die;
}

function push(open: Open, line: Line): void {
  open.lines.push(line.text);
  open.last = line;
  open.kept = open.lines.length;
  open.headed ||= HEAD.test(line.text);
}

function eventOf(open: Open): CrashEvent | undefined {
  const { sign, groups, message, first, last } = open;
  if (sign === undefined) return undefined;
  const lines = open.lines.slice(0, open.kept);
  const header = parseOopsHeader(lines);
  const panic = sign.weight === 'panic' ? reasonOf(groups['what'] ?? '') : undefined;
  const sysrq = sign.weight === 'die' && /^sysrq_handle_crash\b/.test(header.rip ?? '');
  const title = sysrq ? 'crash triggered by sysrq' : sign.title(groups).trim();
  const where =
    header.rip === undefined || sign.weight !== 'die' || title.includes(header.rip) ? '' : ` in ${header.rip}`;
  return {
    ...header,
    cpu: numberOf(groups['cpu']) ?? header.cpu ?? first.record.execution?.cpu,
    pid: numberOf(groups['pid']) ?? header.pid ?? first.record.execution?.pid,
    comm: groups['comm'] ?? header.comm ?? first.record.execution?.comm,
    kind: sysrq ? 'sysrq' : (panic?.kind ?? sign.kind),
    weight: sign.weight,
    title: `${title}${where}`,
    message,
    dieNumber: numberOf(open.die),
    timeNanoseconds: first.record.timeNanoseconds,
    from: first.index,
    to: last.index,
    lines,
  };
}

function numberOf(text: string | undefined): number | undefined {
  return text === undefined ? undefined : Number(text);
}

/** The kernel's own lines, with fragments put back on their line where this kernel printed them so. */
function linesOf({ records, joinsContinuations }: Pick<KernelLog, 'records' | 'joinsContinuations'>): Line[] {
  const lines: Line[] = [];
  let before: LogRecord | undefined;
  for (const [index, record] of records.entries()) {
    if (record.facility !== 0) continue;
    const [head, ...others] = record.text.split('\n');
    const last = lines.at(-1);
    const joined = joinsContinuations && before?.continuation === true && !before.newline && last !== undefined;
    if (joined) lines[lines.length - 1] = { ...last, text: (last.text + head).slice(0, LONGEST_LINE) };
    else lines.push({ text: (head ?? '').slice(0, LONGEST_LINE), index, record });
    for (const text of others) lines.push({ text: text.slice(0, LONGEST_LINE), index, record });
    before = record;
  }
  return lines;
}
