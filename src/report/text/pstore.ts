import type { PstoreCat, PstoreChange, PstoreList } from '../schema/pstore.js';
import { columns } from './columns.js';
import { printable } from './page.js';

export function* pstoreListText({ records }: PstoreList): Generator<string> {
  yield* columns(
    [
      ['NAME', 'WRITTEN', 'SIZE', 'TEXT', 'METHOD', 'WHAT'],
      ...records.map(({ name, type, time, size, textSize, method, reason, count, part }) => [
        name,
        time?.iso ?? '-',
        String(size),
        String(textSize ?? '-'),
        method ?? '?',
        reason === null ? type : `${reason}#${count} part ${part}`,
      ]),
    ],
    ['left', 'left', 'right', 'right'],
  );
}

/** One text as it is; several with a line before each, as head and tail print files. */
export function* pstoreCatText({ texts }: PstoreCat): Generator<string> {
  for (const [index, { title, guest, records, text }] of texts.entries()) {
    if (texts.length > 1) {
      if (index > 0) yield '';
      const made = records.length === 1 && records[0] === title ? '' : `: ${records.join(' ')}`;
      yield printable(`==> ${title}${guest === null ? '' : ` of ${guest}`}${made} <==`);
    }
    yield* lines(text).map(printable);
  }
}

function lines(text: string): string[] {
  const all = text.split('\n');
  if (all.at(-1) === '') all.pop();
  return all;
}

export function* pstoreChangeText({ action, files }: PstoreChange): Generator<string> {
  for (const file of files) yield printable(`${action} ${file}`);
}
