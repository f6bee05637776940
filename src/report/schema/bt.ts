import { type Static, Type } from 'typebox';
import { Count, document, Hex, nullable, Text } from './common.js';

const SymbolFields = {
  symbol: nullable(Type.String(), 'The function, by name'),
  offset: nullable(Type.Integer({ minimum: 0 }), 'How far into it, in bytes'),
  module: nullable(Type.String(), 'The module that it belongs to, and null for the kernel itself'),
};

export const StackWordSchema = Type.Object(
  {
    slot: Hex('Where it stands'),
    value: nullable(Hex('64-bit value'), 'null where the dump does not hold it'),
    symbol: nullable(Type.String(), 'What of the kernel it is the address of: schedule+21'),
    cache: nullable(Type.String(), 'The slab cache of the object that it is an address in'),
  },
  { description: 'A word of a stack' },
);
export type StackWordReport = Static<typeof StackWordSchema>;

export const FrameSchema = Type.Object(
  {
    kind: Type.Union([Type.Literal('call'), Type.Literal('interrupted'), Type.Literal('user')], {
      description:
        'call: it called the frame before. interrupted: an interrupt, an exception or the dump stopped it here. ' +
        'user: the program that entered the kernel',
    }),
    address: Hex('Where it goes on: the return address, or the instruction that was interrupted'),
    ...SymbolFields,
    sp: Hex('Its stack pointer when it goes on'),
    slot: nullable(Hex('Address'), 'Where on the stack its return address stands; null when it was not called'),
    line: Type.Union(
      [
        Type.Object({
          file: Text('The source file, as the compiler was told of it'),
          line: Count('Its line, from 1; 0 where the compiler could name none'),
        }),
        Type.Null(),
      ],
      { description: 'Where in the source it is: of a return address, the call. Null unless asked for and known' },
    ),
    stack: nullable(Type.String(), 'The stack that it runs on: task, IRQ, NMI exception…; null in user mode'),
    confidence: Type.Union([Type.Literal('unwound'), Type.Literal('guessed')], {
      description:
        "unwound: by the kernel's own tables or saved registers. guessed: by frame pointers, or by what lies on the stack",
    }),
    replacedBy: Type.Union([Type.Literal('ftrace'), Type.Literal('kretprobe'), Type.Null()], {
      description: 'Who had put a trampoline in the place of the return address; the address is the real one',
    }),
    registers: Type.Union(
      [Type.Array(Type.Object({ name: Text('Lower-case assembler name'), value: Hex('64-bit value') })), Type.Null()],
      { description: 'Of what was interrupted and of user mode; null for calls' },
    ),
    words: Type.Union([Type.Array(StackWordSchema), Type.Null()], {
      description: 'What it has on the stack, from sp to the return address of its caller; null unless asked for',
    }),
  },
  { description: 'One frame, the innermost first' },
);
export type FrameReport = Static<typeof FrameSchema>;

export const CandidateSchema = Type.Object(
  {
    slot: Hex('Where on the stack it stands'),
    address: Hex('What stands there'),
    ...SymbolFields,
    inFrame: Type.Boolean({ description: 'It is the return address of one of the frames' }),
  },
  { description: 'A word on the stack that is an address of kernel code' },
);

export const StackSchema = Type.Object(
  {
    pid: Type.Integer({ description: 'Thread id' }),
    task: Hex('Address of its task_struct'),
    cpu: Count('The CPU that it runs or last ran on'),
    comm: Text('Command name'),
    active: Type.Boolean({ description: 'A CPU was running it' }),
    panicked: Type.Boolean({ description: 'The kernel died in this task' }),
    start: Type.Union(
      [Type.Literal('switch'), Type.Literal('notes'), Type.Literal('crash_notes'), Type.Literal('scan')],
      {
        description:
          "What it was followed from: where it was switched away from; registers in the dump's notes; registers that the " +
          'dying kernel saved; nothing better than what lies on the stack',
      },
    ),
    stale: nullable(
      Type.String(),
      'Why the registers that it was followed from may be older than it; null: they are not',
    ),
    end: Type.Union([Type.Literal('user'), Type.Literal('bottom'), Type.Literal('lost')], {
      description:
        'user: it came from user mode. bottom: the first frame of a kernel thread. lost: it could not be followed so far. Without frames, bottom is a task that has ended and given its stack back',
    }),
    frames: Type.Array(FrameSchema),
    candidates: Type.Union([Type.Array(CandidateSchema), Type.Null()], {
      description: 'Every address of kernel code on its stacks; null unless asked for',
    }),
    raw: Type.Union([Type.Array(StackWordSchema), Type.Null()], {
      description: "The whole of the task's stack; null unless asked for",
    }),
    problems: Type.Array(Type.String(), { description: 'Why some of it was guessed, or could not be followed' }),
  },
  { description: "A task's stack" },
);
export type StackReport = Static<typeof StackSchema>;

export const BtSchema = document('exhume-bt/1', 'Kernel stacks (exhume bt --json)', {
  tables: nullable(Type.String(), 'The kernels that have ORC tables of the same format as this one, in words'),
  stacks: Type.Array(StackSchema),
  debugFiles: Type.Union(
    [
      Type.Array(
        Type.Object({
          module: nullable(Type.String(), 'The module that it is for, and null for the kernel itself'),
          path: Text('The file'),
          buildId: Text('Hexadecimal digits'),
        }),
      ),
      Type.Null(),
    ],
    { description: 'What told the lines of source; null unless they were asked for' },
  ),
  unmatched: Type.Array(Type.String(), { description: 'What was asked for and is no task' }),
});
export type BtReport = Static<typeof BtSchema>;
