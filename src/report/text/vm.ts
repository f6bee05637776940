import type { MemoryAreaReport, TaskMemoryReport, VmReport } from '../schema/vm.js';
import { columns } from './columns.js';
import { digits16, printable } from './page.js';
import { taskHeader } from './task.js';

/** crash's `vm`, its first two lines only, or lines as in /proc/PID/maps. */
export type VmStyle = 'table' | 'summary' | 'maps';

export function* vmText({ tasks, unmatched }: VmReport, style: VmStyle): Generator<string> {
  for (const [index, task] of tasks.entries()) {
    if (index > 0) yield '';
    yield taskHeader(task.task);
    if (style === 'maps') for (const area of task.areas) yield mapsLine(area);
    else yield* summary(task);
    if (style === 'table') yield* areaTable(task.areas);
  }
  for (const selector of unmatched) yield `no task is ${printable(selector)}`;
}

function* summary({ mm, pgd, resident, virtual }: TaskMemoryReport): Generator<string> {
  const kib = (bytes: number | null): string => (bytes === null ? '?' : `${bytes / 1024}k`);
  const address = (hex: string | null): string => (hex === null ? '0' : digits16(hex));
  yield* columns([
    ['       MM', '       PGD', 'RSS', 'TOTAL_VM'],
    [address(mm), address(pgd), kib(resident), kib(virtual)],
  ]);
}

function* areaTable(areas: readonly MemoryAreaReport[]): Generator<string> {
  if (areas.length === 0) return;
  yield* columns(
    [
      ['      VMA', 'START', 'END', 'FLAGS', 'FILE'],
      ...areas.map(({ area, start, end, flags, file, name }) => [
        digits16(area),
        start.slice(2),
        end.slice(2),
        flags.slice(2),
        file ?? name ?? '',
      ]),
    ],
    ['left', 'right', 'right', 'right'],
  );
}

function mapsLine({ start, end, permissions, offset, inode, device, file, name }: MemoryAreaReport): string {
  const range = `${start.slice(2).padStart(8, '0')}-${end.slice(2).padStart(8, '0')}`;
  const [major = 0, minor = 0] = (device ?? '0:0').split(':').map(Number);
  const number = `${major.toString(16).padStart(2, '0')}:${minor.toString(16).padStart(2, '0')}`;
  const line = `${range} ${permissions} ${offset.slice(2).padStart(8, '0')} ${number} ${inode}`;
  return printable(`${line.padEnd(72)} ${file ?? name ?? ''}`).trimEnd();
}
