import type { SymbolReport, SymReport } from '../schema/sym.js';
import { digits16, Page, printable, type TextOptions } from './page.js';

export function* symText({ queries, symbols }: SymReport, options: TextOptions): Generator<string> {
  for (const symbol of symbols ?? []) yield kallsymsLine(symbol);
  const { paint } = new Page(options);
  for (const { query, matches } of queries) {
    if (matches.length === 0) yield paint.dim(`${printable(query)}: no such symbol, and no symbol covers it`);
    for (const { address, type, name, offset, size, module } of matches) {
      const place = offset === null ? name : `${name}+${offset}${size === null ? '' : `/${size}`}`;
      const bytes = offset === null && size !== null ? paint.dim(`  ${Number(size)} bytes`) : '';
      const owner = module === null ? '' : ` [${printable(module)}]`;
      yield `${digits16(address)} ${paint.dim(`(${type})`)} ${printable(place)}${owner}${bytes}`;
    }
  }
}

/** As /proc/kallsyms has it. */
function kallsymsLine({ address, type, name, module }: SymbolReport): string {
  const owner = module === null ? '' : `\t[${printable(module)}]`;
  return `${digits16(address)} ${type} ${printable(name)}${owner}`;
}
