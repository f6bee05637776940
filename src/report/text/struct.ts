import type { DefinitionReport, MemberReport, ObjectReport, StructReport } from '../schema/types.js';
import { digits16, Page, type TextOptions } from './page.js';
import { memberLines, valueLines } from './value.js';

export interface StructTextOptions extends TextOptions {
  /** Offsets before the members, as crash's `struct -o`. */
  readonly offsets?: boolean | undefined;
  /** Offsets and sizes behind the members and holes between them, as pahole. */
  readonly holes?: boolean | undefined;
}

export function* structText(report: StructReport, options: StructTextOptions): Generator<string> {
  const page = new Page(options);
  if (report.definition !== null) yield* definitionText(report.definition, report.selected, options);
  for (const [index, object] of report.objects.entries()) {
    if (index > 0 && object.cpu === null) yield '';
    yield* objectText(page, report, object);
  }
}

function* objectText(page: Page, report: StructReport, { address, cpu, value }: ObjectReport): Generator<string> {
  if (cpu !== null) yield `[${cpu}]: ${page.paint.bold(digits16(address))}`;
  if (report.selected.length > 0 && value.members !== null) {
    for (const member of value.members) yield* valueLines(member, '  ', ',');
  } else if (value.members !== null && value.kind === 'struct') {
    yield `${/^(struct|union|enum) /.test(report.query) ? '' : 'struct '}${report.query} {`;
    yield* memberLines(value.members, '  ');
    yield '}';
  } else {
    yield* valueLines(value, '');
  }
}

/** A type as C writes it, with offsets as crash shows them, or as pahole does. */
export function* definitionText(
  definition: DefinitionReport,
  selected: readonly string[],
  options: StructTextOptions,
): Generator<string> {
  const { members, enumerators, size, declaration } = definition;
  if (enumerators !== null && definition.kind === 'enum') {
    yield `${declaration} {`;
    for (const { name, value } of enumerators) yield `  ${name} = ${value}`;
    yield '};';
    return;
  }
  if (members === null || (definition.kind === 'typedef' && members.length === 0)) {
    yield `${declaration};`;
  } else {
    if (definition.kind === 'typedef') yield `${declaration};`;
    else yield* bodyText(definition, members, selected, options);
  }
  if (size !== null && selected.length === 0) yield `SIZE: ${size}`;
}

function* bodyText(
  { declaration, size, padding }: DefinitionReport,
  members: readonly MemberReport[],
  selected: readonly string[],
  options: StructTextOptions,
): Generator<string> {
  yield `${declaration} {`;
  // Crash puts the offsets of a few members as it puts those of all.
  const width = options.offsets || selected.length > 0 ? String(size ?? 0).length + 4 : 0;
  for (const member of members) yield* memberText(member, 0, width, options);
  if (options.holes && padding > 0) yield `    /* padding: ${bytes(padding)} */`;
  yield '}';
}

function* memberText(
  member: MemberReport,
  depth: number,
  width: number,
  options: StructTextOptions,
): Generator<string> {
  const { inline, declaration, offset, size, bits } = member;
  const indent = '    '.repeat(depth);
  const margin = width > 0 ? `${' '.repeat(width)} ` : '    ';
  if (inline === null) {
    const shown = width > 0 ? `${`[${offset}]`.padStart(width)} ` : '    ';
    yield withSize(`${shown}${indent}${declaration};`, offset, size, bits, options);
  } else {
    yield `${margin}${indent}${inline.keyword} {`;
    for (const one of inline.members) yield* memberText(one, depth + 1, width, options);
    yield withSize(
      `${margin}${indent}}${inline.closing === '' ? '' : ` ${inline.closing}`};`,
      offset,
      size,
      null,
      options,
    );
  }
  if (options.holes && member.hole > 0) yield `${margin}${indent}/* hole: ${bytes(member.hole)} */`;
}

/** Where pahole's comments begin. */
const COMMENT_COLUMN = 56;

function withSize(
  line: string,
  offset: number,
  size: number,
  bits: MemberReport['bits'],
  { holes }: StructTextOptions,
): string {
  if (!holes) return line;
  const place = bits === null ? `${offset}` : `${offset}:${bits.offset}`;
  return `${line.padEnd(COMMENT_COLUMN)} /* ${place.padStart(5)} ${String(size).padStart(5)} */`;
}

function bytes(count: number): string {
  return count === 1 ? '1 byte' : `${count} bytes`;
}
