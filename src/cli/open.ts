import { ExhumeError, isExhumeError } from '../bytes/errors.js';
import type { FileSource } from '../bytes/node.js';
import type { Container } from '../dump/container.js';
import { openDumpSources } from '../dump/node.js';
import type { OpenOptions } from '../dump/open.js';
import { parseRanges } from '../dump/raw.js';
import { withNotes } from '../dump/with-notes.js';
import { OPENERS } from '../hypervisor/openers.js';
import { selectGuest } from '../hypervisor/select.js';
import { openSubject } from '../report/subject.js';
import { programFinder } from './programs.js';
import type { OpenFile, SharedOptions } from './session.js';
import { notesOfOption } from './vmcsinfo.js';

/** Opens a dump and whatever is in it. Throws when the files are no dump; all else is told by the answers. */
export function openFiles(files: readonly string[], options: SharedOptions): OpenFile {
  const { container, sources } = openSources([...files, ...(options.part ?? [])], options);
  // A running kernel's is as long as its address space, which says nothing.
  const bytes = container.live ? 0 : sources.reduce((sum, { size }) => sum + size, 0);
  return { subject: openSubject(within(container, options), options.kernel), bytes };
}

/**
 * The guest that the options name, as a dump; without one the dump itself, with the note that they name.
 * Throws EXH_NO_GUEST, EXH_BAD_NOTE.
 */
export function within(container: Container, { guest, vmcsinfo }: SharedOptions): Container {
  const stated = withNotes(container, notesOfOption(container, vmcsinfo));
  return guest === undefined ? stated : selectGuest(stated, guest).container();
}

/** The dump, the files that it is opened from, and how. */
export interface OpenSources {
  readonly container: Container;
  readonly sources: readonly FileSource[];
  readonly opening: Opening;
}

type Opening = Pick<OpenOptions, 'format' | 'ranges' | 'snapshot'>;

/** Opens a dump from files. Throws when they are none. */
export function openSources(files: readonly string[], options: SharedOptions): OpenSources {
  const opening = openingOf(options);
  try {
    return {
      ...openDumpSources(files, { ...opening, openers: OPENERS, programs: programFinder(process.env) }),
      opening,
    };
  } catch (error) {
    const hint = hintFor(error);
    if (hint === undefined || !(error instanceof ExhumeError)) throw error;
    throw new ExhumeError(error.code, error.message, { ...error.data, hint }, { cause: error });
  }
}

/** What the options say of how a file is to be opened. Throws EXH_USAGE. */
export function openingOf({ ranges: map, rawMemory, snapshot }: SharedOptions): Opening {
  const ranges = map === undefined ? undefined : parseRanges(map);
  return {
    ...(rawMemory || ranges !== undefined ? { format: 'raw' as const } : {}),
    ...(ranges === undefined ? {} : { ranges }),
    ...(snapshot === undefined ? {} : { snapshot }),
  };
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
