import { lstatSync, realpathSync, statfsSync } from 'node:fs';
import { basename, resolve } from 'node:path';
import { ExhumeError, isExhumeError } from '../bytes/errors.js';
import { FileSource } from '../bytes/node.js';
import { nodeDecoders } from '../codecs/node.js';
import type { Container } from './container.js';
import { liveNotNamed, type OpenOptions, openDump } from './open.js';

/**
 * Opens a dump from files: one, or all members of a `--split` set in any order.
 * `/proc/kcore` is the running kernel's memory and read live, because it was named; a link to it is refused (EXH_USAGE).
 * Throws as `openDump` does, and EXH_IO when a file cannot be opened or read. The files stay open.
 */
export function openDumpFiles(paths: readonly string[], options: OpenOptions = {}): Container {
  return openDumpSources(paths, options).container;
}

/** As `openDumpFiles`, and gives the files as well, for other threads to read from. */
export function openDumpSources(
  paths: readonly string[],
  options: OpenOptions = {},
): { readonly container: Container; readonly sources: readonly FileSource[] } {
  // Before any of them is opened.
  const live = paths.filter(isLiveMemory).length > 0;
  const sources: FileSource[] = [];
  try {
    for (const path of paths) sources.push(FileSource.open(path));
    const container = openDump(sources, { decoders: nodeDecoders, ...(live ? { live } : {}), ...options });
    return { container, sources };
  } catch (error) {
    for (const source of sources) source.close();
    throw live && isExhumeError(error) ? explained(error) : error;
  }
}

const KCORE = '/proc/kcore';
/** PROC_SUPER_MAGIC; include/uapi/linux/magic.h. */
const PROC_FILE_SYSTEM = 0x9fa0;

/** Is it `kcore` of procfs, wherever that is mounted (a container may see the host's)? Throws EXH_USAGE for a link to it. */
export function isLiveMemory(path: string): boolean {
  if (resolve(path) === KCORE) return true;
  try {
    const real = realpathSync(path);
    if (basename(real) !== basename(KCORE) || statfsSync(real).type !== PROC_FILE_SYSTEM) return false;
  } catch {
    // Opening it tells why.
    return false;
  }
  if (lstatSync(path).isSymbolicLink()) throw liveNotNamed(path);
  return true;
}

/** Why a running kernel's memory cannot be had, in words that help. */
function explained(error: ExhumeError): ExhumeError {
  const { code: reason } = (error.cause ?? {}) as NodeJS.ErrnoException;
  const hint = error.code === 'EXH_NOT_A_DUMP' ? MASKED : REFUSED[reason ?? ''];
  if (hint === undefined) return error;
  return new ExhumeError(error.code, error.message, { ...error.data, live: true, hint }, { cause: error.cause });
}

const MASKED = 'it is masked, as container runtimes do; run exhume on the host, or mount procfs anew';
/** fs/proc/kcore.c: open_kcore(). */
const REFUSED: Readonly<Record<string, string>> = {
  EACCES: 'it needs root',
  EPERM:
    'it needs root with CAP_SYS_RAWIO, and a kernel that is not locked down for confidentiality ' +
    '(/sys/kernel/security/lockdown)',
  ENOENT: 'this kernel has none: it was built without CONFIG_PROC_KCORE, or /proc is not mounted',
};
