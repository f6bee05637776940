/** `npm run lab -- --peers`: what the peers say about the dumps of a scene, kept beside them. */

import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { labPath, sceneDirectory } from './directories.js';
import { vmlinux } from './kernels.js';
import { crash, drgnLog } from './peers.js';
import type { Scene } from './scenes.js';
import { LabError, say } from './shell.js';

/**
 * Asks crash and drgn about each dump. `peers/FILE.crash-log`, `.crash-help-n`, `.crash-help-r` and `.drgn-log` hold
 * the answers; `.crash-error` and `.drgn-error` the words of a peer that could not read it.
 */
export function keepPeerAnswers(scene: Scene): void {
  const directory = sceneDirectory(scene.name);
  if (scene.ending === 'firmware' || !existsSync(join(directory, 'truth.json'))) return;
  const symbols = vmlinux(scene.kernel);
  const answers = labPath('scenes', scene.name, 'peers');
  for (const file of dumpFiles(directory)) {
    const dump = join(directory, file);
    const keep = (name: string, ask: () => string): void => {
      if (existsSync(join(answers, `${file}.${name}`)) || existsSync(join(answers, `${file}.${peer(name)}-error`)))
        return;
      try {
        writeFileSync(join(answers, `${file}.${name}`), ask());
      } catch (error) {
        if (!(error instanceof LabError)) throw error;
        writeFileSync(join(answers, `${file}.${peer(name)}-error`), `${error.message}\n`);
        say(`${scene.name}/${file}: ${peer(name)} cannot read it`);
      }
    };
    keep('drgn-log', () => drgnLog(dump, symbols));
    keep('crash-log', () => crash('forky', dump, symbols, ['log']));
    keep('crash-help-n', () => crash('forky', dump, symbols, ['help -n']));
    keep('crash-help-r', () => crash('forky', dump, symbols, ['help -r']));
  }
}

function peer(answer: string): string {
  return answer.slice(0, answer.indexOf('-'));
}

function dumpFiles(directory: string): string[] {
  const truth: unknown = JSON.parse(readFileSync(join(directory, 'truth.json'), 'utf8'));
  if (typeof truth !== 'object' || truth === null || !('files' in truth) || !Array.isArray(truth.files)) return [];
  return truth.files.filter((file): file is string => typeof file === 'string');
}
