import { type Static, Type } from 'typebox';
import { Count, document, Hex, nullable, Text } from './common.js';
import { TaskNameSchema } from './ps.js';

export const MemoryAreaSchema = Type.Object(
  {
    area: Hex('Address of its struct vm_area_struct'),
    start: Hex('First address'),
    end: Hex('First address after it'),
    flags: Hex('VM_* flags'),
    permissions: Text('r-xp, as in /proc/PID/maps'),
    offset: Hex('Offset in the file, in bytes'),
    inode: Text('Number of its inode; 0 for memory without a file; in decimal'),
    device: nullable(Type.String(), 'MAJOR:MINOR of what the file is on'),
    file: nullable(Type.String(), 'The file that it maps'),
    name: nullable(Type.String(), '[heap], [stack], [vdso], [anon:…]: what memory without a file is'),
  },
  { description: 'A virtual memory area' },
);
export type MemoryAreaReport = Static<typeof MemoryAreaSchema>;

export const TaskMemorySchema = Type.Object({
  task: TaskNameSchema,
  mm: nullable(Hex('Address of its struct mm_struct'), 'A kernel thread has none'),
  pgd: nullable(Hex('Address of its page table'), 'Its page table'),
  resident: nullable(Count('In bytes'), 'What of it is in memory: RSS'),
  virtual: nullable(Count('In bytes'), 'What is mapped: TOTAL_VM'),
  areas: Type.Array(MemoryAreaSchema, { description: 'Ascending' }),
});
export type TaskMemoryReport = Static<typeof TaskMemorySchema>;

export const VmSchema = document('exhume-vm/1', 'Address spaces of processes (exhume vm --json)', {
  tasks: Type.Array(TaskMemorySchema),
  unmatched: Type.Array(Type.String(), { description: 'Selectors that no task matches' }),
});
export type VmReport = Static<typeof VmSchema>;
