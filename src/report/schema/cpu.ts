import { type Static, Type } from 'typebox';
import { Count, document, Hex, nullable, section, Text } from './common.js';

export const RegisterSchema = Type.Object(
  {
    name: Text('Lower-case assembler name'),
    value: Hex('64-bit value'),
    symbol: nullable(Type.String(), 'The kernel symbol that it points to: name+0xoffset/0xsize'),
  },
  { description: 'One register' },
);
export type RegisterReport = Static<typeof RegisterSchema>;

export const SegmentSchema = Type.Object({
  name: Text('cs … ss, ldt, tr, gdt, idt'),
  selector: Hex('Selector'),
  base: Hex('Base address'),
  limit: Hex('Last valid offset'),
  flags: Hex('Attribute bits as QEMU keeps them'),
});
export type SegmentReport = Static<typeof SegmentSchema>;

export const CpuSchema = Type.Object(
  {
    index: Count('Position among the notes'),
    mode: Type.Union(
      [Type.Literal('kernel'), Type.Literal('user'), Type.Literal('firmware'), Type.Literal('unknown')],
      { description: 'Where the CPU was' },
    ),
    crashed: Type.Boolean({ description: 'The kernel that the answer is about died on this CPU' }),
    otherKernel: Type.Union([Count('Index'), Type.Null()], {
      description: 'The other kernel that it was running when the dump was taken, so that its registers are from there',
    }),
    guest: Type.Boolean({
      description: "It was inside a virtual machine when the dump was made from outside: its registers are the guest's",
    }),
    pid: nullable(Type.Integer(), "pr_pid of its NT_PRSTATUS note: a task in kdump's notes, cpu number + 1 in QEMU's"),
    ip: nullable(Hex('Instruction pointer'), 'Where it was executing'),
    symbol: nullable(Type.String(), 'The same as name+0xoffset/0xsize'),
    registers: section(Type.Array(RegisterSchema)),
    control: Type.Array(RegisterSchema, { description: "Control registers; QEMU's notes only" }),
    segments: Type.Array(SegmentSchema, { description: "Segment and descriptor-table registers; QEMU's notes only" }),
    sources: Type.Array(Type.String(), { description: 'The notes that it was read from' }),
    stale: nullable(Type.String(), 'Why its registers may be older than the memory; null: they are not'),
  },
  { description: 'One CPU as the notes show it' },
);
export type CpuReport = Static<typeof CpuSchema>;

export const RegsSchema = document('exhume-regs/1', 'CPU registers (exhume regs --json)', {
  cpus: Type.Array(CpuSchema),
});
export type RegsReport = Static<typeof RegsSchema>;
