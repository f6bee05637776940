import type { SolvedFieldReport, SolveReport } from '../schema/solve.js';
import { counted, Page, type TextOptions } from './page.js';

/** A derived layout: a line for each place, then what was not found, then how near it is to what is known. */
export function* solveText(report: SolveReport, options: TextOptions): Generator<string> {
  const page = new Page(options);
  const solved = report.fields.filter(({ state }) => state === 'solved');
  const byValues = solved.filter(({ how }) => how === 'values').length;
  yield `${page.paint.bold(`VMCS layout of revision ${report.revision}`)}  ${page.paint.dim(
    `${counted(solved.length, 'field')}, ${byValues} by their values; from ${counted(report.witnesses.length, 'VMCS')}, by ${report.by}`,
  )}`;
  if (report.accessRights !== null) yield page.paint.dim(`  access rights are ${report.accessRights}`);
  const width = Math.max(...report.fields.map(({ name }) => name.length));
  for (const field of [...solved].sort((a, b) => (a.offset ?? 0) - (b.offset ?? 0))) {
    yield `${place(field.offset ?? 0)}  ${field.encoding.slice(2).padStart(4, '0')}  ${field.name.padEnd(width)}  ${witnesses(field)}`;
  }
  const open = report.fields.filter(({ state }) => state === 'ambiguous' || state === 'nowhere');
  if (open.length > 0) {
    yield* page.heading('Not solved');
    for (const field of open) {
      const where = field.places.length === 0 ? 'nowhere' : `ambiguous: ${field.places.map(place).join(' ')}`;
      yield `  ${field.name.padEnd(width)}  ${where}; ${witnesses(field)}`;
    }
  }
  const unknown = report.fields.filter(({ state }) => state === 'unknown').map(({ name }) => name);
  yield* page.heading('Unknown', `${counted(unknown.length, 'field')} of which the host keeps nothing`);
  yield* page.prose(unknown.join(' '));
  const [nearest] = report.known;
  if (nearest === undefined) return;
  yield* page.heading('Nearest known layout', 'it had no part in this');
  const differ = nearest.differ.length === 0 ? 'none elsewhere' : `elsewhere: ${nearest.differ.join(' ')}`;
  yield* page.prose(`${nearest.name}: ${counted(nearest.agree, 'field')} at the same place, ${differ}`);
}

function place(offset: number): string {
  return offset.toString(16).padStart(4, '0');
}

function witnesses({ how, witnesses: count, from }: SolvedFieldReport): string {
  if (how === 'place') return 'by its place among others';
  return `${count}: ${from.join(', ')}`;
}
