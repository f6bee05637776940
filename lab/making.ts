/** What every scene has in common: made once from a definition, beside its place, and once more when it fails. */

import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { sceneDirectory } from './directories.js';
import { LabError, say } from './shell.js';

/**
 * Makes the scene unless it was made from the same definition before. `attempt` is given a directory to fill.
 * Returns whether it did anything.
 */
export async function remake(
  name: string,
  parts: object,
  force: boolean,
  attempt: (making: string) => Promise<void>,
): Promise<boolean> {
  const directory = sceneDirectory(name);
  const stamp = join(directory, 'scene.json');
  const definition = `${JSON.stringify(parts, undefined, 2)}\n`;
  if (!force && existsSync(stamp) && readFileSync(stamp, 'utf8') === definition) return false;
  const making = `${directory}.making`;
  try {
    await attempt(making);
  } catch (error) {
    if (!(error instanceof LabError)) throw error;
    say(`${name}: once more, because ${error.message}`);
    await attempt(making);
  }
  writeFileSync(join(making, 'scene.json'), definition);
  // Who reads the scene meanwhile sees the old one or the new one, never half of one.
  rmSync(directory, { recursive: true, force: true });
  renameSync(making, directory);
  return true;
}
