import { type Static, Type } from 'typebox';
import { Count, document, Hex, nullable, Text } from './common.js';

/** Which task: enough to find it again. */
export const TaskNameSchema = Type.Object(
  {
    pid: Type.Integer({ description: '0 for the idle task of a CPU' }),
    task: Hex('Address of its task_struct'),
    cpu: Count('The CPU that it runs or last ran on'),
    comm: Text('Its name, of up to 15 bytes'),
  },
  { description: 'A task' },
);
export type TaskName = Static<typeof TaskNameSchema>;

export const TaskStateSchema = Type.Object({
  letter: Text('R S D T t X Z P I, as in /proc/PID/stat'),
  code: Text("crash's: RU IN UN ST TR DE ZO PA ID NE WA"),
  words: Text("The kernel's own words: disk sleep"),
});

const Nanoseconds = (description: string) => Type.Integer({ description: `${description}; nanoseconds` });

export const TaskSchema = Type.Object(
  {
    ...TaskNameSchema.properties,
    tgid: Type.Integer({ description: "The pid of its thread group's leader" }),
    ppid: nullable(Type.Integer(), 'The pid of its parent, or of its tracer while it is traced'),
    state: TaskStateSchema,
    active: Type.Boolean({ description: 'A CPU was running it' }),
    kernelThread: Type.Boolean(),
    memory: nullable(
      Type.Object({
        percent: nullable(Type.Number(), 'Of physical memory that is resident, as crash counts it'),
        virtual: Count('Mapped, in bytes'),
        resident: Count('In memory, in bytes'),
      }),
      'Its memory',
    ),
    priority: Type.Integer({ description: '0 to 99 real-time, 100 to 139 fair' }),
    policy: nullable(Type.String(), 'NORMAL, FIFO, RR, BATCH, IDLE, DEADLINE, EXT'),
    stack: Hex('Lowest address of its kernel stack; 0x0 when it is gone, as that of a zombie is'),
    stackPointer: nullable(Hex('Address'), 'Of its kernel stack; a task that was running has none that holds'),
    startTime: Nanoseconds('When it was started, since boot'),
    runTime: nullable(Nanoseconds('How long ago that was when the kernel stopped'), 'Its age'),
    userTime: Nanoseconds('Spent in user mode'),
    systemTime: Nanoseconds('Spent in the kernel'),
    lastRun: nullable(Nanoseconds("When it last came onto a CPU, by that CPU's clock"), 'Its last run'),
    sinceLastRun: nullable(Nanoseconds('How long before the end that was'), 'The time since'),
    blocked: nullable(
      Type.Object({
        nanoseconds: Count('How long it was waiting when the kernel stopped'),
        basis: Type.Union([Type.Literal('sched_info.last_arrival'), Type.Literal('se.exec_start')], {
          description: 'The last time at which it is known to have been running',
        }),
      }),
      'For how long a task in uninterruptible sleep (D) was in it; null for others, too',
    ),
  },
  { description: 'A thread' },
);
export type TaskReport = Static<typeof TaskSchema>;

export const PsSchema = document('exhume-ps/1', 'Tasks (exhume ps --json)', {
  tasks: Type.Array(TaskSchema, { description: 'Those that were asked for; by pid, or by last run' }),
  total: Count('How many threads the kernel had, idle tasks among them'),
  states: Type.Array(Type.Object({ ...TaskStateSchema.properties, count: Count('Tasks in it') }), {
    description: 'How many of the tasks above are in which state',
  }),
  relation: Type.Union([Type.Literal('parents'), Type.Literal('children'), Type.Literal('threads'), Type.Null()], {
    description: 'What the relatives are',
  }),
  relatives: Type.Array(
    Type.Object({
      of: TaskNameSchema,
      tasks: Type.Array(TaskNameSchema, { description: 'Parents: from the first one down to the nearest' }),
    }),
    { description: 'With -p, -c or -g: for each task above' },
  ),
  programs: Type.Array(
    Type.Object({
      of: TaskNameSchema,
      arguments: nullable(Type.Array(Type.String()), 'What it was started with; null for kernel threads, too'),
      environment: nullable(Type.Array(Type.String()), 'NAME=VALUE'),
      absent: nullable(Type.String(), 'Why they could not be read'),
    }),
    { description: 'With -a: of each task above, as its own memory has them' },
  ),
  limits: Type.Array(
    Type.Object({
      of: TaskNameSchema,
      limits: Type.Array(
        Type.Object({
          name: Text('Without RLIMIT_'),
          current: nullable(Type.String(), 'Decimal; null: unlimited'),
          maximum: nullable(Type.String(), 'Decimal; null: unlimited'),
        }),
      ),
    }),
    { description: 'With -r: the resource limits of each task above' },
  ),
  unmatched: Type.Array(Type.String(), { description: 'Selectors that no task matches' }),
});
export type PsReport = Static<typeof PsSchema>;
