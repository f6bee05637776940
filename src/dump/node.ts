import { resolve } from 'node:path';
import { FileSource } from '../bytes/node.js';
import { nodeDecoders } from '../codecs/node.js';
import type { Container } from './container.js';
import { type OpenOptions, openDump } from './open.js';

/**
 * Opens a dump from files: one, or all members of a `--split` set in any order.
 * `/proc/kcore` is the running kernel's memory and read live, because it was named.
 * Throws as `openDump` does, and EXH_IO when a file cannot be opened or read. The files stay open.
 */
export function openDumpFiles(paths: readonly string[], options: OpenOptions = {}): Container {
  const sources: FileSource[] = [];
  try {
    for (const path of paths) sources.push(FileSource.open(path));
    const live = paths.length === 1 && resolve(paths[0] ?? '') === '/proc/kcore';
    return openDump(sources, { decoders: nodeDecoders, ...(live ? { live } : {}), ...options });
  } catch (error) {
    for (const source of sources) source.close();
    throw error;
  }
}
