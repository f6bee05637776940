import { type Static, Type } from 'typebox';
import {
  AbsenceSchema,
  Count,
  document,
  EvidenceSchema,
  Hex,
  KernelSummarySchema,
  nullable,
  section,
  Text,
} from './common.js';

export const GuestCpuSchema = Type.Object(
  {
    index: Count('Its position among the CPUs of the guest'),
    state: Type.Union(
      [
        Type.Literal('running'),
        Type.Literal('halted'),
        Type.Literal('not started'),
        Type.Literal('stopped'),
        Type.Literal('unknown'),
      ],
      { description: 'halted: it waited for an interrupt. not started: it was never run' },
    ),
    rip: nullable(Hex('Instruction pointer'), 'Where it was'),
    symbol: nullable(Type.String(), "The same by the guest's symbols"),
    source: Text('Where its registers are from'),
    stale: nullable(Type.String(), 'Why they may be older than the memory; null: they are not'),
    nested: nullable(Hex('Instruction pointer'), 'It ran a guest of its own, which was there'),
  },
  { description: 'A virtual CPU. All registers: exhume regs --guest' },
);
export type GuestCpuReport = Static<typeof GuestCpuSchema>;

export const GuestMemorySchema = Type.Object(
  {
    described: Count('Pages of RAM that the guest has'),
    present: Count('Those that can be read'),
    untouched: Count('Those of them that are zeros because they were never touched, or given back by a balloon'),
    swapped: Count("Those of them that were in the host's swap, and were read from there"),
    excluded: Count("Pages that were left out of the host's dump"),
    lost: Count('Pages that are nowhere: in swap that is not in the dump, or in a file'),
    nested: nullable(
      Type.Object({
        kind: Type.Union([Type.Literal('NPT'), Type.Literal('EPT')]),
        same: Count('Pages that both have at the same place'),
        different: Count('Pages that both have, at different places'),
        nestedOnly: Count('Pages that only the nested page table has'),
        slotsOnly: Count('Pages that only the memory slots have: the guest had not touched them lately'),
      }),
      "The nested page table against the hypervisor's memory slots",
    ),
  },
  { description: "What became of the guest's pages" },
);

export const GuestSchema = Type.Object(
  {
    index: Count('For --guest INDEX'),
    name: Text('For --guest NAME'),
    how: Type.Union(
      [Type.Literal('kvm structures'), Type.Literal('control structures'), Type.Literal('QEMU process')],
      { description: 'What it was found by' },
    ),
    process: nullable(
      Type.Object({
        pid: Type.Integer({ description: 'Its pid' }),
        comm: Text('Its name'),
        commandLine: Type.Array(Type.String(), { description: 'Its arguments, the program first' }),
        name: nullable(Type.String(), "QEMU's -name"),
        uuid: nullable(Type.String(), "QEMU's -uuid"),
      }),
      'The process that ran it',
    ),
    memoryBytes: Count('RAM that it has, in bytes'),
    cpus: Type.Array(GuestCpuSchema),
    kernel: section(KernelSummarySchema),
    pages: nullable(GuestMemorySchema, 'Its pages, looked at one by one: with --verbose'),
    refused: nullable(AbsenceSchema, 'Why nothing of it can be read; null: it can be'),
    evidence: Type.Array(EvidenceSchema),
  },
  { description: 'A machine inside' },
);
export type GuestReport = Static<typeof GuestSchema>;

export const GuestLineSchema = Type.Object(
  {
    index: Count('For --guest INDEX'),
    name: Text('For --guest NAME'),
    pid: nullable(Type.Integer(), 'The process that ran it'),
    cpus: Count('Its CPUs'),
    memoryBytes: Count('RAM that it has, in bytes'),
    refused: nullable(Type.String(), 'Why nothing of it can be read'),
  },
  { description: 'A virtual machine that it ran; in full: exhume guests' },
);
export type GuestLine = Static<typeof GuestLineSchema>;

export const GuestsSchema = document('exhume-guests/1', 'The machines inside (exhume guests --json)', {
  guests: Type.Array(GuestSchema),
  evidence: Type.Array(EvidenceSchema, { description: 'How they were looked for' }),
});
export type GuestsReport = Static<typeof GuestsSchema>;
