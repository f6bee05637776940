import { type Static, Type } from 'typebox';
import { Count, nullable, Text } from './common.js';

const LastEventSchema = Type.Object(
  {
    cpu: Count('Where'),
    time: Text("By the trace's clock, a whole number in decimal: nanoseconds for most"),
    before: nullable(Type.Number(), 'Seconds before the last event of all'),
    pid: Type.Integer({ description: 'The task that ran there' }),
    comm: Text('Its name as ftrace knew it; <...>: it did not'),
    text: Text('The event as ftrace shows it'),
  },
  { description: 'An event' },
);
export type LastEventReport = Static<typeof LastEventSchema>;

export const LastMomentsSchema = Type.Object(
  {
    buffer: Text('Whose end it is: top, or the name of an instance'),
    tracer: Text('current_tracer'),
    clock: Text('trace_clock'),
    recording: nullable(Type.Boolean(), 'tracing_on when the kernel stopped: an oops switches it off'),
    entries: Count('Events in the buffer'),
    last: Type.Array(LastEventSchema, { description: 'The last events of each CPU, by time over all' }),
    task: nullable(
      Type.Object({
        pid: Count('Its number'),
        events: Type.Array(LastEventSchema, { description: 'Its last events, where the end of the trace has any' }),
      }),
      'What the task traced last that ran where the kernel died',
    ),
  },
  { description: 'The end of the trace (ftrace)' },
);
export type LastMomentsReport = Static<typeof LastMomentsSchema>;
