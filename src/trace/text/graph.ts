import type { EventStream, TraceEvent, TraceFormats } from '../model.js';
import { type FieldReader, unsigned64 } from '../print/fields.js';
import { argumentText } from './arguments.js';
import { type BodyContext, fieldsOf } from './kinds.js';
import { commOf, markOf } from './line-front.js';

/** Deeper functions are not remembered (`FTRACE_RETFUNC_DEPTH`). */
const DEEPEST = 50;
/** Columns of a task in the graph (`TRACE_GRAPH_PROCINFO_LENGTH`). */
const TASK_WIDTH = 14;
/** Depth is the kernel's, of 50 at most; a hostile one must not make lines of gigabytes. */
const MOST_INDENT = 4096;
const NO_TIME = '              |  ';
const LINE = ' ------------------------------------------\n';
const ALL_ONES = 2n ** 64n - 1n;
/** `MAX_ERRNO`: return values above minus it are errors. */
const MOST_ERROR = 4095n;

/** What the function graph keeps of each CPU (`struct fgraph_cpu_data`). */
interface CpuState {
  pid: number | undefined;
  depth: number;
  /** The depth at which interrupts are being left out; -1: they are not. */
  interrupt: number;
  readonly entered: (string | undefined)[];
}

interface Entry {
  readonly func: FieldReader;
  readonly depth: FieldReader;
  readonly args: (event: TraceEvent) => string;
  readonly returnAddress: FieldReader | undefined;
}

interface Exit {
  readonly func: FieldReader;
  readonly depth: FieldReader;
  readonly calltime: FieldReader;
  readonly rettime: FieldReader;
  readonly overrun: FieldReader | undefined;
  readonly retval: FieldReader | undefined;
}

/** The function graph tracer's text (kernel/trace/trace_functions_graph.c): calls as blocks, with their durations. */
export class FunctionGraph {
  private readonly cpus = new Map<number, CpuState>();
  private readonly entries = new Map<number, Entry>();
  private readonly exit: (Exit & { readonly id: number }) | undefined;
  /** Kinds that the graph leaves to the plain text. */
  private readonly plain = new Set<number>();
  private readonly cpuWidth: number;
  private interrupts: readonly [begin: bigint, end: bigint] | undefined;

  /**
   * @param tracing the graph is the buffer's tracer: state is kept from line to line. Otherwise its events are shown each for itself.
   */
  constructor(
    private readonly context: BodyContext,
    private readonly stream: EventStream,
    private readonly tracing: boolean,
    cpus: readonly { readonly cpu: number }[],
  ) {
    const { formats } = context.trace;
    this.cpuWidth = String(Math.max(0, ...cpus.map(({ cpu }) => cpu))).length;
    for (const name of ['funcgraph_entry', 'fgraph_retaddr_entry']) this.addEntry(formats, name);
    this.exit = this.exitOf(formats);
    for (const name of ['kernel_stack', 'function']) {
      const format = formats.find('ftrace', name);
      if (format !== undefined) this.plain.add(format.id);
    }
  }

  private addEntry(formats: TraceFormats, name: string): void {
    const format = formats.find('ftrace', name);
    if (format === undefined) return;
    const fields = fieldsOf(format, this.context.trace);
    const func = fields('func');
    const depth = fields('depth');
    if (func === undefined || depth === undefined) return;
    this.entries.set(format.id, {
      func,
      depth,
      args: argumentText(fields('args'), func, this.context.trace),
      returnAddress: fields('retaddr'),
    });
  }

  private exitOf(formats: TraceFormats): (Exit & { readonly id: number }) | undefined {
    const format = formats.find('ftrace', 'funcgraph_exit');
    const fields = format && fieldsOf(format, this.context.trace);
    const [func, depth, calltime, rettime] = ['func', 'depth', 'calltime', 'rettime'].map((name) => fields?.(name));
    if (!format || !func || !depth || !calltime || !rettime) return undefined;
    return {
      id: format.id,
      func,
      depth,
      calltime,
      rettime,
      overrun: fields?.('overrun'),
      retval: fields?.('retval'),
    };
  }

  /** The lines of an event; undefined: the plain text is to show it. Looks ahead in the stream. */
  text(event: TraceEvent, body: () => string): string | undefined {
    const entry = this.entries.get(event.type);
    if (entry !== undefined) return this.entered(event, entry);
    if (this.exit !== undefined && event.type === this.exit.id) return this.left(event, this.exit);
    if (!this.tracing || this.plain.has(event.type)) return undefined;
    return this.comment(event, body);
  }

  private entered(event: TraceEvent, entry: Entry): string {
    const { symbols, settings } = this.context;
    const { cpu, pid } = event;
    const depth = entry.depth.number(event);
    const at = event.start + entry.func.field.offset;
    const state = this.state(cpu);
    const isInterrupt = this.isInterrupt(entry.func, event);
    if (this.leftOut(state, isInterrupt, depth)) return '';
    const func = keyOf(entry.func, event);
    const name = symbols.name.at(event.view, at);
    const args = entry.args(event);
    const retaddr =
      settings.graph.returnAddress && entry.returnAddress !== undefined
        ? ` <-${symbols.ipOffset.at(event.view, event.start + entry.returnAddress.field.offset)}`
        : '';
    const lines = this.prologue(event, state) + (isInterrupt ? this.interruptLine(event, '==========>') : '');
    const front = this.columns(event);
    const { exit, stream } = this;
    const next = stream.following();
    const leaf =
      exit !== undefined && next?.type === exit.id && next.pid === pid && keyOf(exit.func, next) === func
        ? next
        : undefined;
    if (leaf === undefined || exit === undefined) {
      state.depth = depth;
      if (depth >= 0 && depth < DEEPEST) state.entered[depth] = func;
      const comment = retaddr === '' ? '' : ` /*${retaddr} */`;
      return `${lines}${front}${this.duration(undefined)}${indent(depth)}${name}${args || '()'} {${comment}\n`;
    }
    state.depth = depth - 1;
    if (depth >= 0 && depth < DEEPEST) state.entered[depth] = undefined;
    const took = this.duration(elapsed(exit, leaf));
    const returned = settings.graph.returnValue ? returnText(exit, leaf, settings.graph.returnValueHex) : '';
    const notes = retaddr + returned === '' ? '' : ` /*${retaddr}${returned} */`;
    stream.skipFollowing();
    const end = isInterrupt ? this.interruptLine(event, '<==========') : '';
    return `${lines}${front}${took}${indent(depth)}${name}${args || '()'};${notes}\n${end}`;
  }

  private left(event: TraceEvent, exit: Exit): string {
    const { symbols, settings } = this.context;
    const depth = exit.depth.number(event);
    const state = this.state(event.cpu);
    if (this.leavesInterrupt(state, depth)) return '';
    const func = keyOf(exit.func, event);
    let matches = true;
    state.depth = depth - 1;
    if (this.tracing && depth >= 0 && depth < DEEPEST) {
      matches = state.entered[depth] === func;
      state.entered[depth] = undefined;
    }
    const { graph } = settings;
    const name = symbols.name.at(event.view, event.start + exit.func.field.offset);
    const returned = graph.returnValue && exit.retval ? returnText(exit, event, graph.returnValueHex) : '';
    const close = returned !== '' || !matches || graph.tail ? `} /* ${name}${returned} */` : '}';
    const overrun = graph.overrun && exit.overrun ? ` (Overruns: ${exit.overrun.number(event)})\n` : '';
    const end = this.isInterrupt(exit.func, event) ? this.interruptLine(event, '<==========') : '';
    const line = `${this.columns(event)}${this.duration(elapsed(exit, event))}${indent(depth)}${close}\n`;
    return `${this.prologue(event, state)}${line}${overrun}${end}`;
  }

  private comment(event: TraceEvent, body: () => string): string {
    const state = this.state(event.cpu);
    const front = this.prologue(event, state) + this.columns(event);
    const space = state.depth > 0 ? indent(state.depth + 1) : '';
    return `${front}${this.duration(undefined)}${space}/* ${body().replace(/\n$/, '')} */\n`;
  }

  /** The lines between two tasks on a CPU. */
  private prologue({ cpu, pid }: TraceEvent, state: CpuState): string {
    if (!this.tracing || state.pid === pid) return '';
    const before = state.pid;
    state.pid = pid;
    return before === undefined
      ? ''
      : `${LINE}${this.cpuText(cpu)}${this.task(before)} => ${this.task(pid)}\n${LINE}\n`;
  }

  private columns(event: TraceEvent): string {
    const { settings, front } = this.context;
    if (!settings.context) return '';
    const { graph, latency } = settings;
    let text = '';
    if (graph.absoluteTime) text += `${this.absolute(event.time)} |  `;
    if (graph.cpu) text += this.cpuText(event.cpu);
    if (graph.process) text += `${this.task(event.pid)} | `;
    if (latency) text += ` ${front.flagsOf(event)} | `;
    return text;
  }

  /** Not rounded, other than in the plain text. */
  private absolute(time: number): string {
    const seconds = this.stream.base / 1_000_000_000n + BigInt(Math.floor(time / 1e9));
    const microseconds = Math.floor((time % 1e9) / 1000);
    return `${String(seconds).padStart(5)}.${String(microseconds).padStart(6, '0')}`;
  }

  private interruptLine(event: TraceEvent, arrow: string): string {
    const { graph, context } = this.context.settings;
    const wide = graph.duration && context;
    return `${this.columns(event)}${wide ? '  ' : ''}${arrow}${wide ? ' |' : ''}\n`;
  }

  private duration(nanoseconds: number | undefined): string {
    const { graph, context } = this.context.settings;
    if (!graph.duration || !context) return '';
    if (nanoseconds === undefined) return NO_TIME;
    const mark = graph.overhead ? markOf(nanoseconds) : ' ';
    return `${mark} ${durationText(nanoseconds)}|  `;
  }

  private cpuText(cpu: number): string {
    return ` ${String(cpu).padStart(this.cpuWidth)}) `;
  }

  private task(pid: number): string {
    const text = `${commOf(this.context.trace, pid).slice(0, 7)}-${pid}`;
    const spaces = Math.max(0, TASK_WIDTH - text.length);
    const before = spaces >> 1;
    return `${' '.repeat(before)}${text}${' '.repeat(spaces - before)}`;
  }

  private state(cpu: number): CpuState {
    let state = this.cpus.get(cpu);
    if (state === undefined) {
      state = { pid: undefined, depth: 0, interrupt: -1, entered: [] };
      this.cpus.set(cpu, state);
    }
    return state;
  }

  /** Without `funcgraph-irqs` everything inside an interrupt is left out (`check_irq_entry`). */
  private leftOut(state: CpuState, isInterrupt: boolean, depth: number): boolean {
    if (this.context.settings.graph.interrupts || !this.tracing) return false;
    if (state.interrupt >= 0) return true;
    if (!isInterrupt) return false;
    state.interrupt = depth;
    return true;
  }

  private leavesInterrupt(state: CpuState, depth: number): boolean {
    if (this.context.settings.graph.interrupts || !this.tracing || state.interrupt === -1) return false;
    if (state.interrupt >= depth) state.interrupt = -1;
    return true;
  }

  /** Does the function lie in the code of interrupts' entries? */
  private isInterrupt(func: FieldReader, event: TraceEvent): boolean {
    if (this.interrupts === undefined) this.interrupts = this.findInterrupts();
    const [begin, end] = this.interrupts;
    const address = unsigned64(func, event);
    return address >= begin && address < end;
  }

  private findInterrupts(): readonly [bigint, bigint] {
    let begin = ALL_ONES;
    let end = 0n;
    for (const { name, address } of this.context.trace.names.symbols()) {
      if (name === '__irqentry_text_start') begin = address;
      else if (name === '__irqentry_text_end') end = address;
    }
    return [begin, end];
  }
}

/** Functions are told apart by their addresses. */
function keyOf(reader: FieldReader, event: TraceEvent): string {
  return String(reader.read(event));
}

function indent(depth: number): string {
  return ' '.repeat(Math.min(Math.max(0, depth * 2), MOST_INDENT));
}

function elapsed({ calltime, rettime }: Exit, event: TraceEvent): number {
  const from = BigInt(calltime.read(event) as number | bigint);
  return Number(BigInt.asUintN(64, BigInt(rettime.read(event) as number | bigint) - from));
}

/** `  1.234 us   `: seven digits and the unit (`trace_print_graph_duration`). */
function durationText(nanoseconds: number): string {
  let text = String(Math.floor(nanoseconds / 1000));
  if (text.length < 7) {
    const rest = String(nanoseconds % 1000).padStart(3, '0');
    text += `.${rest.slice(0, Math.min(3, 7 - text.length))}`;
  }
  return `${text} us ${' '.repeat(Math.max(0, 8 - text.length))}`;
}

/** ` ret=0x12`, errors as negative numbers (`print_graph_retval`). */
function returnText({ retval }: Exit, event: TraceEvent, asHex: boolean): string {
  if (retval === undefined) return '';
  const value = unsigned64(retval, event);
  const low = value < 2n ** 32n && (value & 0x80000000n) !== 0n ? BigInt.asIntN(32, value) : BigInt.asIntN(64, value);
  if (!asHex && low < 0n && low >= -MOST_ERROR) return ` ret=${low}`;
  return ` ret=0x${value.toString(16)}`;
}
