import type { PReport } from '../schema/types.js';
import { Page, type TextOptions } from './page.js';
import { valueLines } from './value.js';

export function* pText(report: PReport, options: TextOptions): Generator<string> {
  const { paint } = new Page(options);
  for (const { cpu, value } of report.objects) {
    const label = cpu === null ? '' : `per_cpu(${report.expression.replace(/:[^.[\]>-]*/, '')}, ${cpu})`;
    yield* valueLines({ ...value, name: label === '' ? report.expression : label }, '');
  }
  if (report.typeFrom === 'size') {
    yield paint.dim('(the kernel does not tell the type of this variable: shown as a number; name it with --type)');
  }
}
