import { statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { ExhumeError } from '../../bytes/errors.js';
import { outputError } from '../../bytes/node/output-error.js';
import { parseRecordName } from '../name.js';
import { type PstoreRecord, readRecord } from '../record.js';
import { descriptionOf, namesIn, type RecordFile, recordBytes, recordFile, recordFiles } from './files.js';

/** A record's file, and whose it is. */
export interface FoundRecord extends RecordFile {
  /** The directory of a store that it is in; undefined outside of one. */
  readonly guest: string | undefined;
  /** How a user names it here: `web/dmesg-3.enc.z` in a store of several guests. */
  readonly path: string;
}

/**
 * The records under a path: a store, one guest's directory in it, a directory with what was copied from /sys/fs/pstore, or
 * that directory itself; or a record's file. Throws EXH_IO, and EXH_NOT_A_DUMP where nothing is named like a record.
 */
export function findRecords(path: string): FoundRecord[] {
  const found = isDirectory(path) ? inDirectory(path) : singleFile(path);
  if (found.length === 0) {
    throw new ExhumeError('EXH_NOT_A_DUMP', `${path}: no pstore record`, {
      file: path,
      hint: 'records are called dmesg-3.enc.z, dmesg-erst-1234, console-ramoops-0 …',
    });
  }
  return found;
}

function inDirectory(path: string): FoundRecord[] {
  const own = recordFiles(path).map((file) => {
    return { ...file, guest: descriptionOf(file)?.guest, path: file.file };
  });
  const others = namesIn(path)
    .filter((name) => isDirectory(join(path, name)))
    .flatMap((guest) =>
      recordFiles(join(path, guest)).map((file) => ({ ...file, guest, path: `${guest}/${file.file}` })),
    );
  return [...own, ...others];
}

function singleFile(path: string): FoundRecord[] {
  const file = basename(path);
  const found = parseRecordName(file) === undefined ? undefined : recordFile(dirname(path), file);
  return found === undefined ? [] : [{ ...found, guest: descriptionOf(found)?.guest, path: file }];
}

/** Throws EXH_IO where nothing is there. */
function isDirectory(path: string): boolean {
  try {
    return statSync(path).isDirectory();
  } catch (error) {
    throw outputError(path, 'open', error);
  }
}

/** Reads and decompresses a record. Throws EXH_IO. */
export function loadRecord(found: FoundRecord): PstoreRecord {
  const told = descriptionOf(found);
  const time = told?.time ?? found.modified;
  return readRecord(found, {
    file: found.path,
    guest: found.guest,
    time,
    boot: told?.boot,
    bytes: recordBytes(found),
  });
}
