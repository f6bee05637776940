/** Where the lab keeps things. Nothing here is in the repository; all of it can be deleted and made again. */

import { mkdirSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';

export const labDirectory = process.env['EXHUME_LAB_DIR'] ?? join(homedir(), '.cache', 'exhume-lab');

/** A directory of the lab, made when it is not there yet. */
export function labPath(...parts: readonly string[]): string {
  const path = join(labDirectory, ...parts);
  mkdirSync(path, { recursive: true });
  return path;
}

/** Where a scene's dumps and ground truth are, whether they were made yet or not. */
export function sceneDirectory(name: string): string {
  return join(labDirectory, 'scenes', name);
}
