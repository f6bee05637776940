import { type Static, Type } from 'typebox';
import { Count, document, Hex, nullable } from './common.js';
import { TaskNameSchema } from './ps.js';

const QueuedTaskSchema = Type.Object(
  {
    ...TaskNameSchema.properties,
    priority: Type.Integer({ description: '0 to 99 real-time, 100 to 139 fair' }),
    lastRun: nullable(Type.Integer(), "When it last came onto a CPU, in nanoseconds of that CPU's clock"),
  },
  { description: 'A task on a queue' },
);
export type QueuedTask = Static<typeof QueuedTaskSchema>;

const QueueSchema = Type.Object({
  address: Hex('Of its root in the run queue'),
  tasks: Type.Array(QueuedTaskSchema, { description: 'In the order in which they are queued' }),
});

export const RunqSchema = document('exhume-runq/1', 'Run queues (exhume runq --json)', {
  cpus: Type.Array(
    Type.Object({
      cpu: Count('Its number'),
      address: Hex('Of its struct rq'),
      clock: Count("The queue's clock, in nanoseconds"),
      running: Count('Runnable tasks, the running one among them'),
      current: nullable(QueuedTaskSchema, 'What it was running'),
      realtime: QueueSchema,
      fair: QueueSchema,
      deadline: QueueSchema,
      onQueue: Type.Array(QueuedTaskSchema, {
        description: 'Every task of this CPU that says that it is on a run queue (on_rq); with --debug, else empty',
      }),
    }),
    { description: 'A run queue for each CPU' },
  ),
});
export type RunqReport = Static<typeof RunqSchema>;
