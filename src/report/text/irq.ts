import type { InterruptReport, IrqReport } from '../schema/irq.js';
import { cpuRange } from './cpu-range.js';
import { printable } from './page.js';
import { columns, symbolName } from './table-columns.js';

/** How `irq` lays its answer out; crash's options. */
export type IrqStyle = 'table' | 'used' | 'affinity' | 'counts' | 'softirqs' | 'gates';

export function* irqText(model: IrqReport, style: IrqStyle): Generator<string> {
  const used = model.interrupts.filter(({ actions }) => actions.length > 0);
  if (style === 'softirqs') yield* softirqs(model);
  else if (style === 'gates') yield* gates(model);
  else if (style === 'affinity') {
    const rows = used.map(({ irq, actions, affinity }) => [String(irq), names(actions), cpus(affinity)]);
    yield* columns([['IRQ', 'NAME', 'AFFINITY'], ...rows], [1, 2]);
  } else if (style === 'counts') yield* counts(used);
  else yield* table(model, style === 'used');
}

function* table({ interrupts, limit }: IrqReport, usedOnly: boolean): Generator<string> {
  yield ' IRQ   IRQ_DESC/_DATA      IRQACTION      NAME';
  let next = interrupts[0]?.irq ?? 0;
  // With interrupts named, or the used ones, numbers without a descriptor are left out.
  const gaps = !usedOnly && limit !== null && next === 0 && interrupts.length > 1;
  for (const line of interrupts) {
    for (; gaps && next < line.irq; next++) yield row(next, UNUSED, UNUSED, '');
    next = line.irq + 1;
    const [first, ...others] = line.actions;
    yield row(line.irq, line.address.slice(2), first?.address.slice(2) ?? UNUSED, first && quoted(first.name));
    for (const action of others) yield row(undefined, '', action.address.slice(2), quoted(action.name));
  }
  for (; gaps && limit !== null && next < limit; next++) yield row(next, UNUSED, UNUSED, '');
}

const UNUSED = '    (unused)    ';

function row(irq: number | undefined, descriptor: string, action: string, name: string | undefined): string {
  const number = irq === undefined ? '   ' : String(irq).padStart(3);
  return `${number}   ${descriptor.padEnd(16)}  ${action.padEnd(16)}  ${name ?? ''}`.trimEnd();
}

function quoted(name: string): string {
  return `"${printable(name)}"`;
}

function names(actions: InterruptReport['actions']): string {
  return actions.map(({ name }) => name).join(', ');
}

function cpus(affinity: readonly number[] | null): string {
  return affinity === null ? '?' : cpuRange(affinity);
}

function* counts(interrupts: readonly InterruptReport[]): Generator<string> {
  const known = interrupts.find((line) => line.counts.length > 0)?.counts.map(({ cpu }) => cpu) ?? [];
  const rows = interrupts.map((line) => [
    `${line.irq}:`,
    ...known.map((cpu) => String(line.counts.find((one) => one.cpu === cpu)?.count ?? '?')),
    [line.chip, line.flow].filter((part) => part !== null).join('-'),
    names(line.actions),
  ]);
  const left = [known.length + 1, known.length + 2];
  yield* columns([['', ...known.map((cpu) => `CPU${cpu}`), '', ''], ...rows], left);
}

function* softirqs({ softirqs: actions }: IrqReport): Generator<string> {
  yield 'SOFTIRQ_VEC      ACTION';
  for (const { index, action, symbol } of actions) {
    yield `    [${index}]     ${action.slice(2).padStart(16, '0')}  <${symbolName(symbol)}>`;
  }
}

function* gates({ gates: all }: IrqReport): Generator<string> {
  for (const { vector, handler, symbol, present } of all) {
    const name = symbol === null ? handler : symbolName(symbol);
    yield `${`[${vector}]`.padStart(5)} ${present ? name : '(not present)'}`;
  }
}
