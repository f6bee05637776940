import { hex } from '../bytes/address.js';
import { ExhumeError } from '../bytes/errors.js';
import type { KernelSymbol, SymbolTable } from '../kernel/symbols.js';
import { parseAddress } from './address.js';
import type { SymbolReport, SymReport } from './schema/sym.js';
import { requireKernel, type Subject } from './subject.js';
import { damageOf } from './words.js';

/** The symbols of the kernel. Throws EXH_NO_KERNEL, or EXH_NO_SYMBOL when it has none that could be read. */
export function symbolsOf(subject: Subject): SymbolTable {
  const { symbols } = requireKernel(subject);
  if (symbols.size === 0) {
    throw new ExhumeError('EXH_NO_SYMBOL', 'the kernel was found, but its symbol table (kallsyms) was not', {
      hint: '`exhume info FILE` shows where it was looked for',
    });
  }
  return symbols;
}

type Query = SymReport['queries'][number];

/** Looks up names (every symbol of that name) and addresses (the symbol that each lies in). */
export function buildSym(subject: Subject, queries: readonly string[]): SymReport {
  const symbols = symbolsOf(subject);
  const damage = damageOf(subject);
  const answers = queries.map((query): Query => ({ query, matches: matchesOf(query, symbols) }));
  const complete = damage.length === 0 && answers.every((answer) => answer.matches.length > 0);
  return { schema: 'exhume-sym/1', complete, queries: answers, symbols: null, damage };
}

function matchesOf(query: string, symbols: SymbolTable): Query['matches'] {
  const named = symbols.findAll(query);
  if (named.length > 0) {
    return named.map((symbol) => {
      const covering = symbols.at(symbol.address);
      const size = covering?.symbol.address === symbol.address ? hex(covering.size) : null;
      return { ...symbolReport(symbol), offset: null, size };
    });
  }
  const hit = coveringSymbol(query, symbols);
  if (hit === undefined) return [];
  return [{ ...symbolReport(hit.symbol), offset: hex(hit.offset), size: hex(hit.size) }];
}

function coveringSymbol(query: string, symbols: SymbolTable): ReturnType<SymbolTable['at']> {
  try {
    return symbols.at(parseAddress(query, symbols));
  } catch (error) {
    if (error instanceof ExhumeError && error.code === 'EXH_NO_SYMBOL') return undefined;
    throw error;
  }
}

/**
 * Every symbol, or those whose names match, in the order of their addresses as the kernel keeps them.
 * Throws EXH_USAGE when the pattern is not a regular expression.
 */
export function buildSymbolList(subject: Subject, pattern?: string): SymReport {
  const expression = pattern === undefined ? undefined : regularExpression(pattern);
  const list: SymbolReport[] = [];
  for (const symbol of symbolsOf(subject).all()) {
    if (expression === undefined || expression.test(symbol.name)) list.push(symbolReport(symbol));
  }
  const damage = damageOf(subject);
  return {
    schema: 'exhume-sym/1',
    complete: damage.length === 0 && list.length > 0,
    queries: [],
    symbols: list,
    damage,
  };
}

function regularExpression(pattern: string): RegExp {
  try {
    return new RegExp(pattern);
  } catch (error) {
    throw new ExhumeError(
      'EXH_USAGE',
      `"${pattern}" is not a regular expression`,
      { found: pattern },
      { cause: error },
    );
  }
}

function symbolReport({ name, address, type, module }: KernelSymbol): SymbolReport {
  return { name, address: hex(address), type, module: module ?? null };
}
