import { readFileSync, statSync } from 'node:fs';
import { ExhumeError } from '../bytes/errors.js';
import { openDumpFiles } from '../dump/node.js';
import type { RawRange } from '../dump/raw.js';
import { openSubject } from '../report/subject.js';
import { parseRanges } from './ranges.js';
import type { OpenFile, SharedOptions } from './session.js';

/** Opens a dump and whatever is in it. Throws when the files are no dump; all else is told by the answers. */
export function openFiles(files: readonly string[], options: SharedOptions): OpenFile {
  const all = [...files, ...(options.part ?? [])];
  const ranges = options.ranges === undefined ? undefined : readRanges(options.ranges);
  const container = openDumpFiles(all, {
    ...(options.rawMemory || ranges !== undefined ? { format: 'raw' as const } : {}),
    ...(ranges === undefined ? {} : { ranges }),
  });
  const bytes = all.reduce((sum, file) => sum + statSync(file).size, 0);
  return { subject: openSubject(container, options.kernel), bytes };
}

function readRanges(path: string): RawRange[] {
  try {
    return parseRanges(readFileSync(path, 'utf8'), path);
  } catch (error) {
    if (error instanceof ExhumeError) throw error;
    const reason = error instanceof Error ? error.message : String(error);
    throw new ExhumeError('EXH_IO', `${path}: cannot read: ${reason}`, { file: path }, { cause: error });
  }
}
