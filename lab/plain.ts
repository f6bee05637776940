/** A guest that tells nothing about itself on a disk: it boots, has a few processes, and ends. */

import { buildInitramfs } from './initramfs.js';
import { type KernelName, kernel } from './kernels.js';
import { READY } from './markers.js';

export interface Plain {
  readonly kernel: KernelName;
  readonly cpus: number;
  /** As in `lab/scenes.ts`. */
  readonly ending: 'panic' | 'hung' | 'idle';
  /** The driver for `-device vmcoreinfo`. */
  readonly vmcoreinfo: boolean;
  /** What it does before, in busybox's sh. */
  readonly before?: string;
}

export const PLAIN_COMMAND_LINE = 'console=ttyS0 ignore_loglevel panic=0';

/** Its whole user space. `READY` is on the console before it ends. */
export function plainInitramfs(plain: Plain): Uint8Array {
  const modules = plain.vmcoreinfo ? ['qemu_fw_cfg'] : [];
  const script = `
sleep 100000 &
sh -c 'sleep 100001' &
${plain.before ?? ''}
echo "${READY}"
${ending(plain)}
`;
  return buildInitramfs({ kernel: kernel(plain.kernel), modules, script });
}

function ending(plain: Plain): string {
  switch (plain.ending) {
    case 'panic':
      return 'echo c > /proc/sysrq-trigger';
    case 'idle':
      return 'wait';
    case 'hung':
      return [...spinning(plain.cpus), 'wait'].join('\n');
  }
}

/** A process on each CPU that never leaves user mode. */
export function spinning(cpus: number): string[] {
  return Array.from({ length: cpus }, (_, cpu) => `taskset ${(1 << cpu).toString(16)} sh -c 'while :; do :; done' &`);
}
