/** Debian's makedumpfile makes the compressed forms of a true /proc/vmcore: the dumps that most people have. */

import { spawnSync } from 'node:child_process';
import { closeSync, openSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type Command, inForky } from './chroot.js';
import { LabError, run } from './shell.js';
import { transcodeToSnappy } from './snappy.js';

/** bookworm's 1.7.2, or forky's 1.7.8. */
export type MakedumpfileName = 'bookworm' | 'forky';

interface Derivation {
  readonly files: readonly string[];
  readonly by: MakedumpfileName;
  readonly options: readonly string[];
  /** Flattened output goes to standard output. */
  readonly flattened?: boolean;
  /** makedumpfile was stopped on its way, and says so with its status. */
  readonly incomplete?: boolean;
}

/** `d31` leaves out everything that can be: zero, cache, user and free pages; `d0` nothing. */
export const DERIVATIONS: readonly Derivation[] = [
  { files: ['vmcore.d0.zlib'], by: 'bookworm', options: ['-c', '-d', '0'] },
  { files: ['vmcore.d1.lzo'], by: 'bookworm', options: ['-l', '-d', '1'] },
  { files: ['vmcore.d31.zlib'], by: 'bookworm', options: ['-c', '-d', '31'] },
  { files: ['vmcore.d31.lzo'], by: 'bookworm', options: ['-l', '-d', '31'] },
  { files: ['vmcore.d31.zstd'], by: 'forky', options: ['-z', '-d', '31'] },
  { files: ['vmcore.d31.plain'], by: 'bookworm', options: ['-d', '31'] },
  { files: ['vmcore.d31.elf'], by: 'bookworm', options: ['-E', '-d', '31'] },
  { files: ['vmcore.d31.flat'], by: 'bookworm', options: ['-F', '-c', '-d', '31'], flattened: true },
  { files: ['vmcore.d31.elf.flat'], by: 'forky', options: ['-F', '-E', '-d', '31'], flattened: true },
  {
    files: ['vmcore.d31.split1', 'vmcore.d31.split2', 'vmcore.d31.split3'],
    by: 'bookworm',
    // Blocks of 16 MiB: the default of 1 GiB would leave the second and third file empty.
    options: ['--split', '--splitblock-size', '16384', '-c', '-d', '31'],
  },
  // As when the disk was full.
  { files: ['vmcore.d31.short'], by: 'bookworm', options: ['-L', '8M', '-c', '-d', '31'], incomplete: true },
  { files: ['vmcore.d31.short.elf'], by: 'bookworm', options: ['-L', '40M', '-E', '-d', '31'], incomplete: true },
];

export const SNAPPY_FILE = 'vmcore.d31.snappy';

/** Makes them all beside the vmcore, and returns their names. */
export function derive(vmcore: string): string[] {
  const directory = dirname(vmcore);
  for (const derivation of DERIVATIONS) {
    const outputs = derivation.files.map((file) => join(directory, file));
    for (const output of outputs) rmSync(output, { force: true });
    if (derivation.flattened) flatten(derivation, vmcore, outputs);
    else convert(derivation, vmcore, outputs);
    run('chmod', ['644', ...outputs]);
  }
  transcodeToSnappy(join(directory, 'vmcore.d31.plain'), join(directory, SNAPPY_FILE));
  return [...DERIVATIONS.flatMap(({ files }) => files), SNAPPY_FILE];
}

/** How to call a makedumpfile on files of one directory. */
export function makedumpfileCommand(by: MakedumpfileName, directory: string, args: readonly string[]): Command {
  return by === 'forky' ? inForky([directory], 'makedumpfile', args) : { command: 'makedumpfile', args };
}

function convert(derivation: Derivation, vmcore: string, outputs: readonly string[]): void {
  const options = [...derivation.options, vmcore, ...outputs];
  const { command, args } = makedumpfileCommand(derivation.by, dirname(vmcore), options);
  run(command, args, { accept: derivation.incomplete ? [1, 0] : [0] });
}

function flatten(derivation: Derivation, vmcore: string, outputs: readonly string[]): void {
  const [output] = outputs;
  if (output === undefined) throw new LabError('a flattened dump is one file');
  const { command, args } = makedumpfileCommand(derivation.by, dirname(vmcore), [...derivation.options, vmcore]);
  const descriptor = openSync(output, 'w');
  try {
    const { status, stderr } = spawnSync(command, [...args], { stdio: ['ignore', descriptor, 'pipe'] });
    if (status !== 0)
      throw new LabError(`makedumpfile ${derivation.options.join(' ')}: ${stderr.toString().slice(-400)}`);
  } finally {
    closeSync(descriptor);
  }
}
