import { type Static, type TProperties, type TSchema, Type } from 'typebox';
import { ERROR_CODES } from '../../bytes/errors.js';

/**
 * What every output of `exhume --json` is made of.
 *
 * Each shape is defined once, here and beside: the TypeScript type is its `Static`, the published JSON Schema
 * (schemas/*.schema.json) is its JSON. Only the generator and the tests load these modules; everything else imports types.
 *
 * House rules of the JSON: addresses, register values and other 64-bit words are "0x…" strings, sizes and counts are numbers,
 * a fact that this dump does not hold is null, a section that could not be had is an Absence that says why.
 */

/** A null where the dump does not say. */
export const nullable = <T extends TSchema>(schema: T, description: string) =>
  Type.Union([schema, Type.Null()], { description: `${description}; null where the dump does not tell` });

export const Hex = (description: string) => Type.String({ pattern: '^-?0x[0-9a-f]+$', description });
export const Count = (description: string) => Type.Integer({ minimum: 0, description });
export const Text = (description: string) => Type.String({ description });

export const ErrorCodeSchema = Type.Enum(ERROR_CODES, { description: 'A stable code; docs/errors.md explains each' });

export const AbsenceSchema = Type.Object(
  {
    absent: Text('Why this section is missing, in one sentence'),
    code: nullable(ErrorCodeSchema, 'The error behind it'),
    hint: nullable(Type.String(), 'What to try'),
  },
  { description: 'Stands where a section could not be had' },
);
/** Stands where a section could not be had. */
export type Absence = Static<typeof AbsenceSchema>;

/** A section, or why there is none. */
export const section = <T extends TSchema>(schema: T) => Type.Union([schema, AbsenceSchema]);

export const DamageSchema = Type.Object(
  {
    code: ErrorCodeSchema,
    part: Text('The part of the input that it touches'),
    message: Text('What is broken'),
  },
  { description: 'Something in the input that is broken but did not stop the reading' },
);
export type DamageReport = Static<typeof DamageSchema>;

export const EvidenceSchema = Type.Object(
  {
    question: Text('What was to be found out: phys_base, KASLR offset, architecture'),
    method: Text('One way of finding it out'),
    answer: nullable(Type.String(), 'What that way said'),
    accepted: Type.Boolean({ description: 'This answer was used' }),
    detail: nullable(Type.String(), 'Why it failed, or what it was checked against'),
  },
  { description: 'One way that a question about the dump was tried, and what it said' },
);
export type EvidenceReport = Static<typeof EvidenceSchema>;

export const ProcessSchema = Type.Object(
  {
    pid: Count('Its number'),
    comm: Text('Its name'),
    commandLine: Type.Array(Type.String(), { description: 'Its arguments, the program first' }),
    accelerator: Text('How it ran the machine: KVM, TCG'),
    stale: nullable(Type.String(), "Why the CPUs' registers may be older than the memory; null: they are not"),
    death: nullable(
      Type.Object({
        signal: Text('SIGABRT, SIGSEGV, …'),
        detail: Text('Who sent it, or which address was at fault; may be empty'),
        thread: Count('The thread that it struck'),
        where: Text('Where in its code: FILE+0xOFFSET'),
        messages: Type.Array(Type.String(), { description: 'What it printed before it gave up' }),
      }),
      'What ended it; null: nothing, it went on',
    ),
  },
  { description: 'The process that ran the machine' },
);
export type ProcessReport = Static<typeof ProcessSchema>;

export const FileSchema = Type.Object(
  {
    names: Type.Array(Type.String(), { description: 'The files, in the order in which they were given' }),
    bytes: Count('Their sizes together; 0 for the memory of a running kernel'),
    format: Type.Union([
      Type.Literal('elf'),
      Type.Literal('kdump'),
      Type.Literal('raw'),
      Type.Literal('guest'),
      Type.Literal('pstore'),
    ]),
    description: Text('The format in words'),
    flattened: Type.Boolean({ description: "It is makedumpfile's flattened form around that format" }),
    live: Type.Boolean({ description: 'It is the memory of a running kernel, which changed while it was read' }),
    writer: Type.Union(
      [Type.Literal('qemu'), Type.Literal('kernel'), Type.Literal('makedumpfile'), Type.Literal('unknown')],
      { description: 'Who wrote the file, judged from its notes' },
    ),
    wordBits: Type.Union([Type.Literal(32), Type.Literal(64), Type.Null()], {
      description:
        "Layout of the file's own structures, not proof of the kernel's; null for pstore records: they are text",
    }),
    littleEndian: Type.Union([Type.Boolean(), Type.Null()], { description: 'The same' }),
    incomplete: Type.Boolean({
      description: 'The writer marked it as cut off, or it ends before its own structures do',
    }),
    process: nullable(ProcessSchema, 'The process whose core the file is; null for any other file'),
  },
  { description: 'The file' },
);
export type FileReport = Static<typeof FileSchema>;

export const KernelSummarySchema = Type.Object(
  {
    index: Count('For --kernel INDEX'),
    role: Type.Union([Type.Literal('crashed'), Type.Literal('capture'), Type.Literal('running')], {
      description:
        'crashed: it died. capture: a kdump kernel that was saving another one. running: it was dumped alive',
    }),
    release: nullable(Type.String(), 'uname -r'),
    buildId: nullable(Type.String({ pattern: '^[0-9a-f]{8,}$' }), 'The build id'),
    chosen: Type.Boolean({ description: 'The answers are about this one' }),
  },
  { description: 'A kernel found in the dump' },
);
export type KernelSummary = Static<typeof KernelSummarySchema>;

/** What every answer carries: the version of its shape, whether all of it could be had, and what was broken. */
const envelope = <Name extends string>(name: Name) => ({
  schema: Type.Literal(name, { description: 'The shape of this document, and its version' }),
  complete: Type.Boolean({ description: 'Nothing was damaged, nothing that was asked for is missing (exit status 0)' }),
});

/** An output document. Fields may be added within a version; none goes or changes its meaning. */
export const document = <Name extends string, P extends TProperties>(schema: Name, title: string, properties: P) =>
  Type.Object(
    {
      ...envelope(schema),
      ...properties,
      damage: Type.Array(DamageSchema, { description: 'What was broken; empty when nothing was' }),
    },
    { $id: `urn:${schema.replace('/', ':').replace('-', ':')}`, title },
  );
