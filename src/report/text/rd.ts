import type { RdReport } from '../schema/rd.js';
import { digits16, Page, printable, type TextOptions } from './page.js';

const BYTES_PER_LINE = 16;

export function* rdText(report: RdReport, options: TextOptions): Generator<string> {
  const { paint } = new Page(options);
  if (report.string !== null) {
    yield `${at(report.address)}  ${printable(report.string)}`;
    for (const run of report.runs) if ('missing' in run) yield paint.yellow(hole(run));
    return;
  }
  const width = report.unit / 8;
  const digits = width * 2;
  const perLine = report.runs.some((run) => 'values' in run && run.symbols !== null) ? 2 : BYTES_PER_LINE / width;
  for (const run of report.runs) {
    if ('missing' in run) {
      yield paint.yellow(hole(run));
      continue;
    }
    const symbolic = run.symbols;
    for (let i = 0; i < run.values.length; i += perLine) {
      const address = BigInt.asUintN(64, BigInt(run.address) + BigInt(i * width)).toString(16);
      const values = run.values.slice(i, i + perLine).map((value, k) => symbolic?.[i + k] ?? value.slice(2));
      const cells = values.map((value) => value.padEnd(symbolic === null ? digits : SYMBOL_WIDTH));
      const missing = symbolic === null ? (perLine - cells.length) * (digits + 1) : 0;
      const text = symbolic === null ? run.ascii.slice(i * width, (i + perLine) * width) : '';
      yield `${paint.dim(at(`0x${address}`))}  ${cells.join(' ')}${' '.repeat(missing)}   ${paint.dim(text)}`.trimEnd();
    }
  }
}

const SYMBOL_WIDTH = 34;

function at(address: string): string {
  return `${digits16(address)}:`;
}

function hole({ address, bytes, missing }: { address: string; bytes: number; missing: string }): string {
  return `${at(address)}  ${bytes} bytes ${missing}`;
}
