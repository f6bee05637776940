import { lstatSync, readdirSync, readFileSync, statSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import { readUpTo } from '../../bytes/byte-source.js';
import { outputError } from '../../bytes/node/output-error.js';
import { OutputFile } from '../../bytes/node/output-file.js';
import { FileSource } from '../../bytes/node.js';
import { parseDescription, type ToldRecord } from '../description.js';
import { parseRecordName, type RecordName } from '../name.js';
import type { RecordTime } from '../record.js';

/** A record's file in a directory: one of a store, or one with what was copied from /sys/fs/pstore. */
export interface RecordFile extends RecordName {
  readonly directory: string;
  readonly file: string;
  readonly size: number;
  /** As the file system has it. */
  readonly modified: RecordTime;
}

/** A larger file is no record: a backend's buffer is 1 MiB at most. */
const LARGEST_FILE = 1 << 24;
const LARGEST_DESCRIPTION = 1 << 16;
/** Holds the largest id that was ever given, when its record is gone: ids are not used twice. */
const LAST_ID = 'last-id';

/** The records in a directory, in the order of their ids. Symbolic links are none. Throws EXH_IO. */
export function recordFiles(directory: string): RecordFile[] {
  const files: RecordFile[] = [];
  for (const file of namesIn(directory)) {
    const found = parseRecordName(file) === undefined ? undefined : recordFile(directory, file);
    if (found !== undefined) files.push(found);
  }
  return files.sort((a, b) => (a.id < b.id ? -1 : a.id > b.id ? 1 : 0));
}

/** One record's file; undefined where there is none of this name. */
export function recordFile(directory: string, file: string): RecordFile | undefined {
  const name = parseRecordName(file);
  const stat = lstatSync(join(directory, file), { throwIfNoEntry: false });
  if (name === undefined || stat === undefined || !stat.isFile()) return undefined;
  const milliseconds = Math.max(0, stat.mtimeMs);
  const modified = { seconds: Math.floor(milliseconds / 1000), nanoseconds: Math.floor((milliseconds % 1000) * 1e6) };
  return { ...name, directory, file, size: stat.size, modified };
}

/** The names in a directory. Throws EXH_IO. */
export function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory).sort();
  } catch (error) {
    throw outputError(directory, 'list', error);
  }
}

/** A record's bytes, at most {@link LARGEST_FILE} of them. Throws EXH_IO. */
export function recordBytes({ directory, file }: Pick<RecordFile, 'directory' | 'file'>): Uint8Array {
  const source = FileSource.open(join(directory, file));
  try {
    return readUpTo(source, 0, LARGEST_FILE);
  } finally {
    source.close();
  }
}

const DESCRIPTION = '.json';

/** The name of a record's description. */
export function descriptionName({ type, id }: Pick<RecordName, 'type' | 'id'>): string {
  return `${type}-${id}${DESCRIPTION}`;
}

/** Whose description a file of this name is; undefined for any other name. */
export function describedBy(name: string): RecordName | undefined {
  return name.endsWith(DESCRIPTION) ? parseRecordName(name.slice(0, -DESCRIPTION.length)) : undefined;
}

/** What the store wrote beside a record; undefined where nothing stands or nothing that the store writes. */
export function descriptionOf(
  record: Pick<RecordFile, 'directory' | 'type' | 'id' | 'backend'>,
): ToldRecord | undefined {
  const path = join(record.directory, descriptionName(record));
  const stat = statSync(path, { throwIfNoEntry: false });
  if (record.backend !== undefined || stat === undefined || !stat.isFile() || stat.size > LARGEST_DESCRIPTION) {
    return undefined;
  }
  return parseDescription(readFileSync(path, 'utf8'));
}

/**
 * Removes a record, and its description where it has one; notes its id when it was the last one given.
 * Throws EXH_IO, EXH_NO_SPACE.
 */
export function removeRecord(record: RecordFile): void {
  const { directory, file, backend } = record;
  if (backend === undefined && descriptionOf(record) !== undefined) {
    const largest = recordFiles(directory).at(-1);
    if (largest !== undefined && largest.id === record.id) noteLastId(directory, record.id);
    remove(join(directory, file));
    remove(join(directory, descriptionName(record)));
  } else {
    remove(join(directory, file));
  }
}

/** Removes a file if it is there. Throws EXH_IO. */
export function remove(path: string): void {
  try {
    unlinkSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw outputError(path, 'remove', error);
  }
}

/** So that no id up to this one is given again. Throws EXH_IO, EXH_NO_SPACE. */
export function noteLastId(directory: string, id: bigint): void {
  if (id > lastIdNoted(directory)) writeWhole(join(directory, LAST_ID), new TextEncoder().encode(`${id}\n`));
}

/** The largest id that was given and whose record may be gone; 0 where none was noted. */
export function lastIdNoted(directory: string): bigint {
  const path = join(directory, LAST_ID);
  const stat = lstatSync(path, { throwIfNoEntry: false });
  if (stat === undefined || !stat.isFile() || stat.size > 32) return 0n;
  const [digits] = /^\d{1,16}/.exec(readFileSync(path, 'latin1')) ?? ['0'];
  return BigInt(digits);
}

/** A file that is there whole or not at all. Throws EXH_NO_SPACE, EXH_IO. */
export function writeWhole(path: string, bytes: Uint8Array): void {
  OutputFile.whole(path, (output) => output.write(0, bytes));
}
