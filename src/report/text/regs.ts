import type { RegsReport } from '../schema/cpu.js';
import { cpuBlock, cpuPlace, cpuTitle } from './cpu.js';
import { Page, type TextOptions } from './page.js';

export function* regsText({ cpus }: RegsReport, options: TextOptions): Generator<string> {
  const page = new Page(options);
  for (const [i, cpu] of cpus.entries()) {
    if (i > 0) yield '';
    const aside = cpu.crashed ? `  ${page.paint.red('died here')}` : '';
    yield `${page.paint.bold(cpuTitle(cpu))}  ${cpuPlace(cpu)}${aside}`;
    yield* cpuBlock(page, cpu, { system: true });
  }
}
