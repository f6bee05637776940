import { type Static, Type } from 'typebox';
import { Count, document, Hex, nullable, section, Text } from './common.js';
import { TaskNameSchema, TaskStateSchema } from './ps.js';

export const SignatureSchema = Type.Object(
  {
    version: Type.Literal(1, { description: 'Of the rules; docs/signature.md' }),
    id: Type.String({ pattern: '^exh1:[0-9a-f]{20}$', description: 'Equal for equal crashes' }),
    title: Text('For people'),
    group: Text('The kind of crash, as it is hashed'),
    source: Type.Union([Type.Literal('log'), Type.Literal('stack'), Type.Literal('tasks')], {
      description:
        "Whose frames: the log's call trace, or unwound the stack of the CPU that died, or of the task that a hang comes from",
    }),
    frames: Type.Array(Type.String(), { description: 'The functions that are hashed, innermost first, with [module]' }),
    message: nullable(Type.String(), 'The line that is hashed where no function tells anything; numbers in it are N'),
    dropped: Type.Array(Type.Object({ frame: Text('Function'), why: Text('Why it says nothing') }), {
      description: 'Frames that were left out',
    }),
    further: Count('Meaningful frames further out that were not needed'),
  },
  { description: 'What the crash is known by, and what that was derived from' },
);
export type SignatureReport = Static<typeof SignatureSchema>;

export const SignatureDocumentSchema = document(
  'exhume-signature/1',
  'The signature alone (exhume report --signature --json)',
  { signature: section(SignatureSchema) },
);
export type SignatureDocument = Static<typeof SignatureDocumentSchema>;

export const CauseSchema = Type.Object(
  {
    kind: Text('As crash.kind; where the log says nothing, what the stack shows'),
    text: Text('In words'),
    evidence: Type.Array(
      Type.Object({
        source: Type.Union(
          [
            Type.Literal('log'),
            Type.Literal('registers'),
            Type.Literal('stack'),
            Type.Literal('variables'),
            Type.Literal('tasks'),
            Type.Literal('memory'),
          ],
          { description: 'Who says so' },
        ),
        text: Text('What it says'),
        agrees: Type.Boolean({ description: 'It bears the cause out; false: it speaks against it' }),
      }),
    ),
  },
  { description: 'Why it died, in words, and who says so' },
);
export type CauseReport = Static<typeof CauseSchema>;

export const FrameSchema = Type.Object(
  {
    kind: Type.Union([Type.Literal('call'), Type.Literal('interrupted'), Type.Literal('user')], {
      description: 'call: it called the frame before. interrupted: it was stopped there. user: the program',
    }),
    address: Hex('Where it goes on'),
    symbol: nullable(Type.String(), 'The same as name+0xoffset/0xsize [module]'),
    stack: nullable(Type.String(), 'The stack that it runs on, when that is not its task’s own: IRQ, NMI exception'),
    unwound: Type.Boolean({ description: 'false: guessed' }),
  },
  { description: 'A function on a stack' },
);
export type FrameReport = Static<typeof FrameSchema>;

export const StackSchema = Type.Object(
  {
    frames: Type.Array(FrameSchema, { description: 'Innermost first' }),
    end: Type.Union([Type.Literal('user'), Type.Literal('bottom'), Type.Literal('lost')], {
      description:
        'user: it came from user mode. bottom: a kernel thread’s first frame. lost: it could not be followed',
    }),
    problems: Type.Array(Type.String(), { description: 'Why it could not be followed, or was guessed in part' }),
  },
  { description: 'A stack' },
);
export type StackReport = Static<typeof StackSchema>;

export const CpuStackSchema = Type.Object(
  {
    cpu: Count('CPU'),
    crashed: Type.Boolean({ description: 'The kernel died on this CPU' }),
    task: nullable(TaskNameSchema, 'The task that it was running'),
    stack: section(StackSchema),
  },
  { description: 'The stack of a CPU' },
);
export type CpuStackReport = Static<typeof CpuStackSchema>;

export const TaskRowSchema = Type.Object(
  {
    ...TaskNameSchema.properties,
    tgid: Type.Integer({ description: "The pid of its thread group's leader" }),
    state: TaskStateSchema,
    active: Type.Boolean({ description: 'A CPU was running it' }),
    kernelThread: Type.Boolean(),
    resident: nullable(Count('Bytes'), 'Memory of its process that is resident, in bytes'),
    blocked: nullable(Type.Number(), 'Seconds in uninterruptible sleep (D); null for others, too'),
  },
  { description: 'A thread in brief' },
);
export type TaskRow = Static<typeof TaskRowSchema>;

export const TasksSchema = Type.Object(
  {
    total: Count('Threads, idle tasks among them'),
    kernelThreads: Count('How many of them are kernel threads'),
    states: Type.Array(Type.Object({ ...TaskStateSchema.properties, count: Count('Tasks in it') })),
    list: Type.Array(TaskRowSchema, {
      description: 'Up to 1000 of them: those that ran, then those in D, then the others by pid; all: exhume ps',
    }),
  },
  { description: 'What there was to run' },
);
export type TasksReport = Static<typeof TasksSchema>;

export const BlockedSchema = Type.Object(
  {
    seconds: Count('Who waits for longer is in a group below'),
    waiting: Count('Tasks in uninterruptible sleep (D), however long'),
    unknown: Count('Those among them of which it is not known how long'),
    further: Count('Tasks that waited as long, beyond the first 1000, whose stacks were not looked at'),
    groups: Type.Array(
      Type.Object({
        tasks: Type.Array(Type.Object({ ...TaskNameSchema.properties, seconds: Type.Number() }), {
          description: 'Longest first',
        }),
        stack: section(StackSchema),
      }),
      { description: 'Tasks by what they wait in: their stacks have the same functions. Largest group first' },
    ),
  },
  { description: 'Tasks that waited in D for long' },
);
export type BlockedReport = Static<typeof BlockedSchema>;

const Bytes = (description: string) => nullable(Count('Bytes'), `${description}, in bytes`);

export const MemorySchema = Type.Object(
  {
    verdict: Type.Union(
      [Type.Literal('exhausted'), Type.Literal('low'), Type.Literal('enough'), Type.Literal('unknown')],
      {
        description:
          'exhausted: every zone was below its min watermark, or the log says that memory ran out. low: below 5% available',
      },
    ),
    text: Text('The same in words'),
    total: Bytes('What the kernel managed'),
    free: Bytes('Free'),
    available: Bytes('What could have been had without swapping'),
    cached: Bytes('File pages'),
    shared: Bytes('tmpfs and shared memory'),
    slab: Bytes('Slabs'),
    swapTotal: Bytes('Swap'),
    swapFree: Bytes('Free swap'),
    largest: Type.Array(Type.Object({ ...TaskNameSchema.properties, resident: Count('Bytes') }), {
      description: 'The processes with the most resident memory, when memory was short',
    }),
  },
  { description: 'Memory' },
);
export type MemoryReport = Static<typeof MemorySchema>;

export const ModuleRowSchema = Type.Object(
  {
    name: Text('Name'),
    base: Hex('Where its code begins'),
    size: Count('Bytes'),
    taints: Text('O out of tree, E unsigned, P proprietary, …; empty when none'),
    state: nullable(Type.String(), 'live, coming, going, unformed'),
    usedBy: Type.Array(Type.String()),
    onStack: Type.Boolean({ description: 'A function of it is on the stack that the kernel died on' }),
  },
  { description: 'A loaded module' },
);
export type ModuleRow = Static<typeof ModuleRowSchema>;
