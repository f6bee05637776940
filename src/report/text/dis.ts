import type { DisReport } from '../schema/dis.js';
import { Page, type TextOptions } from './page.js';

/** As gdb and crash print code: address, symbol, instruction, and what an operand leads to. */
export function* disText({ instructions }: DisReport, options: TextOptions): Generator<string> {
  const { paint } = new Page(options);
  for (const { address, symbol, text, target, targetSymbol } of instructions) {
    const place = `${address}${symbol === null ? '' : ` <${symbol}>`}:`;
    const name = targetSymbol === null ? '' : ` <${targetSymbol}>`;
    const relative = text.includes('(%rip)') && target !== null;
    const aside = relative ? `        # ${target}${name}` : name;
    yield `${paint.dim(place)}\t${text}${aside}`;
  }
}
