/** Our own module and program for guests, from the C in `lab/guest`. */

import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { download } from './apt.js';
import { type Command, inForky, installForkyTools } from './chroot.js';
import { labDirectory, labPath } from './directories.js';
import { type KernelName, kernel } from './kernels.js';
import { LabError, run, say } from './shell.js';

// From dist/lab as from lab.
const SOURCES = fileURLToPath(new URL('../../lab/guest/', import.meta.url));
const MODULE = 'exhume_lab_crash';
const PROGRAM = 'exhume-lab-user';
const SECRETS = 'exhume-lab-secrets';

export const MODULE_FILE = `${MODULE}.ko`;

/** Who builds for a kernel: it takes the compiler that built it, in its release's Debian. */
const BUILDERS: Partial<Record<KernelName, 'bookworm' | 'forky'>> = { '6.1': 'bookworm', '7.2': 'forky' };

/** Changes when the sources of the module and of the program for all deaths do. */
export function sourcesDigest(): string {
  return digestOf(PROGRAM, MODULE);
}

/** Changes when the source of the program that leaves secrets does. */
export function secretsDigest(): string {
  return digestOf(SECRETS);
}

function digestOf(...names: readonly string[]): string {
  const hash = createHash('sha256');
  for (const name of names) hash.update(readFileSync(join(SOURCES, `${name}.c`)));
  return hash.digest('hex').slice(0, 16);
}

/** The module that a guest dies by, with its debug information. Built once from the same source. */
export function crashModule(name: KernelName): Uint8Array {
  const by = BUILDERS[name];
  if (by === undefined) throw new LabError(`the lab's module is built for ${Object.keys(BUILDERS).join(' and ')} only`);
  const built = join(labDirectory, 'kernels', name, `${MODULE}-${sourcesDigest()}.ko`);
  if (existsSync(built)) return readFileSync(built);
  const headers = kernelHeaders(name);
  say(`building ${MODULE} for ${name}`);
  const directory = labPath('scratch', `module-${name}`);
  writeFileSync(join(directory, `${MODULE}.c`), readFileSync(join(SOURCES, `${MODULE}.c`)));
  writeFileSync(join(directory, 'Makefile'), `obj-m := ${MODULE}.o\n`);
  const make: Command = { command: 'make', args: ['-s', '-C', headers, `M=${directory}`, 'modules'] };
  if (by === 'forky') installForkyTools();
  const { command, args } = by === 'forky' ? inForky([labPath('kernels'), directory], make.command, make.args) : make;
  run(command, args);
  renameSync(join(directory, MODULE_FILE), built);
  rmSync(directory, { recursive: true });
  return readFileSync(built);
}

/** The program that does in a guest what busybox cannot, statically linked. */
export function userProgram(): Uint8Array {
  return program(PROGRAM, sourcesDigest());
}

/** The program that leaves secrets in a guest, statically linked. */
export function secretsProgram(): Uint8Array {
  return program(SECRETS, secretsDigest());
}

function program(name: string, digest: string): Uint8Array {
  const built = join(labPath('guest'), `${name}-${digest}`);
  if (!existsSync(built)) {
    const made = `${built}.making`;
    run('gcc-12', ['-O1', '-static', '-pthread', '-o', made, join(SOURCES, `${name}.c`)]);
    renameSync(made, built);
  }
  return readFileSync(built);
}

/** The directory to build modules in: Debian's header packages, unpacked and never installed. */
function kernelHeaders(name: KernelName): string {
  const { release } = kernel(name);
  const root = join(labDirectory, 'kernels', name, 'headers');
  const directory = join(root, 'usr/src', `linux-headers-${release}`);
  if (existsSync(directory)) return directory;
  const making = `${root}.making`;
  rmSync(making, { recursive: true, force: true });
  mkdirSync(making, { recursive: true });
  const common = release.replace(/-cloud-amd64$/, '');
  // 6.1 names its tools after the series, later ones after the release.
  const tools = /^\d+\.\d+\.0-/.test(release) ? release.replace(/^(\d+\.\d+).*/, '$1') : common;
  for (const deb of [`linux-headers-${release}`, `linux-headers-${common}-common`, `linux-kbuild-${tools}`]) {
    run('dpkg-deb', ['-x', download(deb), making]);
  }
  const makefile = join(making, 'usr/src', `linux-headers-${release}`, 'Makefile');
  writeFileSync(makefile, readFileSync(makefile, 'utf8').replaceAll('/usr/src/', `${root}/usr/src/`));
  renameSync(making, root);
  return directory;
}
