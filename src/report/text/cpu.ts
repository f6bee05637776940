import { isAbsence } from '../absence.js';
import type { CpuReport, RegisterReport } from '../schema/cpu.js';
import { digits16, type Page, printable } from './page.js';

/** `CPU 1  delay_tsc+0x37/0xa0, in the kernel  died here`. */
export function cpuLine(page: Page, cpu: CpuReport): string {
  const died = cpu.crashed ? `  ${page.paint.red('died here')}` : '';
  return `${page.paint.bold(cpuTitle(cpu))}  ${printable(cpuPlace(cpu))}${died}`;
}

/** `CPU 1`. */
export function cpuTitle(cpu: CpuReport): string {
  return `CPU ${cpu.index}`;
}

/** Where a CPU was, in a few words. */
export function cpuPlace(cpu: CpuReport): string {
  const place = cpu.symbol ?? (cpu.ip === null ? 'no registers' : digits16(cpu.ip));
  const mode = {
    kernel: cpu.otherKernel === null ? 'in the kernel' : `in kernel ${cpu.otherKernel} by the time of the dump`,
    user: 'in user mode',
    firmware: 'in firmware, or never started',
    unknown: '',
  };
  const where = cpu.guest ? 'inside a guest, whose registers these are' : mode[cpu.mode];
  const old = cpu.stale === null ? '' : 'may be old';
  return [place, where, old].filter((part) => part !== '').join(', ');
}

/** Every register of a CPU: where it was, general registers in a grid, and what they point to. */
export function* cpuBlock(page: Page, cpu: CpuReport, options: { system: boolean }): Generator<string> {
  if (isAbsence(cpu.registers)) {
    yield* page.prose(cpu.registers.absent);
    return;
  }
  const general = cpu.registers.filter(({ name }) => GENERAL.has(name));
  const rest = cpu.registers.filter(({ name }) => !GENERAL.has(name));
  yield* grid(page, general);
  if (options.system) {
    const selectors = new Set(cpu.segments.map(({ name }) => name));
    yield* grid(page, [...rest.filter(({ name }) => !selectors.has(name)), ...cpu.control]);
    if (cpu.segments.length > 0) yield* segments(page, cpu);
  }
  yield* pointers(page, cpu.registers);
}

const GENERAL = new Set('rip rsp rflags rax rbx rcx rdx rsi rdi rbp r8 r9 r10 r11 r12 r13 r14 r15'.split(' '));

function* grid(page: Page, registers: readonly RegisterReport[]): Generator<string> {
  const nameWidth = Math.max(...registers.map(({ name }) => name.length));
  const columns = Math.max(1, Math.floor(page.width / (nameWidth + 1 + 16 + 2)));
  for (let at = 0; at < registers.length; at += columns) {
    const cells = registers.slice(at, at + columns).map(({ name, value }) => {
      return `${page.paint.dim(name.padStart(nameWidth))} ${digits16(value)}`;
    });
    yield `  ${cells.join('  ')}`;
  }
}

function* segments(page: Page, cpu: CpuReport): Generator<string> {
  const rows = cpu.segments.map(({ name, selector, base, limit, flags }) => ({
    cells: [
      name,
      selector.slice(2).padStart(4, '0'),
      digits16(base),
      limit.slice(2).padStart(8, '0'),
      flags.slice(2).padStart(8, '0'),
    ],
  }));
  yield* page.table([{ cells: ['', 'sel', 'base', 'limit', 'flags'], paint: page.paint.dim }, ...rows]);
}

/** Which registers point into the kernel's image. */
function* pointers(page: Page, registers: readonly RegisterReport[]): Generator<string> {
  const pointing = registers.filter(({ name, symbol }) => symbol !== null && name !== 'rip');
  for (const { name, symbol } of pointing) yield `  ${page.paint.dim(`${name} is`)} ${symbol}`;
}
