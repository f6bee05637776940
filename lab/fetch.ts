/** What scenes, and the tests on them, need from elsewhere. */

import { installForky } from './chroot.js';
import { crashModule, pstoreDriver, secretsProgram, userProgram } from './guest.js';
import { KERNELS, kernel, vmlinux } from './kernels.js';
import { memoryProgram } from './memory.js';
import { installPackages } from './packages.js';
import { LabError, say } from './shell.js';

/** Programs of this machine, and Debian forky. */
export function install(): void {
  installPackages();
  installForky();
}

/**
 * Fetches and builds all of it, once. Who makes two scenes at once, or runs two tests at once, then finds it made: they
 * would make it over each other.
 * @param peers with the kernels' debug information, for peers
 */
export function fetchAll(peers: boolean): void {
  install();
  const both = ['6.1', '7.2'] as const;
  const all = [
    ...KERNELS.map((name) => () => kernel(name)),
    ...both.flatMap((name) => [() => crashModule(name), () => pstoreDriver(name)]),
    ...[userProgram, secretsProgram, memoryProgram],
    ...(peers ? both.map((name) => () => vmlinux(name)) : []),
  ];
  for (const fetch of all) {
    try {
      fetch();
    } catch (error) {
      // Some scenes do without.
      if (!(error instanceof LabError)) throw error;
      say(error.message);
    }
  }
}
