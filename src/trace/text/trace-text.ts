import type { EventFormat, EventStream, Trace, TraceBuffer, TraceEvent } from '../model.js';
import { compilePrint, type PrintContext, type PrintProgram } from '../print/program.js';
import { shownFrom } from '../ring/events.js';
import { allFields } from './all-fields.js';
import { FunctionGraph } from './graph.js';
import { headerText } from './header.js';
import { type BodyContext, type EventBody, kernelKind } from './kinds.js';
import { LineFront } from './line-front.js';
import { probe, synthetic } from './probes.js';
import { type TextSettings, textSettings } from './settings.js';
import { SymbolTexts } from './symbol-text.js';
import { systemCall } from './syscalls.js';

export interface TraceTextOptions {
  /** Every field of an event in place of its own format, as the trace option `fields` does. */
  readonly fields?: boolean | undefined;
  /** As a kernel shows what an earlier boot wrote: so all but its own kinds of events and system calls. */
  readonly earlierBoot?: boolean | undefined;
  /** Which events are shown; all by default. */
  readonly wanted?: ((event: TraceEvent) => boolean) | undefined;
}

/** Characters that are put out at a time, about. */
const CHUNK = 1 << 16;

/** A buffer's text, as `/sys/kernel/tracing/trace` has it. */
export class TraceText {
  private readonly context: BodyContext;
  private readonly settings: TextSettings;
  private readonly bodies: (EventBody | undefined)[] = [];
  private readonly programs: PrintProgram[] = [];
  private readonly graph: FunctionGraph;
  private readonly annotated: boolean;
  private shown = 0;

  constructor(
    private readonly trace: Trace,
    private readonly buffer: TraceBuffer,
    private readonly stream: EventStream,
    private readonly options: TraceTextOptions = {},
  ) {
    this.settings = textSettings(buffer, options.fields);
    const print: PrintContext = {
      formats: trace.formats,
      names: trace.names,
      littleEndian: trace.littleEndian,
      longSize: trace.longSize,
      options: buffer.options,
    };
    const front = new LineFront(trace, buffer, this.settings, stream.base);
    const symbols = new SymbolTexts(trace, this.settings);
    const compile = (format: EventFormat): PrintProgram => {
      const program = compilePrint(format, print);
      this.programs.push(program);
      return program;
    };
    const moved = options.earlierBoot === true ? buffer.relocate : undefined;
    this.context = { trace, print, compile, settings: this.settings, symbols, front, moved };
    this.graph = new FunctionGraph(this.context, stream, buffer.tracer === 'function_graph', buffer.cpus);
    this.annotated = this.settings.annotate && buffer.cpus.some(({ statistics }) => (statistics?.overrun ?? 0) > 0);
  }

  /** Kinds of events that cannot be shown by their own formats, and why; known once the text was made. */
  get fallbacks(): readonly PrintProgram[] {
    return this.programs.filter(({ fallback, failures }) => fallback !== undefined || failures > 0);
  }

  /** How many events were shown. */
  get count(): number {
    return this.shown;
  }

  /** The head of the file. */
  header(): string {
    return headerText(this.trace, this.buffer, this.settings);
  }

  /** The events' lines, in pieces of whole lines. */
  *chunks(): Generator<string, void, undefined> {
    const { stream, options, settings } = this;
    const { wanted } = options;
    const started = new Set<number>();
    const latency = settings.latency && settings.context ? new LatencyLines(this.context) : undefined;
    const first = shownFrom(this.buffer, stream.base);
    let text = '';
    for (const event of stream) {
      if (event.time < first || (wanted !== undefined && !wanted(event))) continue;
      this.shown++;
      const lost = lostLine(event);
      const lines = this.graphLines(event);
      if (lines !== undefined) {
        text += lost + lines;
      } else {
        if (this.annotated && !started.has(event.cpu)) {
          started.add(event.cpu);
          // The kernel counts its lines from the one before the first.
          if (this.shown > 2) text += `##### CPU ${event.cpu} buffer started ####\n`;
        }
        if (latency !== undefined) text += latency.add(event, this.shown, this.body(event));
        else text += lost + (settings.context ? this.context.front.text(event) : '') + this.body(event);
      }
      if (text.length > CHUNK) {
        yield text;
        text = '';
      }
    }
    text += latency?.rest() ?? '';
    if (text !== '') yield text;
  }

  private graphLines(event: TraceEvent): string | undefined {
    if (this.settings.fields) return undefined;
    try {
      return this.graph.text(event, () => this.message(event));
    } catch (error) {
      if (error instanceof RangeError) return undefined;
      throw error;
    }
  }

  /** The body without the function that wrote it, for messages in the graph. */
  private message(event: TraceEvent): string {
    const body = this.body(event);
    const format = this.trace.formats.byId(event.type);
    if (format?.system !== 'ftrace' || !MESSAGES.has(format.name) || this.settings.messagesOnly) return body;
    return body.slice(body.indexOf(': ') + 2);
  }

  /** What stands behind the front of the line. */
  body(event: TraceEvent): string {
    let body = this.bodies[event.type];
    if (body === undefined) {
      body = this.makeBody(event.type);
      this.bodies[event.type] = body;
    }
    try {
      return body(event);
    } catch (error) {
      // A record that is shorter than its format.
      if (error instanceof RangeError) return `${this.trace.formats.byId(event.type)?.name}: <OVERFLOW>\n`;
      throw error;
    }
  }

  private makeBody(type: number): EventBody {
    const { trace, context, settings } = this;
    const format = trace.formats.byId(type);
    if (format === undefined) return () => `Unknown type ${type}\n`;
    if (settings.fields || (this.options.earlierBoot && !SAFE.has(format.system))) return allFields(format, context);
    const own =
      kernelKind(format, context) ??
      systemCall(format, context) ??
      probe(format, context) ??
      synthetic(format, context);
    if (own !== undefined) return own;
    const program = context.compile(format);
    const front = format.system === 'ftrace' ? '' : `${format.name}: `;
    return (event) => `${front}${program.print(event)}\n`;
  }
}

/** Their print formats hold no pointers of the boot that wrote them. */
const SAFE = new Set(['ftrace', 'syscalls']);
const MESSAGES = new Set(['print', 'bprint', 'bputs']);

function lostLine({ cpu, lost }: TraceEvent): string {
  if (lost === 0) return '';
  return lost < 0 ? `CPU:${cpu} [LOST EVENTS]\n` : `CPU:${cpu} [LOST ${lost} EVENTS]\n`;
}

/** The latency format tells at each event how long it is to the next: every line waits for one event. */
class LatencyLines {
  private waiting: ((next: number | undefined) => string) | undefined;

  constructor(private readonly context: BodyContext) {}

  /** The line before this one. */
  add(event: TraceEvent, index: number, body: string): string {
    const before = this.rest(event.time);
    const { front } = this.context;
    const { cpu, pid, time, type, lost, start } = event;
    // The event's own object changes: of its bytes the flags are all that the front needs.
    const bytes = event.bytes.slice(start, start + 8);
    const kept = {
      cpu,
      pid,
      time,
      type,
      lost,
      bytes,
      view: new DataView(bytes.buffer),
      start: 0,
      length: bytes.length,
    };
    this.waiting = (next = time) => `${lostLine(kept)}${front.latencyText(kept, index, next)}${body}`;
    return before;
  }

  /** The line that waits; without a time of the next event it is the last. */
  rest(next?: number): string {
    const { waiting } = this;
    this.waiting = undefined;
    return waiting?.(next) ?? '';
  }
}
