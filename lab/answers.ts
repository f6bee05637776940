/** `npm run lab -- --peers`: what the peers say about the dumps of a scene, kept beside them. */

import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { TASK_STAT } from './accounts.js';
import { labPath, sceneDirectory } from './directories.js';
import { MODULE_FILE } from './guest.js';
import { vmlinux } from './kernels.js';
import { CRASH_MINIMAL, crash, DRGN_ARCHITECTURE, drgnLog, drgnWalks } from './peers.js';
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
  // Their logs and headers are like those of the others.
  if (scene.death !== undefined) {
    keepWalks(scene, directory, answers, symbols);
    return;
  }
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

/** How crash is asked to walk the kernel's structures, by the name of the answer. */
const WALKS: readonly (readonly [name: string, command: string])[] = [
  ['log', 'log'],
  ['ps', 'ps'],
  ['ps-l', 'ps -l'],
  ['bt-a', 'bt -a'],
  ['bt', 'foreach bt'],
  ['bt-FF', 'bt -FF 2'],
  ['mod', 'mod'],
  ['mount', 'mount'],
  ['net', 'net'],
  ['net-s', 'foreach net -s'],
  ['kmem-i', 'kmem -i'],
  ['kmem-s', 'kmem -s'],
  ['runq', 'runq'],
  ['irq', 'irq'],
  ['timer', 'timer'],
  ['dev', 'dev'],
  ['dev-d', 'dev -d'],
  ['swap', 'swap'],
  ['ipcs', 'ipcs'],
  ['sys', 'sys'],
  ['mach', 'mach'],
  ['files', 'foreach user files'],
  ['vm', 'foreach user vm'],
  ['ps-t', 'ps -t'],
  ['sig', 'foreach sig'],
  ['kmem-v', 'kmem -v'],
  ['ps-a', 'ps -a'],
  ['ps-r', 'ps -r'],
];

/** Asked of thousands of tasks, crash takes minutes for the others. */
const QUICK_WALKS = new Set(['log', 'ps', 'ps-l', 'bt-a', 'mod', 'kmem-i', 'runq', 'sys']);

/**
 * The dump of a guest that died in one of our ways: what crash prints for each command as `crash-NAME`, and what drgn
 * finds as `drgn.json`. crash has no walks of a kernel that it opens only with `--minimal`.
 */
function keepWalks(scene: Scene, directory: string, answers: string, symbols: string): void {
  const file = 'dump.elf';
  const dump = join(directory, file);
  const answer = (name: string): string => join(answers, `${file}.${name}`);
  const keep = (name: string, question: () => string): void => {
    if (existsSync(answer(name)) || existsSync(answer(`${name}-error`))) return;
    const said = attempt(question);
    if (said instanceof LabError) {
      say(`${scene.name}: no ${name}`);
      writeFileSync(answer(`${name}-error`), `${said.message}\n`);
    } else {
      writeFileSync(answer(name), said);
    }
  };
  const many = readFileSync(join(directory, TASK_STAT[0]), 'latin1').match(/\n/g)?.length ?? 0;
  const own = join(directory, MODULE_FILE);
  keep('drgn.json', () => drgnWalks(dump, symbols, existsSync(own) ? [own] : [], many > 10_000));
  keep('drgn-log', () => drgnLog(dump, symbols));
  const walks = WALKS.filter(([name]) => many < 1000 || QUICK_WALKS.has(name));
  // One start of crash for all; it writes the answers itself, and the last is complete when it ends.
  keep('crash-walks', () => {
    crash(
      'forky',
      dump,
      symbols,
      walks.map(([name, command]) => `${command} > ${answer(`crash-${name}`)}`),
    );
    return `${walks.map(([name, command]) => `${name}\t${command}`).join('\n')}\n`;
  });
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
