import type { AppendSink } from '../bytes/byte-sink.js';
import { type Damage, ExhumeError } from '../bytes/errors.js';
import { AppendingFile, OutputFile } from '../bytes/node/output-file.js';
import { PipeSink } from '../bytes/node/pipe-sink.js';
import { traceListText, traceStatsText } from '../report/text/trace.js';
import { buildTrace, sumOf, TOP, type TraceReading, traceDamage } from '../report/trace.js';
import { damageReport } from '../report/words.js';
import { perfettoTrace } from '../trace/files/perfetto.js';
import { writeTraceDat } from '../trace/files/trace-dat-write.js';
import type { Trace, TraceBuffer, TraceEvent } from '../trace/model.js';
import { traceFor } from '../trace/relocation.js';
import { type MergedEvents, readEvents, shownFrom } from '../trace/ring/events.js';
import { type EventSelection, eventTest } from '../trace/text/filter.js';
import { foldedStacks } from '../trace/text/folded.js';
import { jsonLines } from '../trace/text/json-lines.js';
import { inNanoseconds } from '../trace/text/line-front.js';
import { TraceText } from '../trace/text/trace-text.js';
import type { TraceCommandOptions } from './commands/trace.js';
import { type EventTeller, eventTeller } from './progress.js';
import type { Answer, Session } from './session.js';
import { type OpenTrace, openTrace } from './trace-input.js';

/** Standard output. */
const STDOUT = 1;

/** `exhume trace`, once it is clear that it is wanted. */
export async function runTrace(session: Session, file: string, options: TraceCommandOptions): Promise<void> {
  const { output, ...others } = options;
  const binary = isBinary(options);
  // What is written takes the output: the answer tells of it.
  const taken = binary && (output === undefined || output === '-');
  await session.answer(
    binary ? others : options,
    async () => new TraceRun(session, await openTrace(session, file, options), options).answer(),
    taken ? 'stderr' : 'stdout',
  );
}

function isBinary({ format, list, stats }: TraceCommandOptions): boolean {
  return !list && !stats && (format === 'perfetto' || format === 'trace.dat' || format === 'trace.dat-v6');
}

/** One run of the command, on a trace that is open. */
class TraceRun {
  private readonly trace: Trace;
  private readonly found: Damage[];
  private teller: EventTeller | undefined;

  constructor(
    private readonly session: Session,
    { trace, damage }: OpenTrace,
    private readonly options: TraceCommandOptions,
  ) {
    this.trace = trace;
    this.found = [...damage];
  }

  answer(): Answer {
    const { trace, found, options } = this;
    const { format, list, stats, json } = options;
    if (list) {
      const model = buildTrace(trace, found);
      return { model, lines: () => traceListText(model) };
    }
    const buffer = this.chosen();
    if (stats) {
      const model = buildTrace(trace, found, this.reading([buffer], this.watch([buffer])));
      this.teller?.done();
      return { model, lines: () => traceStatsText(model) };
    }
    if (format === 'trace.dat' || format === 'trace.dat-v6') return this.written(this.writeTraceDat());
    if (format === 'perfetto') return this.written(this.writePerfetto(buffer));
    if (json) {
      const model = buildTrace(trace, found);
      return { model, lines: () => traceListText(model) };
    }
    this.noteOthers(buffer);
    return this.streamed(buffer);
  }

  /** The buffer that the options name. Throws EXH_USAGE when there is none such. */
  private chosen(): TraceBuffer {
    const { buffers } = this.trace;
    const snapshot = this.options.spare ?? false;
    const top = buffers.some(({ instance }) => instance === undefined) ? TOP : (buffers[0]?.instance ?? TOP);
    const name = this.options.buffer ?? top;
    const buffer = buffers.find((one) => (one.instance ?? TOP) === name && one.snapshot === snapshot);
    if (buffer !== undefined) return buffer;
    const others = buffers.map((one) => `${one.instance ?? TOP}${one.snapshot ? ' (snapshot)' : ''}`);
    throw new ExhumeError('EXH_USAGE', `there is no ${snapshot ? 'snapshot' : 'buffer'} ${name}`, {
      found: name,
      hint: others.length === 0 ? 'the file holds none at all' : `there are: ${others.join(', ')}`,
    });
  }

  private selection({ clock }: TraceBuffer): EventSelection {
    const { event, pid, comm, since, until, filter } = this.options;
    return {
      events: event,
      pids: pid,
      comms: comm,
      since: since === undefined ? undefined : ticksOf(since, clock),
      until: until === undefined ? undefined : ticksOf(until, clock),
      filters: filter,
    };
  }

  private reading(buffers: readonly TraceBuffer[], progress: EventTeller['listener'] | undefined): TraceReading {
    return { buffers, cpus: this.options.cpu, selection: (buffer) => this.selection(buffer), progress };
  }

  /** Progress, where somebody looks; for text on a terminal the text itself tells. */
  private watch(buffers: readonly TraceBuffer[]): EventTeller['listener'] | undefined {
    const { progress, output } = this.options;
    const { stdout, stderr } = this.session.surroundings;
    const free = process.stderr.isTTY && (output !== undefined || stdout.isTTY !== true);
    const style = progress === 'auto' ? (free ? 'text' : 'none') : progress;
    if (style === 'none') return undefined;
    const entries = buffers.map((buffer) => sumOf(buffer, 'entries'));
    const total = entries.includes(null) ? undefined : entries.reduce<number>((sum, one) => sum + (one ?? 0), 0);
    this.teller = eventTeller(stderr, style, total);
    return this.teller.listener;
  }

  /** The events of a buffer, and which of them are wanted. */
  private events(buffer: TraceBuffer): Events {
    const { trace, options } = this;
    const shown = traceFor(trace, buffer);
    const stream = readEvents(buffer, { cpus: options.cpu, littleEndian: trace.littleEndian });
    return { shown, stream, wanted: this.wanted(shown, buffer, stream.base, this.watch([buffer])) };
  }

  private wanted(
    shown: Trace,
    buffer: TraceBuffer,
    base: bigint,
    progress: EventTeller['listener'] | undefined,
  ): (event: TraceEvent) => boolean {
    const passes = eventTest(shown, this.selection(buffer), base);
    // As in the kernel's own text.
    const first = shownFrom(buffer, base);
    let read = 0;
    return (event) => {
      if ((++read & 0xffff) === 0) progress?.(read);
      return event.time >= first && passes(event);
    };
  }

  /** Text: as it comes. What was broken, and whether the answer is whole, is known when it is out. */
  private streamed(buffer: TraceBuffer): Answer {
    const { trace, found } = this;
    const { shown, stream, wanted } = this.events(buffer);
    const chunks = this.text(buffer, { shown, stream, wanted });
    const damage = (): Damage[] => traceDamage(trace, [...found, ...stream.damage]);
    const done = (): void => this.teller?.done();
    return {
      model: {
        get complete() {
          return damage().length === 0;
        },
        get damage() {
          return damage().map(damageReport);
        },
      },
      lines: () => chunks,
      pieces: function* () {
        yield* chunks;
        done();
      },
    };
  }

  private text(buffer: TraceBuffer, { shown, stream, wanted }: Events): Iterable<string> {
    const { format, raw } = this.options;
    if (format === 'json') return jsonLines(shown, buffer, stream, wanted);
    if (format === 'folded') return foldedStacks(shown, stream, wanted).map((line) => `${line}\n`);
    const text = new TraceText(shown, buffer, stream, {
      fields: raw === true || format === 'raw',
      earlierBoot: format === 'restarted',
      wanted,
    });
    return (function* () {
      yield text.header();
      yield* text.chunks();
    })();
  }

  /** What was written, told in a line. */
  private written({ events, what, broken }: Written): Answer {
    this.teller?.done();
    const model = buildTrace(this.trace, [...this.found, ...broken]);
    return { model, lines: () => [`${what}: ${events} events`] };
  }

  private writeTraceDat(): Written {
    const { trace, options } = this;
    const { output, buffer, format, cpu } = options;
    const snapshot = options.spare ?? false;
    const buffers = buffer === undefined ? trace.buffers.filter((one) => one.snapshot === snapshot) : [this.chosen()];
    const [first] = buffers;
    if (first === undefined) throw new ExhumeError('EXH_USAGE', 'the file holds no such buffer');
    if (output === undefined || output === '-') {
      throw new ExhumeError('EXH_USAGE', 'a trace.dat is not written from front to back: name the file', {
        hint: '-o trace.dat',
      });
    }
    const events = OutputFile.whole(output, (sink) =>
      writeTraceDat(traceFor(trace, first), sink, {
        version: format === 'trace.dat' ? 7 : 6,
        buffers,
        cpus: cpu,
        // All instances share what is asked of them, but for times: those are of the first one's clock.
        wanted: (base) => this.wanted(traceFor(trace, first), first, base, undefined),
        progress: this.watch(buffers),
      }),
    );
    return { events, what: output, broken: [] };
  }

  private writePerfetto(buffer: TraceBuffer): Written {
    const { output } = this.options;
    const { shown, stream, wanted } = this.events(buffer);
    const texts = new TraceText(shown, buffer, stream);
    let events = 0;
    const packets = perfettoTrace(shown, buffer, stream, {
      wanted: (event) => {
        const want = wanted(event);
        if (want) events++;
        return want;
      },
      // Behind the function that wrote it.
      message: (event) =>
        texts
          .body(event)
          .replace(/^.*?: /, '')
          .trimEnd(),
    });
    const broken = stream.damage;
    if (output === undefined || output === '-') {
      appendAll(new PipeSink(STDOUT, 'standard output'), packets);
      return { events, what: 'standard output', broken };
    }
    OutputFile.whole(output, (file) => appendAll(new AppendingFile(file), packets));
    return { events, what: output, broken };
  }

  /** Where a buffer is empty and others aren't, that is worth knowing. */
  private noteOthers(buffer: TraceBuffer): void {
    if (sumOf(buffer, 'entries') !== 0) return;
    const others = this.trace.buffers.filter((one) => (sumOf(one, 'entries') ?? 0) > 0);
    if (others.length === 0) return;
    const names = others.map((one) => `--buffer ${one.instance ?? TOP}${one.snapshot ? ' --spare' : ''}`);
    this.session.surroundings.stderr.write(`exhume: this buffer is empty; there are events in: ${names.join(', ')}\n`);
  }
}

interface Events {
  /** The trace as this buffer is to be shown. */
  readonly shown: Trace;
  readonly stream: MergedEvents;
  readonly wanted: (event: TraceEvent) => boolean;
}

interface Written {
  readonly events: number;
  readonly what: string;
  readonly broken: readonly Damage[];
}

function appendAll(sink: AppendSink, pieces: Iterable<Uint8Array>): void {
  for (const piece of pieces) sink.append(piece);
}

/** `12.345678` of a clock that counts nanoseconds; else the ticks themselves. */
function ticksOf(text: string, clock: string): bigint {
  const [whole = '0', fraction = ''] = text.split('.');
  return inNanoseconds(clock) ? BigInt(whole) * 1_000_000_000n + BigInt(fraction.padEnd(9, '0')) : BigInt(whole);
}
