import { join } from 'node:path';
import { isExhumeError } from '../bytes/errors.js';
import { FileSource } from '../bytes/node.js';
import { nodeDecoders } from '../codecs/node.js';
import type { ProgramFinder } from '../dump/open.js';
import { ElfSections } from '../kernel/lines/elf-sections.js';
import { byBuildId, debuginfodCache, type Environment, statOf } from './debug-files.js';

/** Finds programs where the core says that they were, and where distributions and debuginfod leave them by build id. Nothing is fetched. */
export function programFinder(environment: Environment): ProgramFinder {
  return (path, buildId) => {
    const cache = debuginfodCache(environment);
    const cached = cache === undefined ? [] : ['executable', 'debuginfo'].map((name) => join(cache, buildId, name));
    for (const candidate of [path, ...byBuildId('/usr/lib/debug', buildId).slice(0, 1), ...cached]) {
      const file = ofBuild(candidate, buildId);
      if (file !== undefined) return file;
    }
    return undefined;
  };
}

function ofBuild(path: string, buildId: string): FileSource | undefined {
  if (!(statOf(path)?.isFile() ?? false)) return undefined;
  let file: FileSource | undefined;
  try {
    file = FileSource.open(path);
    if (new ElfSections(file, nodeDecoders).buildId === buildId) return file;
  } catch (error) {
    if (!isExhumeError(error)) throw error;
  }
  file?.close();
  return undefined;
}
