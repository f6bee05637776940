import { statSync } from 'node:fs';
import { ExhumeError, isExhumeError } from '../bytes/errors.js';
import type { Container } from '../dump/container.js';
import { openDumpFiles } from '../dump/node.js';
import type { OpenOptions } from '../dump/open.js';
import { parseRanges } from '../dump/raw.js';
import { openSubject } from '../report/subject.js';
import type { OpenFile, SharedOptions } from './session.js';

/** Opens a dump and whatever is in it. Throws when the files are no dump; all else is told by the answers. */
export function openFiles(files: readonly string[], options: SharedOptions): OpenFile {
  const all = [...files, ...(options.part ?? [])];
  const ranges = options.ranges === undefined ? undefined : parseRanges(options.ranges);
  const container = openContainer(all, {
    ...(options.rawMemory || ranges !== undefined ? { format: 'raw' as const } : {}),
    ...(ranges === undefined ? {} : { ranges }),
  });
  // A running kernel's is as long as its address space, which says nothing.
  const bytes = container.live ? 0 : all.reduce((sum, file) => sum + statSync(file).size, 0);
  return { subject: openSubject(container, options.kernel), bytes };
}

function openContainer(files: readonly string[], options: OpenOptions): Container {
  try {
    return openDumpFiles(files, options);
  } catch (error) {
    const hint = hintFor(error);
    if (hint === undefined || !(error instanceof ExhumeError)) throw error;
    throw new ExhumeError(error.code, error.message, { ...error.data, hint }, { cause: error });
  }
}

/** What to try next, in the words of the command line. */
function hintFor(error: unknown): string | undefined {
  // What a running kernel's memory takes was said already.
  if (isExhumeError(error) && error.data['live'] === true) return undefined;
  if (isExhumeError(error, 'EXH_NOT_A_DUMP')) return 'if it is a plain image of physical memory: --raw-memory';
  // `exhume FILE` takes a mistyped command for a file.
  const missing =
    isExhumeError(error, 'EXH_IO') && (error.cause as NodeJS.ErrnoException | undefined)?.code === 'ENOENT';
  return missing ? 'there is no such file, nor a command of that name: exhume --help lists them' : undefined;
}
