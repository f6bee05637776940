import type { Container } from '../dump/container.js';
import { openDumpFiles as openDumps } from '../dump/node.js';
import type { OpenOptions } from '../dump/open.js';
import { OPENERS } from './openers.js';

/** As openDumpFiles of `dump/node.ts`, and opens as well what has a machine in it without being a dump of one. */
export function openDumpFiles(paths: readonly string[], options: OpenOptions = {}): Container {
  return openDumps(paths, { openers: OPENERS, ...options });
}
