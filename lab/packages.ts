/** What the lab needs installed on the machine itself: Debian bookworm's QEMU 7.2 and the tools around it. */

import { codename } from './apt.js';
import { LabError, run, say } from './shell.js';

const PACKAGES = [
  'qemu-system-x86',
  'qemu-utils',
  'seabios',
  'ovmf',
  'busybox-static',
  'kexec-tools',
  'kmod',
  'xz-utils',
  'debootstrap',
  'makedumpfile',
  'crash',
  'gdb',
  'gcc-12',
  'libc6-dev',
  'make',
  'dkms',
  'time',
  'bzip2',
  'lz4',
  'lzop',
  'zstd',
  'trace-cmd',
  'protobuf-compiler',
  'device-tree-compiler',
];

// biome-ignore lint/suspicious/noTemplateCurlyInString: the placeholders are dpkg-query's
const FORMAT = '${Package} ${Status}\n';

/** Installs what is missing of them, and of what else is named. */
export function installPackages(...more: readonly string[]): void {
  if (codename() !== 'bookworm') {
    throw new LabError(`this machine runs ${codename()}; the lab needs Debian bookworm, whose QEMU is 7.2`);
  }
  const wanted = [...PACKAGES, ...more];
  const query = run('dpkg-query', ['-W', '-f', FORMAT, ...wanted], { accept: [0, 1] });
  const missing = wanted.filter((name) => !query.stdout.includes(`${name} install ok installed`));
  if (missing.length === 0) return;
  if (process.getuid?.() !== 0) throw new LabError(`not installed: ${missing.join(' ')}; run the lab as root`);
  say(`installing ${missing.join(' ')}`);
  const env = { DEBIAN_FRONTEND: 'noninteractive' };
  run('apt-get', ['-q', 'update'], { env });
  run('apt-get', ['-q', 'install', '-y', '--no-install-recommends', ...missing], { env });
}
