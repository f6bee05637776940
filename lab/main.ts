/** `npm run lab`: makes scenes. `npm run lab -- --help` says more. */

import { parseArgs } from 'node:util';
import { keepPeerAnswers } from './answers.js';
import { installForky } from './chroot.js';
import { labDirectory } from './directories.js';
import { lockLab } from './lock.js';
import { installPackages } from './packages.js';
import { SCENES, type Scene } from './scenes.js';
import { LabError, say } from './shell.js';
import { makeScene } from './stage.js';

const HELP = `npm run lab -- [--list] [--force] [--peers] [SCENE...]

Boots guests under QEMU and keeps dumps of them, with the truth about each, in
${labDirectory} (EXHUME_LAB_DIR). Needs Debian bookworm and root.

  SCENE...   only these; otherwise all
  --list     names the scenes
  --force    makes them again although they are there
  --peers    keeps what crash and drgn say about them, too (fetches debug information)
`;

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      list: { type: 'boolean' },
      force: { type: 'boolean' },
      peers: { type: 'boolean' },
      help: { type: 'boolean' },
    },
  });
  if (values.help) {
    process.stdout.write(HELP);
    return 0;
  }
  if (values.list) {
    for (const scene of SCENES) console.log(line(scene));
    return 0;
  }
  const unknown = positionals.filter((name) => !SCENES.some((scene) => scene.name === name));
  if (unknown.length > 0) {
    console.error(`no scene ${unknown.join(', ')}; see --list`);
    return 2;
  }
  await lockLab();
  installPackages();
  installForky();
  const wanted = SCENES.filter((scene) => positionals.length === 0 || positionals.includes(scene.name));
  const failed = await makeAll(wanted, values.force ?? false, values.peers ?? false);
  if (failed.length > 0) console.error(`failed: ${failed.join(', ')}`);
  return failed.length > 0 ? 1 : 0;
}

/** A guest waits more than it computes: two at a time keep two processors busy. */
const AT_A_TIME = 2;

/** Gives the names of those that could not be made. */
async function makeAll(scenes: readonly Scene[], force: boolean, peers: boolean): Promise<string[]> {
  const failed: string[] = [];
  // One for all who take from it.
  const left = scenes.values();
  const work = async (): Promise<void> => {
    for (const scene of left) {
      try {
        if (!(await makeScene(scene, force))) say(`${scene.name}: already made`);
        if (peers) keepPeerAnswers(scene);
      } catch (error) {
        if (!(error instanceof LabError)) throw error;
        say(`${scene.name}: failed: ${error.message}`);
        failed.push(scene.name);
      }
    }
  };
  await Promise.all(Array.from({ length: AT_A_TIME }, work));
  return failed;
}

function line(scene: Scene): string {
  const words = [
    `kernel ${scene.kernel}`,
    `QEMU ${scene.qemu}`,
    scene.ending,
    scene.vmcoreinfo ? 'vmcoreinfo' : 'no vmcoreinfo',
    scene.kaslr ? 'KASLR' : 'nokaslr',
    ...(scene.firmware === 'ovmf' ? ['OVMF'] : []),
    `${scene.megabytes} MiB`,
    ...scene.commandLine,
  ];
  return `${scene.name.padEnd(24)}${words.join(', ')}`;
}

process.exitCode = await main();
