import type { Trace, TraceBuffer, TraceEvent } from '../model.js';
import { shownFrom } from '../ring/events.js';
import type { TextSettings } from './settings.js';

/** Clocks that do not count nanoseconds (`trace_clocks[]` of kernel/trace/trace.c). */
const COUNTS = new Set(['counter', 'uptime', 'x86-tsc', 'ppc-tb']);
/** Numbers of three digits, for times. */
const THREE = Array.from({ length: 1000 }, (_, value) => String(value).padStart(3, '0'));
/** Names of tasks that are kept; there are as many processes as a hostile file likes. */
const MOST_TASKS = 1 << 16;
const MARKS: readonly (readonly [nanoseconds: number, mark: string])[] = [
  [1e9, '$'],
  [1e8, '@'],
  [1e7, '*'],
  [1e6, '#'],
  [1e5, '!'],
  [1e4, '+'],
];

/** Does this trace clock count nanoseconds? */
export function inNanoseconds(clock: string): boolean {
  return !COUNTS.has(clock);
}

/** The mark of a duration that is long (`trace_find_mark` of kernel/trace/trace_output.c); in nanoseconds. */
export function markOf(duration: number): string {
  return MARKS.find(([least]) => duration > least)?.[1] ?? ' ';
}

/** `comm` as ftrace shows it for a process number. */
export function commOf(trace: Trace, pid: number): string {
  if (pid === 0) return '<idle>';
  return pid < 0 ? '<XXX>' : (trace.names.comm(pid) ?? '<...>');
}

/** What stands before each event: task, CPU, flags, time (`trace_print_context` of kernel/trace/trace_output.c). */
export class LineFront {
  private readonly tasks = new Map<number, string>();
  private readonly latencyTasks = new Map<number, string>();
  private readonly cpus = new Map<number, string>();
  private readonly flags: (string | undefined)[] = [];
  private readonly nanoseconds: boolean;
  /** Has the kernel the flag of lazy rescheduling? Before 6.13 its bit said that the first flag is not supported. */
  private readonly lazy: boolean;
  private second = -1;
  private secondText = '';

  constructor(
    private readonly trace: Trace,
    private readonly buffer: TraceBuffer,
    private readonly settings: TextSettings,
    private readonly base: bigint,
  ) {
    this.nanoseconds = inNanoseconds(buffer.clock);
    const { names } = trace;
    this.lazy = names.constant === undefined || names.constant('TRACE_FLAG_NEED_RESCHED_LAZY') !== undefined;
  }

  text(event: TraceEvent): string {
    const flags = this.settings.irqInfo ? this.flagsOf(event) : '';
    return `${this.task(event.pid)}${this.cpu(event.cpu)}${flags}${this.time(event.time)}: `;
  }

  /** ` 1234.567890` of a time since the base, rounded to microseconds; other clocks as they count. */
  time(time: number): string {
    if (!this.nanoseconds) return ` ${String(this.base + BigInt(time)).padStart(12)}`;
    const microseconds = Math.floor((time + 500) / 1000);
    const second = Math.floor(microseconds / 1_000_000);
    const rest = microseconds - second * 1_000_000;
    if (second !== this.second) {
      this.second = second;
      this.secondText = ` ${String(this.base / 1_000_000_000n + BigInt(second)).padStart(5)}.`;
    }
    const high = Math.floor(rest / 1000);
    return `${this.secondText}${THREE[high]}${THREE[rest - high * 1000]}`;
  }

  /** The five letters of a record's flags (`trace_print_lat_fmt`). */
  flagsOf({ bytes, start }: TraceEvent): string {
    // common_flags and common_preempt_count: one byte each, in any byte order.
    const key = ((bytes[start + 2] ?? 0) << 8) | (bytes[start + 3] ?? 0);
    let text = this.flags[key];
    if (text === undefined) {
      text = flagLetters(key >> 8, key & 0xff, this.lazy);
      this.flags[key] = text;
    }
    return text;
  }

  /** The front of the latency format; `next`: the time of the event after this one, since the base. */
  latencyText(event: TraceEvent, index: number, next: number): string {
    const { settings, trace } = this;
    const { pid, cpu, bytes, start } = event;
    if (settings.verbose) {
      const flags = bytes[start + 2] ?? 0;
      const preempt = (bytes[start + 3] ?? 0) & 0xf;
      const front = `${commOf(trace, pid).padStart(16)} ${String(pid).padStart(7)} ${String(cpu).padStart(3)} ${flags} `;
      return `${front}${hex8(preempt)} ${hex8(index)} ${this.latencyTime(event.time, next)}`;
    }
    let task = this.latencyTasks.get(pid);
    if (task === undefined) {
      task = `${commOf(trace, pid).slice(0, 8).padStart(8)}-${String(pid).padEnd(7)} `;
      if (this.latencyTasks.size < MOST_TASKS) this.latencyTasks.set(pid, task);
    }
    return `${task}${String(cpu).padStart(3)}${this.flagsOf(event)}${this.latencyTime(event.time, next)}`;
  }

  private latencyTime(time: number, next: number): string {
    const { nanoseconds, base, settings } = this;
    const begin = shownFrom(this.buffer, base);
    const absolute = nanoseconds ? toMicroseconds(time - begin) : time - begin;
    const relative = nanoseconds ? toMicroseconds(next - time) : next - time;
    if (!settings.verbose) {
      const text = String(absolute).padStart(4);
      return nanoseconds ? ` ${text}us${markOf(relative * 1000)}: ` : ` ${text}: `;
    }
    const raw = base + BigInt(time);
    if (!nanoseconds) return `[${raw.toString(16).padStart(16, '0')}] ${absolute} (+${relative}): `;
    const microseconds = (raw + 500n) / 1000n;
    return `[${microseconds.toString(16).padStart(8, '0')}] ${milliseconds(absolute)} (+${milliseconds(relative)}): `;
  }

  private task(pid: number): string {
    let text = this.tasks.get(pid);
    if (text === undefined) {
      text = `${commOf(this.trace, pid).padStart(16)}-${String(pid).padEnd(7)} `;
      if (this.settings.threadGroups) {
        const group = this.trace.names.threadGroup(pid) ?? 0;
        text += group === 0 ? '(-------) ' : `(${String(group).padStart(7)}) `;
      }
      if (this.tasks.size < MOST_TASKS) this.tasks.set(pid, text);
    }
    return text;
  }

  private cpu(cpu: number): string {
    let text = this.cpus.get(cpu);
    if (text === undefined) {
      text = `[${String(cpu).padStart(3, '0')}] `;
      this.cpus.set(cpu, text);
    }
    return text;
  }
}

function toMicroseconds(nanoseconds: number): number {
  return Math.floor((nanoseconds + 500) / 1000);
}

function milliseconds(microseconds: number): string {
  return `${Math.floor(microseconds / 1000)}.${THREE[microseconds % 1000] ?? '000'}ms`;
}

function hex8(value: number): string {
  return value.toString(16).padStart(8, '0');
}

// enum trace_flag_type of include/linux/trace_events.h.
const IRQS_OFF = 0x01;
const NEED_RESCHED_LAZY = 0x02;
const NEED_RESCHED = 0x04;
const HARDIRQ = 0x08;
const SOFTIRQ = 0x10;
const PREEMPT_RESCHED = 0x20;
const NMI = 0x40;
const BH_OFF = 0x80;
/** By lazy, need-resched and preempt-resched, from the lowest bit. */
const RESCHED = ['.', 'l', 'n', 'b', 'p', 'L', 'N', 'B'];

function flagLetters(flags: number, preempt: number, lazy: boolean): string {
  const on = (flag: number): boolean => (flags & flag) !== 0;
  const supported = lazy || !on(NEED_RESCHED_LAZY);
  const irqs = on(IRQS_OFF) ? (on(BH_OFF) ? 'D' : 'd') : on(BH_OFF) ? 'b' : supported ? '.' : 'X';
  const resched =
    RESCHED[(lazy && on(NEED_RESCHED_LAZY) ? 1 : 0) | (on(NEED_RESCHED) ? 2 : 0) | (on(PREEMPT_RESCHED) ? 4 : 0)] ??
    '.';
  const inside = on(NMI)
    ? on(HARDIRQ)
      ? 'Z'
      : 'z'
    : on(HARDIRQ)
      ? on(SOFTIRQ)
        ? 'H'
        : 'h'
      : on(SOFTIRQ)
        ? 's'
        : '.';
  const depth = (preempt & 0xf) === 0 ? '.' : (preempt & 0xf).toString(16);
  const migrate = (preempt & 0xf0) === 0 ? '.' : (preempt >> 4).toString(16);
  return `${irqs}${resched}${inside}${depth}${migrate}`;
}
