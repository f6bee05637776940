import type { MachReport } from '../schema/mach.js';
import { printable } from './page.js';
import { cpusInWords, megabytes } from './sys.js';

const WIDTH = 23;

export function* machText(model: MachReport): Generator<string> {
  const address = (hex: string | null): string | null => hex?.slice(2).padStart(16, '0') ?? null;
  const rows: (readonly [string, string | null])[] = [
    ['MACHINE TYPE', model.machine],
    ['MEMORY SIZE', model.memory === null ? null : megabytes(model.memory)],
    ['CPUS', model.cpus === null ? null : cpusInWords(model.cpus)],
    ['PROCESSOR SPEED', model.megahertz === null ? null : `${model.megahertz} Mhz`],
    ['HZ', model.hz === null ? null : String(model.hz)],
    ['PAGE SIZE', String(model.pageSize)],
    ['PAGE TABLE LEVELS', String(model.pageTableLevels)],
    ['KERNEL VIRTUAL BASE', address(model.directMap)],
    ['KERNEL VMALLOC BASE', address(model.vmalloc)],
    ['KERNEL VMEMMAP BASE', address(model.vmemmap)],
    ['KERNEL IMAGE', address(model.kernelStart)],
    ['KASLR OFFSET', model.kaslrOffset],
    ['KERNEL STACK SIZE', String(model.stackSize)],
  ];
  for (const [label, value] of rows) yield line(label, value ?? 'not known');
  for (const name of new Set(model.stacks.map((stack) => stack.name))) {
    const stacks = model.stacks.filter((stack) => stack.name === name);
    yield line(`${name} STACK SIZE`, String(stacks[0]?.bytes ?? 0));
    yield `${`${name} STACKS`.padStart(WIDTH)}:`;
    for (const { cpu, start } of stacks) yield line(`CPU ${cpu}`, address(start) ?? '');
  }
}

function line(label: string, value: string): string {
  return `${label.padStart(WIDTH)}: ${printable(value)}`;
}
