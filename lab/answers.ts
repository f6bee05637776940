/** `npm run lab -- --peers`: what the peers say about the dumps of a scene, kept beside them. */

import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { labPath, sceneDirectory } from './directories.js';
import { vmlinux } from './kernels.js';
import { CRASH_MINIMAL, crash, DRGN_ARCHITECTURE, drgnLog } from './peers.js';
import type { Scene } from './scenes.js';
import { LabError, say } from './shell.js';
import { readTruth } from './truth.js';

/**
 * Asks crash and drgn about each dump. `peers/FILE.crash-log`, `.crash-help-n`, `.crash-help-r` and `.drgn-log` hold
 * the answers; `.crash-error` and `.drgn-error` the words of a peer that could not read it, or not without help.
 */
export function keepPeerAnswers(scene: Scene): void {
  const directory = sceneDirectory(scene.name);
  const truth = readTruth(scene.name);
  if (scene.ending === 'firmware' || truth === undefined) return;
  const symbols = attempt(() => vmlinux(scene.kernel));
  if (symbols instanceof LabError) {
    // The mirror keeps debug information of some kernels only.
    say(`${scene.name}: no vmlinux for the peers: ${symbols.message}`);
    return;
  }
  const answers = labPath('scenes', scene.name, 'peers');
  // A part of a split dump is no dump.
  for (const file of truth.files.filter((name) => !name.includes('split'))) {
    const dump = join(directory, file);
    const answer = (name: string): string => join(answers, `${file}.${name}`);
    const ask = (peer: string, help: readonly string[], question: (options: readonly string[]) => void): void => {
      // Not again when there is an answer, be it that the peer cannot.
      if (existsSync(answer(`${peer}-log`)) || existsSync(answer(`${peer}-error`))) return;
      const error = attempt(() => question([]));
      if (!(error instanceof LabError)) return;
      writeFileSync(answer(`${peer}-error`), `${error.message}\n`);
      const helped = !(attempt(() => question(help)) instanceof LabError);
      const withHelp = helped ? `, but can with ${help.join(' ')}` : '';
      say(`${scene.name}: ${peer} cannot read ${file}${withHelp}`);
    };
    ask('drgn', DRGN_ARCHITECTURE, (options) => {
      writeFileSync(answer('drgn-log'), drgnLog(dump, symbols, options));
    });
    // One start of crash for all three: it takes seconds.
    const commands = [
      `log > ${answer('crash-log')}`,
      `help -n > ${answer('crash-help-n')}`,
      `help -r > ${answer('crash-help-r')}`,
    ];
    ask('crash', CRASH_MINIMAL, (options) => crash('forky', dump, symbols, commands, options));
  }
}

/** The answer, or the failure to give one. */
function attempt<Answer>(question: () => Answer): Answer | LabError {
  try {
    return question();
  } catch (error) {
    if (error instanceof LabError) return error;
    throw error;
  }
}
