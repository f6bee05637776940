import type { Damage } from '../bytes/errors.js';
import { openKernelTrace } from '../trace/kernel-trace.js';
import type { Trace, TraceBuffer, TraceStatistics } from '../trace/model.js';
import { traceFor } from '../trace/relocation.js';
import { readEvents } from '../trace/ring/events.js';
import { type EventSelection, eventTest } from '../trace/text/filter.js';
import { TraceText } from '../trace/text/trace-text.js';
import { requireView } from './kernel-view.js';
import type { TraceBufferReport, TraceReport } from './schema/trace.js';
import type { Subject } from './subject.js';
import { damageReport } from './words.js';

/** What of a trace is to be read. */
export interface TraceReading {
  /** Whose events are counted. */
  readonly buffers: readonly TraceBuffer[];
  readonly cpus?: readonly number[] | undefined;
  readonly selection: (buffer: TraceBuffer) => EventSelection;
  readonly progress?: ((events: number) => void) | undefined;
}

/** What the top level buffer is called where a buffer is named. */
export const TOP = 'top';

/** What a trace holds; with a reading also what its events are. */
export function buildTrace(trace: Trace, found: readonly Damage[], reading?: TraceReading): TraceReport {
  const broken: Damage[] = [];
  const buffers = trace.buffers.map((buffer) => bufferReport(trace, buffer, reading, broken));
  const damage = traceDamage(trace, [...found, ...broken]);
  return {
    schema: 'exhume-trace/1',
    complete: damage.length === 0,
    source: trace.source,
    evidence: [...(trace.evidence ?? [])],
    release: trace.release ?? null,
    kinds: trace.formats.all.length,
    clocks: trace.clocks === undefined ? null : clocksReport(trace.clocks.toReal),
    buffers,
    damage: damage.map(damageReport),
  };
}

/** All events of all buffers of the kernel in a dump. Throws EXH_NO_KERNEL, EXH_NO_LAYOUT, EXH_NO_SYMBOL. */
export function buildKernelTrace(subject: Subject): TraceReport {
  const trace = openKernelTrace(requireView(subject));
  return buildTrace(trace, [], { buffers: trace.buffers, selection: () => ({}) });
}

/** All that is known to be broken of a trace; more may be found as its events are read. */
export function traceDamage(trace: Trace, found: readonly Damage[]): Damage[] {
  return [...found, ...trace.damage, ...trace.buffers.flatMap(({ damage }) => damage)];
}

function clocksReport(toReal: ReadonlyMap<string, bigint>): Record<string, string> {
  return Object.fromEntries(Array.from(toReal, ([name, offset]) => [name, String(offset)]));
}

function bufferReport(
  trace: Trace,
  buffer: TraceBuffer,
  reading: TraceReading | undefined,
  broken: Damage[],
): TraceBufferReport {
  const { instance, snapshot, persistent, tracer, clock, recording, options, cpus } = buffer;
  const wanted = reading?.buffers.includes(buffer) ? reading : undefined;
  return {
    name: instance ?? TOP,
    snapshot,
    persistent,
    tracer,
    clock,
    recording: recording ?? null,
    options: options === undefined ? null : [...options],
    entries: sumOf(buffer, 'entries'),
    overrun: sumOf(buffer, 'overrun'),
    cpus: cpus.map(({ cpu, statistics }) => ({
      cpu,
      entries: statistics?.entries ?? null,
      overrun: statistics?.overrun ?? null,
      commitOverrun: statistics?.commitOverrun ?? null,
      bytes: statistics?.bytes ?? null,
      droppedEvents: statistics?.droppedEvents ?? null,
      readEvents: statistics?.readEvents ?? null,
    })),
    read: wanted === undefined ? null : readReport(traceFor(trace, buffer), buffer, wanted, broken),
  };
}

/** Of all CPUs; null where one of them doesn't tell. */
export function sumOf({ cpus }: TraceBuffer, member: keyof TraceStatistics): number | null {
  let sum = 0;
  for (const { statistics } of cpus) {
    if (statistics === undefined) return null;
    sum += statistics[member] ?? 0;
  }
  return cpus.length === 0 ? null : sum;
}

function readReport(
  trace: Trace,
  buffer: TraceBuffer,
  { cpus, selection, progress }: TraceReading,
  broken: Damage[],
): TraceBufferReport['read'] {
  const stream = readEvents(buffer, { cpus, littleEndian: trace.littleEndian });
  const passes = eventTest(trace, selection(buffer), stream.base);
  const counts = new Map<number, number>();
  const lost = { places: 0, events: 0 };
  let first: number | undefined;
  let last = 0;
  let read = 0;
  const text = new TraceText(trace, buffer, stream, {
    wanted: (event) => {
      if ((++read & 0xffff) === 0) progress?.(read);
      if (!passes(event)) return false;
      if (event.lost !== 0) {
        lost.places++;
        if (event.lost > 0) lost.events += event.lost;
      }
      counts.set(event.type, (counts.get(event.type) ?? 0) + 1);
      first ??= event.time;
      last = event.time;
      return true;
    },
  });
  // What cannot be printed is known once all was.
  for (const _ of text.chunks());
  broken.push(...stream.damage);
  const times = [first, first === undefined ? undefined : last].map((time) =>
    time === undefined ? undefined : stream.base + BigInt(Math.trunc(time)),
  );
  const [start, end] = times;
  return {
    events: text.count,
    first: start === undefined ? null : String(start),
    last: end === undefined ? null : String(end),
    firstTime: wallTime(trace, buffer, start),
    lastTime: wallTime(trace, buffer, end),
    lost,
    kinds: Array.from(counts, ([id, count]) => {
      const format = trace.formats.byId(id);
      return { system: format?.system ?? null, name: format?.name ?? null, id, count };
    }).sort((a, b) => b.count - a.count || a.id - b.id),
    unprintable: text.fallbacks.map(({ format, fallback, failures }) => ({
      system: format.system,
      name: format.name,
      reason: fallback ?? null,
      count: fallback === undefined ? failures : (counts.get(format.id) ?? 0),
    })),
  };
}

const MILLION = 1_000_000n;
/** The times that a Date can hold, in milliseconds. */
const LATEST = 8_640_000_000_000_000n;

/** A time of the buffer's clock as UTC, to the microsecond; null where the trace doesn't tell how they stand to each other. */
export function wallTime({ clocks }: Trace, { clock }: TraceBuffer, time: bigint | undefined): string | null {
  const offset = clocks?.toReal.get(clock);
  if (offset === undefined || time === undefined) return null;
  const milliseconds = (time + offset) / MILLION;
  if (milliseconds > LATEST || milliseconds < 0n) return null;
  const microseconds = ((time + offset) / 1000n) % 1000n;
  return new Date(Number(milliseconds)).toISOString().replace('Z', `${String(microseconds).padStart(3, '0')}Z`);
}
