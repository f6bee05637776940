/** The kernels that guests run: Debian's own builds, taken apart and never installed. */

import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { download, packagesMatching } from './apt.js';
import { labDirectory, labPath } from './directories.js';
import { LabError, run, say } from './shell.js';

/**
 * By name, the packages that hold the kernel image; the group is the release. What they stand for:
 * 5.10 first with the printk ring buffer; 6.1 and 6.12 Debian's stable kernels; 6.18 base-relative kallsyms without
 * absolute per-CPU symbols; 7.2 place-relative kallsyms.
 */
const IMAGES = {
  '5.10': /^linux-image-(5\.10\.0-\d+-cloud-amd64)-unsigned$/,
  '6.1': /^linux-image-(6\.1\.0-\d+-cloud-amd64)-unsigned$/,
  '6.12': /^linux-image-(6\.12\.\d+\+deb13-cloud-amd64)-unsigned$/,
  '6.18': /^linux-image-(6\.18\.\d+\+deb13-cloud-amd64)(?:-unsigned)?$/,
  '7.2': /^linux-binary-(7\.2\.\d+\+deb14-cloud-amd64)$/,
} as const;

export type KernelName = keyof typeof IMAGES;

export const KERNELS = Object.keys(IMAGES) as readonly KernelName[];

export interface Kernel {
  readonly name: KernelName;
  readonly release: string;
  readonly image: string;
  /** The directory with `modules.dep`. */
  readonly modules: string;
}

/** Fetches a kernel and its modules, once. */
export function kernel(name: KernelName): Kernel {
  const directory = join(labDirectory, 'kernels', name);
  const releaseFile = join(directory, 'release');
  if (!existsSync(releaseFile)) unpack(name, directory);
  const release = readFileSync(releaseFile, 'utf8').trim();
  return { name, release, image: join(directory, 'vmlinuz'), modules: join(directory, 'modules') };
}

/** The kernel's vmlinux with debug information: for the peers, which need one; never for exhume. */
export function vmlinux(name: KernelName): string {
  const { release } = kernel(name);
  const directory = join(labDirectory, 'kernels', name);
  const path = join(directory, 'vmlinux');
  if (existsSync(path)) return path;
  const deb = download(`linux-image-${release}-dbg`);
  say(`unpacking vmlinux ${release}`);
  const scratch = labPath('kernels', name, 'debug');
  const wanted = ['--wildcards', '*/vmlinux-*', '*/vmlinux'];
  // A package has vmlinux in one of the two places, so tar always misses one of the patterns.
  run('sh', ['-c', 'dpkg-deb --fsys-tarfile "$1" | tar -x -C "$2" "$3" "$4" "$5"', 'sh', deb, scratch, ...wanted], {
    accept: [0, 2],
  });
  const found = run('find', [scratch, '-type', 'f', '-name', 'vmlinux*']).stdout.split('\n')[0];
  if (found === undefined || found === '') throw new LabError(`no vmlinux in ${deb}`);
  renameSync(found, path);
  rmSync(scratch, { recursive: true });
  return path;
}

function unpack(name: KernelName, directory: string): void {
  const { release, debs } = fetch(name);
  say(`unpacking kernel ${release}`);
  const root = join(directory, 'root');
  rmSync(directory, { recursive: true, force: true });
  mkdirSync(root, { recursive: true });
  for (const deb of debs) run('dpkg-deb', ['-x', deb, root]);
  // Newer packages use /usr/lib, which depmod finds only through /lib.
  if (!existsSync(join(root, 'lib'))) symlinkSync('usr/lib', join(root, 'lib'));
  run('depmod', ['-b', root, release]);
  const images = [join('boot', `vmlinuz-${release}`), join('lib/modules', release, 'vmlinuz')];
  const image = images.find((path) => existsSync(join(root, path)));
  if (image === undefined) throw new LabError(`no kernel image in ${debs.join(', ')}`);
  symlinkSync(join('root', image), join(directory, 'vmlinuz'));
  symlinkSync(join('root/lib/modules', release), join(directory, 'modules'));
  writeFileSync(join(directory, 'release'), `${release}\n`);
}

/** Downloads the newest package that the mirror really has: its index may name some that are gone. */
function fetch(name: KernelName): { release: string; debs: string[] } {
  const failures: string[] = [];
  for (const packageName of packagesMatching(IMAGES[name]).reverse()) {
    const release = IMAGES[name].exec(packageName)?.[1];
    if (release === undefined) continue;
    try {
      const debs = [download(packageName)];
      if (packageName.startsWith('linux-binary-')) {
        // modules.builtin is in the third.
        debs.push(download(`linux-modules-${release}`), download(`linux-base-${release}`));
      }
      return { release, debs };
    } catch (error) {
      if (!(error instanceof LabError)) throw error;
      failures.push(error.message);
    }
  }
  throw new LabError(`no package for kernel ${name} on the mirror\n${failures.join('\n')}`);
}
