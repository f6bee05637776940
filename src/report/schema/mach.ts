import { type Static, Type } from 'typebox';
import { Count, document, Hex, nullable, Text } from './common.js';
import { CpuCountSchema } from './sys.js';

const Address = (description: string) => nullable(Hex('Virtual address'), description);

export const MachSchema = document('exhume-mach/1', 'The machine (exhume mach --json)', {
  machine: Text('uname -m'),
  memory: nullable(Type.Integer(), 'Bytes, of all nodes'),
  cpus: nullable(CpuCountSchema, 'CPUs'),
  megahertz: nullable(Type.Integer(), 'Speed of the CPUs'),
  hz: nullable(Type.Integer(), 'Timer ticks in a second (CONFIG_HZ)'),
  pageSize: Count('Bytes'),
  pageTableLevels: Count('4 or 5'),
  directMap: Address('Where the map of all memory begins (PAGE_OFFSET)'),
  vmalloc: Address('Where vmalloc space begins'),
  vmemmap: Address('Where the array of struct page begins'),
  kernelStart: Address('Where the kernel image begins (_text)'),
  kaslrOffset: nullable(Hex('Bytes'), 'How far the image was moved'),
  stackSize: Count("Bytes of a task's kernel stack"),
  stacks: Type.Array(
    Type.Object({
      cpu: Count('Number'),
      name: Text('IRQ, NMI exception, …'),
      start: Hex('Lowest address'),
      bytes: Count('Size'),
    }),
    { description: 'The stacks of the CPUs besides those of tasks' },
  ),
});
export type MachReport = Static<typeof MachSchema>;
