import type { EventFormat, Trace, TraceEvent } from '../model.js';
import { type FieldReader, fieldReader, unsigned64 } from '../print/fields.js';
import { formatPrintk } from '../print/printk.js';
import type { PrintContext, PrintProgram } from '../print/program.js';
import { argumentText } from './arguments.js';
import { commOf, type LineFront } from './line-front.js';
import type { TextSettings } from './settings.js';
import type { SymbolTexts } from './symbol-text.js';

/** Puts one kind of event into words: what stands behind the front of its line, to the line's end. */
export type EventBody = (event: TraceEvent) => string;

/** What bodies need. */
export interface BodyContext {
  readonly trace: Trace;
  readonly print: PrintContext;
  /** The program of a print format; what it cannot follow is counted. */
  readonly compile: (format: EventFormat) => PrintProgram;
  readonly settings: TextSettings;
  readonly symbols: SymbolTexts;
  readonly front: LineFront;
  /** Where addresses of the boot before are now, when the text is to be that of the kernel that was started next. */
  readonly moved: ((address: bigint) => bigint) | undefined;
}

const STATES = 'RSDTtXZPI';
/** Stands on a stack for a trampoline of ftrace: `FTRACE_TRAMPOLINE_MARKER`. */
const TRAMPOLINE = 0x7fffffff;
const ALL_ONES = 0xffffffff;

/** A field of a format; undefined where the kernel has none of this name. */
export type Fields = (name: string) => FieldReader | undefined;

export function fieldsOf(format: EventFormat, { littleEndian, longSize }: Trace): Fields {
  return (name) => {
    const field = format.fields.find((one) => one.name === name);
    return field && fieldReader(field, littleEndian, longSize);
  };
}

/** The kernel's own kinds of events (kernel/trace/trace_entries.h), as kernel/trace/trace_output.c prints them. */
const KINDS: Readonly<Record<string, (fields: Fields, context: BodyContext) => EventBody | undefined>> = {
  function: functionCall,
  func_repeats: functionRepeats,
  context_switch: (fields, context) => contextSwitch(fields, context, '==>'),
  wakeup: (fields, context) => contextSwitch(fields, context, '  +'),
  kernel_stack: kernelStack,
  user_stack: userStack,
  print: (fields, context) => message(fields('buf'), fields('ip'), context, text),
  bputs: (fields, context) => message(fields('str'), fields('ip'), context, constant),
  bprint: binaryPrint,
  raw_data: rawData,
  hwlat: hardwareLatency,
  osnoise: osNoise,
  timerlat: timerLatency,
};

/** The body of one of the kernel's own kinds; undefined for all others. */
export function kernelKind(format: EventFormat, context: BodyContext): EventBody | undefined {
  if (format.system !== 'ftrace') return undefined;
  return KINDS[format.name]?.(fieldsOf(format, context.trace), context);
}

/** Where a field begins in the bytes of an event. */
function place({ field }: FieldReader, event: TraceEvent): number {
  return event.start + field.offset;
}

function functionCall(fields: Fields, context: BodyContext): EventBody | undefined {
  const ip = fields('ip');
  const parent = fields('parent_ip');
  if (ip === undefined || parent === undefined) return undefined;
  const { symbols, settings, trace } = context;
  const args = argumentText(fields('args'), ip, trace);
  return (event) => {
    const called = symbols.ip.at(event.view, place(ip, event)) + args(event);
    if (!settings.parent || isZero(event, place(parent, event), trace.longSize)) return `${called}\n`;
    return `${called} <-${symbols.ip.at(event.view, place(parent, event))}\n`;
  };
}

function isZero(event: TraceEvent, at: number, longSize: number): boolean {
  return event.view.getUint32(at) === 0 && (longSize === 4 || event.view.getUint32(at + 4) === 0);
}

function functionRepeats(fields: Fields, { symbols, settings, front, trace }: BodyContext): EventBody | undefined {
  const ip = fields('ip');
  const parent = fields('parent_ip');
  const count = fields('count');
  const top = fields('top_delta_ts');
  const bottom = fields('bottom_delta_ts');
  if (!ip || !parent || !count || !top || !bottom) return undefined;
  return (event) => {
    const called = symbols.ip.at(event.view, place(ip, event));
    const from =
      settings.parent && !isZero(event, place(parent, event), trace.longSize)
        ? ` <-${symbols.ip.at(event.view, place(parent, event))}`
        : '';
    const before = top.number(event) * 2 ** 32 + bottom.number(event);
    return `${called}${from} (repeats: ${count.number(event)}, last_ts:${front.time(event.time - before)})\n`;
  };
}

function contextSwitch(fields: Fields, { trace }: BodyContext, arrow: string): EventBody | undefined {
  const readers = ['prev_pid', 'prev_prio', 'prev_state', 'next_cpu', 'next_pid', 'next_prio', 'next_state'].map(
    fields,
  );
  return (event) => {
    const [prevPid = 0, prevPrio = 0, prevState = 0, cpu = 0, pid = 0, prio = 0, state = 0] = readers.map(
      (reader) => reader?.number(event) ?? 0,
    );
    const task = (number: number, priority: number, letter: number): string =>
      `${String(number).padStart(7)}:${String(priority).padStart(3)}:${STATES[letter] ?? '?'}`;
    const to = `[${String(cpu).padStart(3, '0')}] ${task(pid, prio, state)} ${commOf(trace, pid)}`;
    return ` ${task(prevPid, prevPrio, prevState)} ${arrow} ${to}\n`;
  };
}

function kernelStack(fields: Fields, { symbols, trace: { longSize } }: BodyContext): EventBody | undefined {
  const caller = fields('caller');
  if (caller === undefined) return undefined;
  return (event) => {
    let lines = '<stack trace>\n';
    const end = event.start + event.length;
    for (let at = place(caller, event); at + longSize <= end; at += longSize) {
      const low = event.view.getUint32(at, true);
      const high = longSize === 8 ? event.view.getUint32(at + 4, true) : ALL_ONES;
      if (low === ALL_ONES && high === ALL_ONES) break;
      const trampoline = low === TRAMPOLINE && (longSize === 4 || high === 0);
      lines += ` => ${trampoline ? '[FTRACE TRAMPOLINE]' : symbols.ip.at(event.view, at)}\n`;
    }
    return lines;
  };
}

function userStack(fields: Fields, { trace: { longSize } }: BodyContext): EventBody | undefined {
  const caller = fields('caller');
  if (caller === undefined) return undefined;
  return (event) => {
    let lines = '<user stack trace>\n';
    for (const address of caller.elements(event)) {
      if (Number(address) === 0) break;
      lines += ` =>  <${address.toString(16).padStart(longSize * 2, '0')}>\n`;
    }
    return lines;
  };
}

type Words = (reader: FieldReader, event: TraceEvent, context: BodyContext) => string;

/** The text that stands in the record. */
const text: Words = (reader, event) => String(reader.read(event));

/** The text that a pointer in the record leads to. */
const constant: Words = (reader, event, { trace }) => {
  const address = unsigned64(reader, event);
  return trace.names.printkFormat(address) ?? trace.names.string(address) ?? `0x${address.toString(16)}\n`;
};

function message(
  what: FieldReader | undefined,
  ip: FieldReader | undefined,
  context: BodyContext,
  words: Words,
): EventBody | undefined {
  if (what === undefined || ip === undefined) return undefined;
  if (context.settings.messagesOnly) return (event) => words(what, event, context);
  return (event) => `${context.symbols.ip.at(event.view, place(ip, event))}: ${words(what, event, context)}`;
}

function binaryPrint(fields: Fields, context: BodyContext): EventBody | undefined {
  const format = fields('fmt');
  const words: Words = (reader, event) => {
    if (format === undefined) return '\n';
    const address = unsigned64(format, event);
    const known = context.trace.names.printkFormat(address) ?? context.trace.names.string(address);
    if (known === undefined) return `0x${address.toString(16)}\n`;
    const begin = place(reader, event);
    return formatPrintk(known, event.bytes.subarray(begin, event.start + event.length), context.print);
  };
  return message(fields('buf'), fields('ip'), context, words);
}

function rawData(fields: Fields): EventBody | undefined {
  const id = fields('id');
  const buffer = fields('buf');
  if (id === undefined || buffer === undefined) return undefined;
  return (event) => {
    let line = `# ${id.number(event).toString(16)} buf:`;
    for (let at = place(buffer, event); at < event.start + event.length; at++) {
      line += ` ${(event.bytes[at] ?? 0).toString(16).padStart(2, '0')}`;
    }
    return `${line}\n`;
  };
}

function hardwareLatency(fields: Fields): EventBody | undefined {
  const names = ['seqnum', 'duration', 'outer_duration', 'tv_sec', 'tv_nsec', 'count', 'nmi_count', 'nmi_total_ts'];
  const readers = names.map(fields);
  return (event) => {
    const [sequence, inner, outer, seconds, nanoseconds, count, nmis] = readers.map((one) =>
      String(one?.read(event) ?? 0),
    );
    const when = `${seconds}.${nanoseconds?.padStart(9, '0')}`;
    const took = `${inner?.padStart(4)}/${outer?.padEnd(5)}`;
    const interrupted = nmis === '0' ? '' : ` nmi-count:${nmis}`;
    return `#${sequence?.padEnd(5)} inner/outer(us): ${took} ts:${when} count:${count}${interrupted}\n`;
  };
}

function osNoise(fields: Fields): EventBody | undefined {
  const times = ['runtime', 'noise', 'max_sample'].map(fields);
  const counts = ['hw_count', 'nmi_count', 'irq_count', 'softirq_count', 'thread_count'].map(fields);
  return (event) => {
    const [runtime = 0n, noise = 0n, longest = 0n] = times.map((one) =>
      BigInt((one?.read(event) ?? 0) as number | bigint),
    );
    const ratio = runtime === 0n ? 0n : ((runtime - noise) * 10_000_000n) / runtime;
    const share = `${String(ratio / 100_000n).padStart(3)}.${String(ratio % 100_000n).padStart(5, '0')}`;
    const rest = counts.map((one) => ` ${String(one?.number(event) ?? 0).padStart(6)}`).join('');
    return `${runtime} ${String(noise).padStart(10)} ${share} ${String(longest).padStart(7)}${rest}\n`;
  };
}

function timerLatency(fields: Fields): EventBody | undefined {
  const sequence = fields('seqnum');
  const inside = fields('context');
  const latency = fields('timer_latency');
  if (!sequence || !inside || !latency) return undefined;
  return (event) => {
    const where = (['irq', 'thread', 'user-ret'][inside.number(event)] ?? '?').padStart(6);
    const number = String(sequence.number(event)).padEnd(5);
    return `#${number} context ${where} timer_latency ${String(latency.read(event)).padStart(9)} ns\n`;
  };
}
