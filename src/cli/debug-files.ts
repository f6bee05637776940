import { type Dirent, readdirSync, type Stats, statSync } from 'node:fs';
import { join } from 'node:path';
import { isExhumeError } from '../bytes/errors.js';
import { FileSource } from '../bytes/node.js';
import { nodeDecoders } from '../codecs/node.js';
import { DebugFile } from '../kernel/lines/debug-file.js';
import type { DebugFiles, Wanted } from '../report/source-lines.js';

export type Environment = Readonly<Record<string, string | undefined>>;

/** A tree of modules has some 5,000 files in 1,000 directories. */
const MOST_DIRECTORIES = 20_000;
const DEEPEST = 16;

/**
 * Debug files as distributions, kernel builds and debuginfod leave them: by build id, or by release and then checked.
 * What was given is tried first. Nothing is fetched.
 */
export class DebugFileSearch implements DebugFiles {
  readonly given: readonly DebugFile[];
  private readonly directories: readonly string[];
  private readonly trees = new Map<string, ReadonlyMap<string, readonly string[]>>();

  /**
   * @param paths files and directories
   * Throws EXH_IO for what is not there, EXH_BAD_HEADER or EXH_TRUNCATED for a file that is no whole ELF file.
   */
  constructor(
    paths: readonly string[],
    private readonly environment: Environment,
  ) {
    this.directories = paths.filter(isDirectory);
    this.given = paths
      .filter((path) => !isDirectory(path))
      .map((path) => new DebugFile(FileSource.open(path), nodeDecoders));
  }

  find(wanted: Wanted): DebugFile | { readonly tried: readonly string[] } {
    const given = this.given.find(({ buildId }) => buildId === wanted.buildId);
    if (given !== undefined) return given;
    const tried: string[] = [];
    for (const path of new Set(this.candidates(wanted))) {
      const file = matching(path, wanted.buildId);
      if (typeof file !== 'string') return file;
      tried.push(file === '' ? path : `${path} (${file})`);
    }
    return { tried };
  }

  private *candidates({ module, buildId, release }: Wanted): Generator<string> {
    const names = releasePaths(module, release);
    for (const directory of this.directories) {
      yield* byBuildId(directory, buildId);
      yield* names.map((name) => join(directory, name));
      if (module === undefined) yield join(directory, 'vmlinux');
      else yield* this.modulesIn(directory, module);
    }
    yield* byBuildId('/usr/lib/debug', buildId).slice(0, 1);
    yield* names.map((name) => join('/usr/lib/debug', name));
    if (module !== undefined && isPlain(release)) {
      for (const root of ['/usr/lib/debug', '/']) yield* this.modulesIn(join(root, 'lib/modules', release), module);
    } else if (isPlain(release)) {
      yield join('/lib/modules', release, 'build/vmlinux');
    }
    const cache = debuginfodCache(this.environment);
    if (cache !== undefined) yield join(cache, buildId, 'debuginfo');
  }

  /** The module's files in a tree, by their names alone: `-` and `_` are one in names of modules. */
  private modulesIn(directory: string, module: string): readonly string[] {
    let tree = this.trees.get(directory);
    if (tree === undefined) {
      tree = modulesBelow(directory);
      this.trees.set(directory, tree);
    }
    return tree.get(module.replaceAll('-', '_')) ?? [];
  }
}

/** Where files of a build may be below a directory. */
export function byBuildId(directory: string, buildId: string): string[] {
  return [
    join(directory, '.build-id', buildId.slice(0, 2), `${buildId.slice(2)}.debug`),
    join(directory, buildId, 'debuginfo'),
  ];
}

/** Where a kernel's file is below a directory, by its release. */
function releasePaths(module: string | undefined, release: string | undefined): string[] {
  if (module !== undefined || !isPlain(release)) return [];
  return [join('boot', `vmlinux-${release}`), join('lib/modules', release, 'vmlinux'), `vmlinux-${release}`];
}

/** A release is what the dump says: it names a file, and leads nowhere else. */
function isPlain(release: string | undefined): release is string {
  return release !== undefined && release !== '' && !/[/\0]/.test(release) && release !== '..';
}

/** `get_default_debuginfod_cache` of elfutils: DEBUGINFOD_CACHE_PATH, else below XDG_CACHE_HOME or ~/.cache. */
export function debuginfodCache(environment: Environment): string | undefined {
  const { DEBUGINFOD_CACHE_PATH: told, XDG_CACHE_HOME: caches, HOME: home } = environment;
  if (told) return told;
  if (caches) return join(caches, 'debuginfod_client');
  return home ? join(home, '.cache/debuginfod_client') : undefined;
}

/** The file, or why it is not the one; an empty string for one that is not there. */
function matching(path: string, buildId: string): DebugFile | string {
  if (!(statOf(path)?.isFile() ?? false)) return '';
  let source: FileSource | undefined;
  let problem: string;
  try {
    source = FileSource.open(path);
    const file = new DebugFile(source, nodeDecoders);
    if (file.buildId === buildId && file.hasLines) return file;
    problem = file.buildId === buildId ? 'no line table' : `build id ${file.buildId ?? 'none'}`;
  } catch (error) {
    if (!isExhumeError(error)) throw error;
    problem = error.code;
  }
  source?.close();
  return problem;
}

function isDirectory(path: string): boolean {
  return statOf(path)?.isDirectory() ?? false;
}

/** undefined for what is not there, or may not be looked at. */
export function statOf(path: string): Stats | undefined {
  try {
    return statSync(path);
  } catch {
    return undefined;
  }
}

/** Modules and their debug files below a directory, by name. Links are not followed; what cannot be read is left out. */
function modulesBelow(directory: string): Map<string, string[]> {
  const found = new Map<string, string[]>();
  const waiting = [{ path: directory, depth: 0 }];
  for (let read = 0; read < MOST_DIRECTORIES; read++) {
    const next = waiting.pop();
    if (next === undefined) break;
    for (const entry of entriesOf(next.path)) {
      const path = join(next.path, entry.name);
      if (entry.isDirectory() && next.depth < DEEPEST) waiting.push({ path, depth: next.depth + 1 });
      const [, name] = /^(.+)\.ko(?:\.debug)?$/.exec(entry.name) ?? [];
      if (name === undefined || !entry.isFile()) continue;
      const key = name.replaceAll('-', '_');
      found.set(key, [...(found.get(key) ?? []), path]);
    }
  }
  return found;
}

function entriesOf(directory: string): Dirent[] {
  try {
    return readdirSync(directory, { withFileTypes: true });
  } catch {
    return [];
  }
}
