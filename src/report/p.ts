import { hex } from '../bytes/address.js';
import { KernelView } from '../kernel/kernel-view.js';
import { evaluate, numberOf, type Operand, typeText } from './expression.js';
import type { PReport, ValueReport } from './schema/types.js';
import { requireKernel, type Subject } from './subject.js';
import { type Radix, Values } from './value.js';
import { damageOf } from './words.js';

export interface POptions {
  /** The type of the variable that the expression begins with. */
  readonly type?: string | undefined;
  readonly radix?: Radix | undefined;
}

/** The value of a small C expression. Throws EXH_USAGE, EXH_NO_SYMBOL, EXH_NO_LAYOUT, and memory's errors. */
export function buildP(subject: Subject, expression: string, { type, radix = 10 }: POptions = {}): PReport {
  const kernel = requireKernel(subject);
  const view = new KernelView(kernel);
  const values = new Values(kernel, radix);
  const operands = evaluate(view, expression, type);
  const objects = operands.map((operand) => ({
    address: operand.address === undefined ? null : hex(operand.address),
    cpu: operand.cpu,
    value: valueReport(view, operand, values),
  }));
  const damage = damageOf(subject, values.damage);
  const first = operands[0];
  return {
    schema: 'exhume-p/1',
    complete: damage.length === 0,
    expression,
    type: first === undefined ? 'void' : typeText(first.type),
    typeFrom: first?.source ?? 'expression',
    objects,
    damage,
  };
}

function valueReport(view: KernelView, operand: Operand, values: Values): ValueReport {
  const { type, address, bits } = operand;
  if (type.stars > 0) {
    const value = numberOf(view, operand);
    const toChar = type.stars === 1 && type.base?.btf.name(type.base.id) === 'char';
    return values.word('', { kind: 'pointer', value, toChar });
  }
  if (type.base === undefined || address === undefined) {
    const value = numberOf(view, operand);
    return values.word('', { kind: 'integer', value, bytes: type.size, char: false, boolean: false });
  }
  return bits === undefined
    ? values.read(type.base.btf, type.base.id, address)
    : values.bitField(type.base.btf, type.base.id, address, bits);
}
