import type { ConvertReport } from '../schema/convert.js';
import { columns } from './columns.js';
import { printable } from './page.js';

const MIB = 1024 * 1024;

/** What was written, and where the pages went. */
export function* convertText({
  output,
  header,
  pages,
  scrubbed,
  dryRun,
  seconds,
  bytesPerSecond,
}: ConvertReport): Generator<string> {
  const how = output.compression === null ? output.format : `${output.format}, ${output.compression}`;
  for (const { name, bytes } of output.files) {
    const place = name === '-' ? 'standard output' : printable(name);
    yield dryRun ? `${place} would have about ${mebibytes(bytes)} (${how})` : `${place}: ${mebibytes(bytes)} (${how})`;
  }
  yield '';
  const row = (label: string, count: number): string[] => [label, String(count), mebibytes(count * pages.size)];
  yield* columns(
    [
      ['', 'PAGES', 'MEMORY'],
      row('described', pages.described),
      row('written', pages.written),
      row('  zero', pages.zero),
      ...(pages.unknown > 0 ? [row('  of unknown class', pages.unknown)] : []),
      ...pages.excluded.map(({ class: name, pages: count }) => row(`excluded: ${name}`, count)),
      ...(pages.excludedBefore > 0 ? [row('excluded before', pages.excludedBefore)] : []),
      ...(pages.lost > 0 ? [row('lost', pages.lost)] : []),
    ],
    ['left', 'right', 'right'],
  );
  if (scrubbed !== null) {
    yield '';
    yield 'Scrubbed, beside the pages of users:';
    yield* columns(
      scrubbed.blanked.map(({ kind, objects, bytes }) => [`  ${kind}`, String(objects), `${bytes} bytes`]),
      ['left', 'right', 'right'],
    );
    yield 'May hold data of users, and stays:';
    for (const what of scrubbed.stays) yield `  ${what}`;
  }
  if (header.repairs.length > 0) {
    yield '';
    yield 'The header is right now:';
    for (const { field, was, now } of header.repairs) {
      yield `  ${field}: ${printable(now)}${was === null ? '' : `, and not ${was === '' ? 'empty' : printable(was)}`}`;
    }
  }
  for (const what of header.missing) yield `  missing: ${printable(what)}`;
  yield '';
  yield `${seconds.toFixed(1)} s, ${Math.round(bytesPerSecond / MIB)} MiB/s`;
}

function mebibytes(bytes: number): string {
  return `${(bytes / MIB).toFixed(1)} MiB`;
}
