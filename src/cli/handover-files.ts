import { closeSync, openSync, readdirSync, readFileSync, readSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { ioError } from '../bytes/node.js';
import { isFdt } from '../handover/fdt/fdt.js';
import { type SystemFiles, type ToldByFiles, toldByFiles } from '../handover/sources/system-files.js';

/** Of a tree or of what a user describes: more is no such file. */
const LARGEST = 1 << 26;

/**
 * What a file that is a tree tells of handovers, or a directory: `/sys/kernel/debug/kho`, a part of it, any other place in
 * which a kernel shows its handovers, or copies of them. Undefined: the path is neither. Throws EXH_IO.
 */
export function readHandoverFiles(path: string): ToldByFiles | undefined {
  let directory: boolean;
  try {
    directory = statSync(path).isDirectory();
    if (!directory && !isFdt(firstBytes(path))) return undefined;
  } catch (error) {
    throw ioError(path, 'read', error);
  }
  if (!directory) return { told: [{ place: path, direction: undefined, tree: fileBytes(path) }], silent: [] };
  const found = toldByFiles(systemFiles(path, false));
  return found.told.length > 0 || found.silent.length > 0 ? found : undefined;
}

/** The files of a running system. @param root where it is seen: `/`, or elsewhere from within a container */
export function readLiveFiles(root: string): ToldByFiles {
  return toldByFiles(systemFiles(root, true));
}

function systemFiles(root: string, live: boolean): SystemFiles {
  const place = (path: string): string => join(root, ...path.split('/'));
  return {
    name: root,
    live,
    list: (folder) =>
      unlessMissing(place(folder), (path) =>
        statSync(path).isDirectory() ? readdirSync(path).sort(byNumber) : undefined,
      ),
    read: (path) => unlessMissing(place(path), (file) => (statSync(file).isFile() ? fileBytes(file) : undefined)),
  };
}

function byNumber(one: string, other: string): number {
  return Number(one) - Number(other) || (one < other ? -1 : 1);
}

/** Throws EXH_IO where the system refuses. */
function unlessMissing<T>(path: string, read: (path: string) => T): T | undefined {
  try {
    return read(path);
  } catch (error) {
    const { code } = ((error as Error).cause ?? error) as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    throw ioError(path, 'read', error);
  }
}

/** The file may be a dump of any size. */
function firstBytes(path: string): Uint8Array {
  const file = openSync(path, 'r');
  try {
    const bytes = new Uint8Array(4);
    return bytes.subarray(0, readSync(file, bytes));
  } finally {
    closeSync(file);
  }
}

/** Files of debugfs say that they are empty: they are read to their end. Throws EXH_IO. */
function fileBytes(path: string): Uint8Array {
  try {
    return readFileSync(path).subarray(0, LARGEST);
  } catch (error) {
    throw ioError(path, 'read', error);
  }
}
