import type { TraceBufferReport, TraceReport } from '../schema/trace.js';
import { printable } from './page.js';
import { columns } from './table-columns.js';

/** The buffers, one a line. */
export function* traceListText({ source, evidence, release, buffers }: TraceReport): Generator<string> {
  yield release === null ? source : `${source}, Linux ${release}`;
  for (const line of evidence) yield printable(`  ${line}`);
  yield '';
  const rows = buffers.map(({ name, snapshot, persistent, tracer, clock, recording, entries, overrun, cpus }) => [
    name,
    [snapshot ? 'snapshot' : '', persistent ? 'earlier boot' : ''].filter(Boolean).join(', ') || '-',
    tracer,
    clock,
    recording === null ? '?' : recording ? 'on' : 'off',
    String(cpus.length),
    number(entries),
    number(overrun),
  ]);
  yield* columns(
    [['BUFFER', 'KIND', 'TRACER', 'CLOCK', 'TRACING', 'CPUS', 'EVENTS', 'OVERWRITTEN'], ...rows],
    [0, 1, 2, 3, 4],
  );
}

/** What the buffers' stats files say, and what their events are. */
export function* traceStatsText(report: TraceReport): Generator<string> {
  yield* traceListText(report);
  for (const buffer of report.buffers) {
    if (buffer.read === null) continue;
    yield '';
    yield `${buffer.name}${buffer.snapshot ? ', snapshot' : ''}: ${eventsText(buffer.read)}`;
    yield* columns([
      ['CPU', 'ENTRIES', 'OVERRUN', 'COMMIT OVERRUN', 'BYTES', 'DROPPED', 'READ'],
      ...buffer.cpus.map((cpu) => [
        String(cpu.cpu),
        ...[cpu.entries, cpu.overrun, cpu.commitOverrun, cpu.bytes, cpu.droppedEvents, cpu.readEvents].map(number),
      ]),
    ]);
    if (buffer.read.kinds.length > 0) {
      yield '';
      const rows = buffer.read.kinds.map(({ system, name, id, count }) => [
        String(count),
        name === null ? `type ${id}, of which no format is known` : `${system}:${name}`,
      ]);
      yield* columns([['COUNT', 'EVENT'], ...rows], [1]);
    }
    for (const { system, name, reason, count } of buffer.read.unprintable) {
      yield `  shown field by field: ${count} of ${system}:${name}${reason === null ? '' : `: ${reason}`}`;
    }
  }
}

function eventsText({
  events,
  first,
  last,
  firstTime,
  lastTime,
  lost,
}: NonNullable<TraceBufferReport['read']>): string {
  if (first === null || last === null) return 'no events';
  const span = firstTime === null ? `${first} to ${last}` : `${firstTime} to ${lastTime}`;
  const missing = lost.places === 0 ? '' : `, events missing in ${lost.places} places`;
  return `${events} events, ${span}${missing}`;
}

function number(value: number | null): string {
  return value === null ? '?' : String(value);
}
