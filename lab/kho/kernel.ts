/** A kernel that hands over: no distribution has one, so it is built, of Debian's source package. */

import { createHash } from 'node:crypto';
import { copyFileSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { download } from '../apt.js';
import { labDirectory, labPath } from '../directories.js';
import { installPackages } from '../packages.js';
import { LabError, run, say } from '../shell.js';

const SOURCE = 'linux-source-7.2';
const BUILD_PACKAGES = ['bc', 'bison', 'dwarves', 'flex', 'libelf-dev', 'libssl-dev'];
// From dist/lab/kho as from lab/kho.
const FRAGMENT = fileURLToPath(new URL('../../../lab/kho/kernel.config', import.meta.url));
/** Nothing of the machine goes into the kernel. */
const MAKE = ['-s', 'CC=gcc-12', 'HOSTCC=gcc-12', 'KBUILD_BUILD_USER=lab', 'KBUILD_BUILD_HOST=lab'];

export interface HandoverKernel {
  readonly release: string;
  readonly image: string;
  /** Tells builds apart. */
  readonly digest: string;
}

/** Builds the kernel, once for a version of the source and a fragment of its configuration. Ten minutes on two cores. */
export function handoverKernel(): HandoverKernel {
  const source = download(SOURCE);
  const fragment = readFileSync(FRAGMENT, 'utf8');
  const digest = createHash('sha256').update(basename(source)).update(fragment).digest('hex').slice(0, 16);
  const directory = join(labDirectory, 'kernels', `kho-${digest}`);
  if (!existsSync(directory)) build(source, fragment, directory);
  const release = readFileSync(join(directory, 'release'), 'utf8').trim();
  return { release, image: join(directory, 'vmlinuz'), digest };
}

function build(deb: string, fragment: string, directory: string): void {
  installPackages(...BUILD_PACKAGES);
  const scratch = labPath('scratch', `kho-kernel-${process.pid}`);
  say(`unpacking ${SOURCE}`);
  const unpack = 'dpkg-deb --fsys-tarfile "$1" | tar -xO "./usr/src/$2.tar.xz" | tar -xJ -C "$3"';
  run('sh', ['-c', unpack, 'sh', deb, SOURCE, scratch]);
  const tree = join(scratch, SOURCE);
  configure(tree, fragment);
  say('building a kernel that hands over');
  run('nice', ['-n', '10', 'make', ...MAKE, `-j${availableParallelism()}`, 'bzImage'], { cwd: tree });
  const making = `${directory}.making`;
  rmSync(making, { recursive: true, force: true });
  mkdirSync(making, { recursive: true });
  copyFileSync(join(tree, 'arch/x86/boot/bzImage'), join(making, 'vmlinuz'));
  copyFileSync(join(tree, '.config'), join(making, 'config'));
  copyFileSync(join(tree, 'include/config/kernel.release'), join(making, 'release'));
  renameSync(making, directory);
  rmSync(scratch, { recursive: true });
}

/** The smallest configuration with the fragment. Throws when the kernel does not take a line of it. */
function configure(tree: string, fragment: string): void {
  run('make', [...MAKE, 'tinyconfig'], { cwd: tree });
  const path = join(tree, '.config');
  writeFileSync(path, fragment, { flag: 'a' });
  run('make', [...MAKE, 'olddefconfig'], { cwd: tree });
  const taken = new Set(readFileSync(path, 'utf8').split('\n'));
  const refused = fragment.split('\n').filter((line) => line.startsWith('CONFIG_') && !taken.has(line));
  if (refused.length > 0) throw new LabError(`${SOURCE} does not take ${refused.join(', ')}`);
}
