import type { ControlReport } from '../schema/control.js';
import { Page, type TextOptions } from './page.js';

/** A control structure: a line for each field. */
export function* controlText(report: ControlReport, options: TextOptions): Generator<string> {
  const page = new Page(options);
  yield `${page.paint.bold(`${report.kind} at ${report.from}`)}  ${page.paint.dim(report.layout)}`;
  for (const line of report.evidence) yield page.paint.dim(`  ${line}`);
  const width = Math.max(...report.fields.map(({ name }) => name.length), 0);
  for (const { name, encoding, offset, size, value, names } of report.fields) {
    const digits = value.slice(2).padStart(size * 2, '0');
    const number = encoding === null ? '' : `  ${encoding.slice(2).padStart(4, '0')}`;
    const bits = names.length === 0 ? '' : `  ${names.join(' ')}`;
    yield `${offset.toString(16).padStart(4, '0')}${number}  ${name.padEnd(width)}  ${digits.padStart(16)}${bits}`;
  }
}
