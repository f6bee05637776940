import { mkdirSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { ExhumeError } from '../bytes/errors.js';
import { outputError } from '../bytes/node/output-error.js';
import { joinDumps } from '../pstore/dumps.js';
import { parseRecordName } from '../pstore/name.js';
import { removeRecord, writeWhole } from '../pstore/node/files.js';
import { type FoundRecord, findRecords, loadRecord } from '../pstore/node/read.js';
import type { PstoreRecord } from '../pstore/record.js';
import { buildPstoreChange } from '../report/pstore.js';
import type { PstoreChange } from '../report/schema/pstore.js';
import { damageReport } from '../report/words.js';

/**
 * The records that a command line names where a dump may stand: directories, and files that are called like records.
 * Undefined when it names anything else. Throws EXH_IO, EXH_NOT_A_DUMP for a directory without any.
 */
export function recordsOf(paths: readonly string[]): PstoreRecord[] | undefined {
  const named = paths.every((path) => {
    const stat = statSync(path, { throwIfNoEntry: false });
    return stat?.isDirectory() || (stat?.isFile() && parseRecordName(basename(path)) !== undefined);
  });
  return named ? paths.flatMap(findRecords).map(loadRecord) : undefined;
}

/** `exhume pstore rm`. Throws EXH_IO with the first that cannot be removed; those before it are gone. */
export function removeRecords(records: readonly FoundRecord[]): PstoreChange {
  for (const record of records) removeRecord(record);
  return buildPstoreChange(
    'removed',
    records.map(({ path }) => path),
  );
}

/**
 * `exhume pstore extract`: each dump's text, and each other record's, as a file named after its first record; those of a
 * store's guests in directories of their own. Throws EXH_USAGE without a place, EXH_IO, EXH_NO_SPACE.
 */
export function extractRecords(records: readonly FoundRecord[], to: string | undefined): PstoreChange {
  if (to === undefined) throw new ExhumeError('EXH_USAGE', 'extract needs --to DIR');
  const loaded = records.map(loadRecord);
  const dumps = joinDumps(loaded);
  const others = loaded.filter(({ header }) => header === undefined);
  const texts = [
    ...dumps.map(({ parts, text, damage }) => ({ name: parts.at(-1)?.file ?? '', text, damage })),
    ...others.map(({ file, text, damage }) => ({ name: file, text, damage })),
  ];
  const written = texts.map(({ name, text }) => {
    const path = join(to, `${name}.txt`);
    try {
      mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    } catch (error) {
      throw outputError(dirname(path), 'create', error);
    }
    writeWhole(path, text);
    return path;
  });
  return buildPstoreChange(
    'written',
    written,
    texts.flatMap(({ damage }) => damage.map(damageReport)),
  );
}
