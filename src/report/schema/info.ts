import { type Static, Type } from 'typebox';
import { Count, document, EvidenceSchema, FileSchema, KernelSummarySchema, nullable, section, Text } from './common.js';
import { CpuSchema } from './cpu.js';
import { MachineSchema } from './report.js';

const Value = Type.Union([Type.String(), Type.Number()], {
  description: 'A number, a text, or a 64-bit word as "0x…"',
});

export const InfoSchema = document('exhume-info/1', 'What the file is (exhume info --json)', {
  file: FileSchema,
  header: Type.Array(
    Type.Object({
      name: Text('The field as the format calls it'),
      value: Value,
      note: nullable(Type.String(), 'What it means, or what is wrong with it'),
    }),
    { description: 'Header fields in the order of the file' },
  ),
  notes: Type.Array(
    Type.Object({
      name: Text('Owner'),
      type: Type.Integer({ description: 'n_type' }),
      bytes: Count('Size of the description'),
      offset: Count('File offset of the note'),
      meaning: nullable(Type.String(), 'What it is'),
    }),
    { description: 'ELF notes' },
  ),
  memory: Type.Array(
    Type.Object({ start: Text('First byte, "0x…"'), end: Text('First byte after, "0x…"'), bytes: Count('Size') }),
    { description: 'Physical memory that the file describes' },
  ),
  machine: section(MachineSchema),
  cpus: section(Type.Array(CpuSchema)),
  vmcoreinfo: section(
    Type.Array(Type.Object({ key: Text('KEY'), value: Text('VALUE') }), {
      description: 'VMCOREINFO line by line, as the kernel wrote it',
    }),
  ),
  kernels: Type.Array(KernelSummarySchema),
  evidence: Type.Array(EvidenceSchema),
  structures: nullable(
    Type.Array(
      Type.Object({
        name: Text('Structure'),
        offset: Count('File offset'),
        bytes: Count('Size'),
        fields: Type.Array(
          Type.Object({
            name: Text('Field'),
            type: Text('u32, char[65], …'),
            offset: Count('File offset'),
            bytes: Count('Size'),
            hex: Text('The bytes as they stand in the file'),
            value: Type.Union([Value, Type.Array(Value)]),
          }),
        ),
      }),
    ),
    'Field by field, with --raw',
  ),
});
export type InfoReport = Static<typeof InfoSchema>;
