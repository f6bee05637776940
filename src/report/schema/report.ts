import { type Static, Type } from 'typebox';
import {
  Count,
  document,
  EvidenceSchema,
  FileSchema,
  Hex,
  KernelSummarySchema,
  nullable,
  section,
  Text,
} from './common.js';
import { CpuSchema } from './cpu.js';
import {
  BlockedSchema,
  CauseSchema,
  CpuStackSchema,
  MemorySchema,
  ModuleRowSchema,
  SignatureSchema,
  TasksSchema,
} from './diagnosis.js';
import { GuestLineSchema } from './guests.js';
import { LastMomentsSchema } from './last-moments.js';

export const MachineSchema = Type.Object(
  {
    architecture: Text('uname -m'),
    cpus: Count('CPUs that the notes tell of'),
    memory: Type.Object({
      described: Count('Bytes of RAM that the dump describes'),
      present: Count('Bytes of it that are in the file'),
      missing: Count('Bytes of it that are not: the writer filtered them out, or the file is cut off before them'),
    }),
  },
  { description: 'The machine' },
);
export type MachineReport = Static<typeof MachineSchema>;

export const IdentitySchema = Type.Object(
  {
    index: Count('Which kernel of the dump this is'),
    role: KernelSummarySchema.properties.role,
    release: nullable(Type.String(), 'uname -r'),
    banner: nullable(Type.String(), 'linux_banner: version, compiler, build'),
    buildId: nullable(Type.String(), 'Build id, hexadecimal'),
    hostName: nullable(Type.String(), "The machine's name"),
    commandLine: nullable(Type.String(), 'What the kernel was booted with'),
    physBase: nullable(Hex('phys_base'), "The kernel's phys_base; may be negative"),
    kaslrOffset: nullable(Hex('KASLR offset'), 'How far from its link address it runs; 0x0 without KASLR'),
    directMap: nullable(Hex('PAGE_OFFSET'), 'Base of the linear map'),
    pageTable: nullable(Hex('Root'), 'Physical address of its top-level page table'),
    pageTableLevels: nullable(Type.Integer(), '4 or 5'),
    symbols: Count('Kernel symbols read from the image'),
  },
  { description: 'Which kernel it was' },
);
export type IdentityReport = Static<typeof IdentitySchema>;

export const CrashEventSchema = Type.Object(
  {
    kind: Text('page-fault, bug, soft-lockup, panic, …'),
    weight: Type.Union([Type.Literal('panic'), Type.Literal('die'), Type.Literal('stuck'), Type.Literal('notice')], {
      description: 'panic: the end. die: the kernel killed what ran. stuck: no progress. notice: it went on',
    }),
    title: Text('In one line, with where it happened'),
    message: Text('The line that says it, as printed'),
    time: nullable(Type.Number(), 'Seconds since boot'),
    cpu: nullable(Type.Integer(), 'CPU'),
    pid: nullable(Type.Integer(), 'Task'),
    comm: nullable(Type.String(), "Task's name"),
  },
  { description: 'One thing that went wrong, as the log tells it' },
);
export type CrashEventReport = Static<typeof CrashEventSchema>;

export const CrashSchema = Type.Object(
  {
    kind: Text(
      'What ended it: page-fault, bug, sysrq, panic, …; none when it was dumped alive; unknown when its log is gone',
    ),
    reason: Text('Why, in one line'),
    panicMessage: nullable(Type.String(), 'What follows "Kernel panic - not syncing: "'),
    where: nullable(Type.String(), 'Where in the kernel it happened'),
    time: nullable(
      Type.Object({
        epoch: Type.Integer({ description: 'Seconds since 1970' }),
        iso: Text('The same as ISO 8601, UTC'),
        source: Text(
          'CRASHTIME; log: its time since boot; timekeeper: the clock at the moment of the dump; ' +
            "record: the host's clock when it wrote the record",
        ),
      }),
      'When',
    ),
    uptime: nullable(Type.Number(), 'Seconds from boot to then'),
    cpu: nullable(Type.Integer(), 'CPU on which it died'),
    pid: nullable(Type.Integer(), 'Task that ran there'),
    comm: nullable(Type.String(), "That task's name"),
    tainted: nullable(Type.String(), 'Taint letters; empty when not tainted'),
    hardware: nullable(Type.String(), "The machine's name, as the kernel printed it"),
    workqueue: nullable(Type.String(), 'Workqueue and its function, when it happened in one'),
    trace: Type.Array(
      Type.Object({
        symbol: Text('name+0xoffset/0xsize'),
        module: nullable(Type.String(), 'Module'),
        reliable: Type.Boolean({ description: 'false where the kernel printed "?"' }),
        stack: nullable(Type.String(), 'IRQ, NMI, … when not on the stack of the task'),
      }),
      { description: 'The call trace, as the kernel printed it' },
    ),
    events: Type.Array(CrashEventSchema, { description: 'Everything that went wrong, in order' }),
    text: Type.Array(Type.String(), { description: 'What the kernel printed about it, line by line' }),
  },
  { description: 'Why it died' },
);
export type CrashReport = Static<typeof CrashSchema>;

export const ReportSchema = document('exhume-report/1', 'Everything that matters (exhume report --json)', {
  headline: Text('The answer in one line'),
  file: FileSchema,
  machine: section(MachineSchema),
  kernel: section(IdentitySchema),
  crash: section(CrashSchema),
  cause: section(CauseSchema),
  signature: section(SignatureSchema),
  stacks: section(Type.Array(CpuStackSchema, { description: 'The stack of every CPU; where it died first' })),
  blocked: section(BlockedSchema),
  tasks: section(TasksSchema),
  memory: section(MemorySchema),
  modules: section(
    Type.Array(ModuleRowSchema, { description: 'Those on the stack first, then those that taint, then by age' }),
  ),
  trace: Type.Union([...section(LastMomentsSchema).anyOf, Type.Null()], {
    description: 'The last moments of the trace (ftrace); null when the kernel traced nothing',
  }),
  guests: Type.Array(GuestLineSchema, { description: 'The virtual machines that it ran' }),
  cpus: section(Type.Array(CpuSchema)),
  log: section(
    Type.Object({
      source: Text('Where it was read from'),
      total: Count('Records in the whole log'),
      lines: Type.Array(Type.String(), {
        description: 'The last of them, as dmesg prints them; those in crash.text are not repeated',
      }),
      records: Type.Array(
        Type.Object({
          time: nullable(Type.Number(), 'Seconds since boot'),
          level: Type.Integer({ minimum: 0, maximum: 7, description: '0 emerg … 7 debug' }),
          text: Text('The message; control characters as \\xNN'),
        }),
        { description: 'The same with their levels; for the HTML page all of them, also those in crash.text' },
      ),
      told: Count('Records that are in crash.text'),
      pending: Type.Array(Type.String(), {
        description: 'Messages that were being written when the kernel stopped: it never showed them itself',
      }),
    }),
  ),
  kernels: Type.Array(KernelSummarySchema, { description: 'Every kernel found in the dump' }),
  evidence: Type.Array(EvidenceSchema, { description: 'How the facts above were found' }),
});
export type Report = Static<typeof ReportSchema>;
