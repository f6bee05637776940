import type { RegsReport } from '../schema/cpu.js';
import { cpuBlock, cpuLine } from './cpu.js';
import { Page, type TextOptions } from './page.js';

export function* regsText({ cpus }: RegsReport, options: TextOptions): Generator<string> {
  const page = new Page(options);
  for (const [i, cpu] of cpus.entries()) {
    if (i > 0) yield '';
    yield cpuLine(page, cpu);
    if (cpu.stale !== null) yield* page.prose(cpu.stale);
    yield* cpuBlock(page, cpu, { system: true });
  }
}
