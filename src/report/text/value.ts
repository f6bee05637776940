import type { ValueReport } from '../schema/types.js';
import { printable } from './page.js';

/** Lines of `name = value` as crash and gdb lay values out; the last line without a comma. */
export function* valueLines(value: ValueReport, indent: string, end = ''): Generator<string> {
  const label = value.name === '' ? '' : `${printable(value.name)} = `;
  const { members } = value;
  if (value.kind === 'struct' && members?.length === 0) {
    yield `${indent}${label}{<No data fields>}${end}`;
  } else if (value.kind === 'struct' && members !== null) {
    yield `${indent}${label}{`;
    yield* memberLines(members, `${indent}  `);
    yield `${indent}}${end}`;
  } else if (value.kind === 'array' && members !== null) {
    yield* arrayLines(members, label, indent, end);
  } else {
    yield `${indent}${label}${scalar(value)}${end}`;
  }
}

/** The members of a structure, each on its lines. */
export function* memberLines(members: readonly ValueReport[], indent: string): Generator<string> {
  for (const [index, member] of members.entries()) {
    yield* valueLines(member, indent, index === members.length - 1 ? '' : ',');
  }
}

/** Of plain values in one line: `{1, 2, 0 <repeats 14 times>}`; of structures `{{ … }, { … }}`. */
function* arrayLines(elements: readonly ValueReport[], label: string, indent: string, end: string): Generator<string> {
  if (!elements.some(({ kind }) => kind === 'struct')) {
    yield `${indent}${label}${inline(elements)}${end}`;
    return;
  }
  let open = `${indent}${label}{{`;
  for (const [index, element] of elements.entries()) {
    yield open;
    yield* memberLines(element.members ?? [], `${indent}    `);
    const close = `${indent}  }${repeats(element)}`;
    open = `${close}, {`;
    if (index === elements.length - 1) yield `${close}}${end}`;
  }
}

function inline(elements: readonly ValueReport[]): string {
  const texts = elements.map((element) => {
    const text = element.kind === 'array' ? inline(element.members ?? []) : scalar(element);
    return text + repeats(element);
  });
  return `{${texts.join(', ')}}`;
}

function repeats({ times }: ValueReport): string {
  return times > 1 ? ` <repeats ${times} times>` : '';
}

function scalar({ kind, text }: ValueReport): string {
  if (kind === 'missing') return `<${printable(text ?? 'missing')}>`;
  return kind === 'none' ? '{...}' : printable(text ?? '');
}
