/** Our own modules and programs for guests, from the C in `lab/guest` and `drivers`. */

import { createHash } from 'node:crypto';
import { copyFileSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { download } from './apt.js';
import { type Command, inForky, installForkyTools } from './chroot.js';
import { labDirectory, labPath } from './directories.js';
import { type KernelName, kernel } from './kernels.js';
import { LabError, run, say } from './shell.js';

// From dist/lab as from lab.
const SOURCES = fileURLToPath(new URL('../../lab/guest/', import.meta.url));
export const DRIVERS = fileURLToPath(new URL('../../drivers/', import.meta.url));
const MODULE = 'exhume_lab_crash';
const PROGRAM = 'exhume-lab-user';
/** Of all programs. */
const SHARED = 'exhume-lab.h';
const SECRETS = 'exhume-lab-secrets';
const TRACER = 'exhume-lab-trace';
const TRACED = 'exhume_lab_trace';
const HANDER = 'exhume-lab-kho';
const DRIVER = 'virtio_pstore';
const DRIVER_FILES = ['Kbuild', 'compat.h', `${DRIVER}.c`, `${DRIVER}.h`];
const VMCSINFO = 'vmcsinfo';
const VMCSINFO_FILES = ['Kbuild', `${VMCSINFO}.c`, 'fields.h'];

export const MODULE_FILE = `${MODULE}.ko`;
export const DRIVER_FILE = `${DRIVER}.ko`;
export const VMCSINFO_FILE = `${VMCSINFO}.ko`;

/** Who builds for a kernel: it takes the compiler that built it, in its release's Debian. */
const BUILDERS: Partial<Record<KernelName, 'bookworm' | 'forky'>> = { '6.1': 'bookworm', '7.2': 'forky' };

/** Changes when the sources of the module and of the program for all deaths do. */
export function sourcesDigest(): string {
  return digestOf(SHARED, `${PROGRAM}.c`, `${MODULE}.c`);
}

/** Changes when the source of the program that leaves secrets does. */
export function secretsDigest(): string {
  return digestOf(SHARED, `${SECRETS}.c`);
}

/** Changes when the source of the program of guests that hand over does. */
export function handoverDigest(): string {
  return digestOf(SHARED, `${HANDER}.c`);
}

/** Changes when the sources of the module and of the program of guests that trace do. */
export function traceDigest(): string {
  return digestOf(SHARED, `${TRACER}.c`, `${TRACED}.c`, `${TRACED}.h`);
}

function digestOf(...files: readonly string[]): string {
  const hash = createHash('sha256');
  for (const file of files) hash.update(readFileSync(join(SOURCES, file)));
  return hash.digest('hex').slice(0, 16);
}

/** The module that a guest dies by, with its debug information. Built once from the same source. */
export function crashModule(name: KernelName): Uint8Array {
  return buildOnce(name, MODULE, sourcesDigest(), (directory) => {
    writeFileSync(join(directory, `${MODULE}.c`), readFileSync(join(SOURCES, `${MODULE}.c`)));
    writeFileSync(join(directory, 'Makefile'), `obj-m := ${MODULE}.o\n`);
  });
}

/** The module with events of its own and all forms of `trace_printk`. */
export function traceModule(name: KernelName): Uint8Array {
  const files = [`${TRACED}.c`, `${TRACED}.h`];
  return buildOnce(name, TRACED, digestOf(...files), (directory) => {
    for (const file of files) copyFileSync(join(SOURCES, file), join(directory, file));
    writeFileSync(join(directory, 'Makefile'), `obj-m := ${TRACED}.o\nccflags-y := -I$(src)\n`);
  });
}

/** Our driver for virtio-pstore. */
export function pstoreDriver(name: KernelName): Uint8Array {
  return driver(name, 'virtio-pstore', DRIVER, DRIVER_FILES);
}

/** Our module that derives the layout of VMCSs. */
export function vmcsinfoDriver(name: KernelName): Uint8Array {
  return driver(name, 'vmcsinfo', VMCSINFO, VMCSINFO_FILES);
}

/** A module of `drivers/`. What the compiler says with all of the kernel's warnings fails the build. */
function driver(name: KernelName, directory: string, module: string, files: readonly string[]): Uint8Array {
  const sources = join(DRIVERS, directory);
  const hash = createHash('sha256');
  for (const file of files) hash.update(readFileSync(join(sources, file)));
  const write = (into: string): void => {
    for (const file of files) copyFileSync(join(sources, file), join(into, file));
  };
  return buildOnce(name, module, hash.digest('hex').slice(0, 16), write, ['W=1', 'KCFLAGS=-Werror']);
}

/** A module out of the sources that `write` puts into a directory. */
function buildOnce(
  name: KernelName,
  module: string,
  digest: string,
  write: (directory: string) => void,
  options: readonly string[] = [],
): Uint8Array {
  const built = join(labDirectory, 'kernels', name, `${module}-${digest}.ko`);
  if (existsSync(built)) return readFileSync(built);
  const headers = kernelHeaders(name);
  say(`building ${module} for ${name}`);
  const directory = labPath('scratch', `${module}-${name}-${process.pid}`);
  write(directory);
  const args = ['-s', '-C', headers, `M=${directory}`, ...options, 'modules'];
  const make = builderFor(name, directory, 'make', args);
  run(make.command, make.args);
  renameSync(join(directory, `${module}.ko`), built);
  rmSync(directory, { recursive: true });
  return readFileSync(built);
}

/** A command that builds for a kernel, and sees a directory of the machine. */
export function builderFor(name: KernelName, directory: string, command: string, args: readonly string[]): Command {
  const by = BUILDERS[name];
  if (by === undefined) {
    throw new LabError(`the lab's modules are built for ${Object.keys(BUILDERS).join(' and ')} only`);
  }
  if (by === 'bookworm') return { command, args };
  installForkyTools();
  return inForky([labPath('kernels'), directory], command, args);
}

/** The program that does in a guest what busybox cannot, statically linked. */
export function userProgram(): Uint8Array {
  return program(PROGRAM, sourcesDigest());
}

/** The program that leaves secrets in a guest, statically linked. */
export function secretsProgram(): Uint8Array {
  return program(SECRETS, secretsDigest());
}

/** The program of guests that trace, statically linked. */
export function traceProgram(): Uint8Array {
  return program(TRACER, traceDigest());
}

/** The program of guests that hand over by kexec, statically linked. */
export function handoverProgram(): Uint8Array {
  return program(HANDER, handoverDigest());
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
export function kernelHeaders(name: KernelName): string {
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
