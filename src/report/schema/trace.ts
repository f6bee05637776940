import { type Static, Type } from 'typebox';
import { Count, document, nullable, Text } from './common.js';

const CpuSchema = Type.Object(
  {
    cpu: Count('Number'),
    entries: nullable(Type.Integer(), 'Events in the buffer, as the kernel counts them'),
    overrun: nullable(Type.Integer(), 'Events overwritten by newer ones'),
    commitOverrun: nullable(Type.Integer(), 'Events lost since too many were being written at once'),
    bytes: nullable(Type.Integer(), 'Bytes of the events in the buffer'),
    droppedEvents: nullable(Type.Integer(), 'Events lost since the buffer was full and not to be overwritten'),
    readEvents: nullable(Type.Integer(), 'Events that were read and so taken out'),
  },
  { description: 'What its stats file says' },
);

const KindSchema = Type.Object({
  system: nullable(Type.String(), 'sched, irq, …; ftrace for what the kernel records itself'),
  name: nullable(Type.String(), 'sched_switch, …'),
  id: Count('The number that its records begin with'),
  count: Count('How many of it there are'),
});

const ReadSchema = Type.Object(
  {
    events: Count('Events that were wanted'),
    first: nullable(Text('Of the first one, in units of the clock'), 'A whole number in decimal'),
    last: nullable(Text('Of the last one, in units of the clock'), 'A whole number in decimal'),
    firstTime: nullable(Text('Of the first one, on the wall, UTC'), 'ISO 8601'),
    lastTime: nullable(Text('Of the last one, on the wall, UTC'), 'ISO 8601'),
    lost: Type.Object({
      places: Count('Where events are missing between others'),
      events: Count('How many are missing, where their number is known'),
    }),
    kinds: Type.Array(KindSchema, { description: 'The most frequent first' }),
    unprintable: Type.Array(
      Type.Object({
        system: Text('Of the kind of event'),
        name: Text('Of the kind of event'),
        reason: nullable(Type.String(), 'What of its print format cannot be followed'),
        count: Count('Events of it that are shown field by field'),
      }),
      { description: 'Events that cannot be shown as the kernel would' },
    ),
  },
  { description: 'What reading the events told' },
);

export const TraceBufferSchema = Type.Object({
  name: Text('The instance; top for the top level'),
  snapshot: Type.Boolean({ description: 'It is the spare buffer, with what was there when a snapshot was taken' }),
  persistent: Type.Boolean({ description: 'An earlier boot wrote it' }),
  tracer: Text('current_tracer'),
  clock: Text('trace_clock'),
  recording: nullable(Type.Boolean(), 'tracing_on'),
  options: nullable(Type.Array(Type.String()), 'The trace_options that are set'),
  entries: nullable(Type.Integer(), 'Events in the buffer, of all CPUs'),
  overrun: nullable(Type.Integer(), 'Events overwritten, of all CPUs'),
  cpus: Type.Array(CpuSchema),
  read: Type.Union([ReadSchema, Type.Null()], { description: 'With --stats, of the buffers that were asked for' }),
});
export type TraceBufferReport = Static<typeof TraceBufferSchema>;

export const TraceSchema = document('exhume-trace/1', 'Traces (exhume trace --json)', {
  source: Text('Where it comes from, in words'),
  evidence: Type.Array(Type.String(), { description: 'How it was found and put together, where that is not plain' }),
  release: nullable(Type.String(), 'uname -r of the kernel that wrote it'),
  kinds: Count('Kinds of events whose formats are known'),
  clocks: nullable(
    Type.Record(Type.String(), Type.String()),
    'By trace clock, what is added to it for the time of day: nanoseconds, a whole number in decimal',
  ),
  buffers: Type.Array(TraceBufferSchema, {
    description: 'The top level, then the instances; each followed by its snapshot',
  }),
});
export type TraceReport = Static<typeof TraceSchema>;
