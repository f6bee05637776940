import { ExhumeError } from '../bytes/errors.js';
import { decodeText } from '../kernel/log/record.js';
import { isoTime, recordContent } from '../pstore/description.js';
import { byId, type Dump, joinDumps } from '../pstore/dumps.js';
import type { PstoreRecord } from '../pstore/record.js';
import type { PstoreCat, PstoreChange, PstoreList, PstoreRow, PstoreText } from './schema/pstore.js';
import { damageReport } from './words.js';

/**
 * The records that are named, or all where none is: by the names that `ls` shows, `.enc.z` may be left out.
 * Throws EXH_USAGE for a name that no record has.
 */
export function selectPstoreRecords<R extends { readonly path: string }>(
  records: readonly R[],
  names: readonly string[],
): R[] {
  if (names.length === 0) return [...records];
  const plain = (name: string): string => name.replace(/\.enc\.z$/, '');
  const wanted = new Set(names.map(plain));
  const found = records.filter(({ path }) => wanted.has(plain(path)));
  for (const { path } of found) wanted.delete(plain(path));
  const [unknown] = wanted;
  if (unknown !== undefined) {
    throw new ExhumeError('EXH_USAGE', `there is no record ${unknown}`, {
      found: unknown,
      hint: 'exhume pstore ls shows the names',
    });
  }
  return found;
}

/** What the records are. */
export function buildPstoreList(records: readonly PstoreRecord[]): PstoreList {
  const damage = records.flatMap((record) => record.damage.map(damageReport));
  return {
    schema: 'exhume-pstore-ls/1',
    complete: damage.length === 0,
    records: [...records].sort(byId).map(row),
    damage,
  };
}

function row(record: PstoreRecord): PstoreRow {
  const { file, guest, type, backend, id, time } = record;
  return {
    name: file,
    guest: guest ?? null,
    type,
    backend: backend ?? null,
    id: String(id),
    time: time === undefined ? null : { epoch: time.seconds, iso: isoTime(time) },
    ...recordContent(record),
  };
}

/** The texts of the records: the parts of each dump joined, then each other record by itself. */
export function buildPstoreCat(records: readonly PstoreRecord[]): PstoreCat {
  const dumps = joinDumps(records);
  const others = records.filter(({ header }) => header === undefined).sort(byId);
  const damage = [...dumps, ...others].flatMap((each) => each.damage.map(damageReport));
  return {
    schema: 'exhume-pstore-cat/1',
    complete: damage.length === 0,
    texts: [...dumps.map(dumpText), ...others.map(otherText)],
    damage,
  };
}

function dumpText({ guest, reason, count, parts, missing, text }: Dump): PstoreText {
  return {
    title: `${reason}#${count}`,
    guest: guest ?? null,
    reason,
    count,
    records: parts.map(({ file }) => file),
    missing: [...missing],
    text: decodeText(text),
  };
}

function otherText({ guest, file, text }: PstoreRecord): PstoreText {
  return {
    title: file,
    guest: guest ?? null,
    reason: null,
    count: null,
    records: [file],
    missing: [],
    text: decodeText(text),
  };
}

/** What `rm` and `extract` did. */
export function buildPstoreChange(
  action: PstoreChange['action'],
  files: readonly string[],
  damage: PstoreChange['damage'] = [],
): PstoreChange {
  return { schema: 'exhume-pstore-change/1', complete: damage.length === 0, action, files: [...files], damage };
}
