/** The guest's whole user space: busybox, the modules that it needs, and a script. */

import { readFileSync, realpathSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { type ArchiveEntry, archive, CHARACTER_DEVICE, DIRECTORY, EXECUTABLE, SYMLINK } from './cpio.js';
import type { Kernel } from './kernels.js';
import { LabError, run } from './shell.js';

export interface Initramfs {
  /** Whose modules; undefined: one that needs none. */
  readonly kernel: Kernel | undefined;
  /** Module names; what they depend on comes along. */
  readonly modules: readonly string[];
  /** Modules that are not Debian's, by file name; inserted last. */
  readonly ownModules?: ReadonlyMap<string, Uint8Array>;
  /** What the guest does, in busybox's sh, after the file systems are mounted and the modules inserted. */
  readonly script: string;
  /** Programs to take along, with their libraries. */
  readonly programs?: readonly string[];
  /** The root of the system that they are of, where that is not this machine's. */
  readonly programsRoot?: string | undefined;
  readonly files?: ReadonlyMap<string, Uint8Array>;
  /** Leave it as it is: a guest in software emulation takes longer to inflate much than to read it. */
  readonly plain?: boolean;
}

export function buildInitramfs(initramfs: Initramfs): Uint8Array {
  const own = [...(initramfs.ownModules ?? [])].map(([file, data]) => ({ file, data }));
  const needed = initramfs.kernel === undefined ? [] : moduleFiles(initramfs.kernel, initramfs.modules);
  const modules = [...needed, ...own];
  const entries: ArchiveEntry[] = [
    ...['bin', 'dev', 'proc', 'sys', 'tmp', 'modules'].map((path) => ({ path, mode: DIRECTORY })),
    // The kernel opens this for init before anything is mounted.
    { path: 'dev/console', mode: CHARACTER_DEVICE, device: [5, 1] },
    { path: 'bin/busybox', mode: EXECUTABLE, data: readFileSync(busybox()) },
    { path: 'bin/sh', mode: SYMLINK, data: Buffer.from('busybox') },
    { path: 'init', mode: EXECUTABLE, data: Buffer.from(init(modules, initramfs.script)) },
    ...modules.map(({ file, data }) => ({ path: `modules/${file}`, mode: EXECUTABLE, data })),
    ...withParents([...programFiles(initramfs.programs ?? [], initramfs.programsRoot), ...(initramfs.files ?? [])]),
  ];
  const whole = archive(entries);
  return initramfs.plain ? whole : gzipSync(whole, { level: 1 });
}

/** Programs with their libraries, and files, for a guest to unpack when it has booted. */
export function buildLuggage(programs: readonly string[], files: ReadonlyMap<string, Uint8Array>): Uint8Array {
  return archive(withParents([...programFiles(programs), ...files]));
}

function busybox(): string {
  const path = run('dpkg', ['-L', 'busybox-static'])
    .stdout.split('\n')
    .find((line) => line.endsWith('bin/busybox'));
  if (path === undefined) throw new LabError('busybox-static is not installed');
  return path;
}

function init(modules: readonly Module[], script: string): string {
  return `#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin:/usr/bin:/usr/sbin:/sbin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
exec </dev/console >/dev/console 2>&1
${modules.map(({ file }) => `insmod /modules/${file} || echo "@@ failed: insmod ${file}"`).join('\n')}
rm -rf /modules
${script}
echo "@@ failed: the script came to its end"
while :; do sleep 1000; done
`;
}

interface Module {
  readonly file: string;
  readonly data: Uint8Array;
}

/** A module that depends on no other. */
export function moduleFile(kernel: Kernel, name: string): Uint8Array {
  const [first, ...others] = moduleFiles(kernel, [name]);
  if (first === undefined || others.length > 0) throw new LabError(`${name} is built in, or depends on others`);
  return first.data;
}

/** The modules and what they depend on, in the order in which they can be inserted. Built-in ones are left out. */
function moduleFiles(kernel: Kernel, wanted: readonly string[]): Module[] {
  const dependencies = new Map<string, readonly string[]>();
  for (const line of readFileSync(join(kernel.modules, 'modules.dep'), 'utf8').split('\n')) {
    const [path, rest] = line.split(':');
    if (path !== undefined && rest !== undefined) dependencies.set(path, rest.trim().split(/\s+/).filter(Boolean));
  }
  const builtIn = new Set(readFileSync(join(kernel.modules, 'modules.builtin'), 'utf8').split('\n').map(moduleName));
  const ordered = new Set<string>();
  for (const name of wanted) {
    if (builtIn.has(name)) continue;
    const path = [...dependencies.keys()].find((candidate) => moduleName(candidate) === name);
    if (path === undefined) throw new LabError(`kernel ${kernel.release} has no module ${name}`);
    // modules.dep lists dependencies with the deepest last.
    for (const dependency of [...(dependencies.get(path) ?? [])].reverse()) ordered.add(dependency);
    ordered.add(path);
  }
  return [...ordered].map((path) => readModule(join(kernel.modules, path)));
}

function moduleName(path: string): string {
  return basename(path)
    .replace(/\.ko(\.\w+)?$/, '')
    .replaceAll('-', '_');
}

function readModule(path: string): Module {
  if (!path.endsWith('.xz')) return { file: basename(path), data: readFileSync(path) };
  const plain = run('sh', ['-c', 'xz -dc "$1" | base64 -w0', 'sh', path]).stdout;
  return { file: basename(path, '.xz'), data: Buffer.from(plain, 'base64') };
}

/** Programs with the shared libraries that the loader would give them. */
function programFiles(programs: readonly string[], root?: string): [string, Uint8Array][] {
  const files = new Map<string, Uint8Array>();
  for (const program of programs) {
    files.set(program, readFileSync(`${root ?? ''}${program}`));
    const { stdout } = root === undefined ? run('ldd', [program]) : run('chroot', [root, 'ldd', program]);
    for (const match of stdout.matchAll(/(\/\S+) \(0x/g)) {
      const library = match[1];
      if (library !== undefined) files.set(library, readFileSync(inRoot(library, root)));
    }
  }
  return [...files];
}

/** A file of another system, whose links are meant from its own root. */
function inRoot(path: string, root?: string): string {
  return root === undefined ? realpathSync(path) : `${root}${run('chroot', [root, 'realpath', path]).stdout.trim()}`;
}

function withParents(files: readonly (readonly [string, Uint8Array])[]): ArchiveEntry[] {
  const directories = new Set<string>();
  const entries: ArchiveEntry[] = [];
  for (const [path, data] of files) {
    const relative = path.replace(/^\//, '');
    const parents: string[] = [];
    for (let parent = dirname(relative); parent !== '.'; parent = dirname(parent)) parents.unshift(parent);
    for (const parent of parents) {
      if (directories.has(parent) || parent === 'bin') continue;
      directories.add(parent);
      entries.push({ path: parent, mode: DIRECTORY });
    }
    entries.push({ path: relative, mode: EXECUTABLE, data });
  }
  return entries;
}
