import type { EntryReport, ListReport, TreeReport } from '../schema/types.js';
import { digits16, Page, type TextOptions } from './page.js';
import { memberLines, valueLines } from './value.js';

export function* listText(report: ListReport, options: TextOptions): Generator<string> {
  for (const entry of report.entries) yield* entryText(entry, options);
  if (report.entries.length === 0) yield '(empty)';
}

export function* treeText(report: TreeReport, options: TextOptions): Generator<string> {
  const width = Math.max(0, ...report.entries.map(({ index }) => index?.length ?? 0));
  for (const entry of report.entries) {
    const { index, last } = entry;
    const place = last === null || last === index ? index : `${index}-${last}`;
    yield* entryText(entry, options, place === null ? '' : `  ${place.padStart(last === null ? width : 0)}`);
  }
  if (report.entries.length === 0) yield '(empty)';
}

/** An address as crash prints it, and the members below it, each with its comma. */
function* entryText(entry: EntryReport, options: TextOptions, place = ''): Generator<string> {
  const { paint } = new Page(options);
  yield `${digits16(entry.address)}${paint.dim(place)}`;
  for (const { type, value } of entry.values) {
    if (type.includes('.') || value.members === null || value.kind !== 'struct') {
      for (const member of value.members ?? [value]) yield* valueLines(member, '  ', ',');
    } else {
      yield `struct ${type.replace(/^struct /, '')} {`;
      yield* memberLines(value.members, '  ');
      yield '}';
    }
  }
}
