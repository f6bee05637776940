/** Cores of QEMU processes: which QEMU, machine, memory and way of making them. Every pair of values that matters is in one. */

import type { KernelName } from './kernels.js';
import type { QemuName } from './scenes.js';

/**
 * Where QEMU has the guest's memory.
 * - `default`: anonymous memory.
 * - `memfd`: a shared memory file without a name.
 * - `file`: a shared file, which is kept as `memory`: it is not in the core.
 * - `nodump`: left out of cores (`dump-guest-core=off`).
 * - `numa`: two nodes with a backend each.
 * - `dimm`: more memory plugged in while the guest runs.
 */
export type Backend = 'default' | 'memfd' | 'file' | 'nodump' | 'numa' | 'dimm';

export interface Core {
  readonly name: string;
  readonly qemu: QemuName;
  readonly machine: 'pc' | 'q35' | 'microvm';
  readonly kernel: KernelName;
  readonly megabytes: number;
  readonly cpus: number;
  readonly ending: 'panic' | 'idle';
  readonly backend: Backend;
  /** The kernel, when QEMU is aborted; or gdb's gcore. */
  readonly by: 'kernel' | 'gcore';
}

/** The size of the module that `dimm` plugs in. */
export const DIMM_MEGABYTES = 256;

export const CORES: readonly Core[] = [
  {
    name: 'core-7.2-pc',
    qemu: '7.2',
    machine: 'pc',
    kernel: '6.1',
    megabytes: 512,
    cpus: 2,
    ending: 'panic',
    backend: 'default',
    by: 'kernel',
  },
  {
    name: 'core-11.1-q35',
    qemu: '11.1',
    machine: 'q35',
    kernel: '7.2',
    megabytes: 5120,
    cpus: 2,
    ending: 'idle',
    backend: 'default',
    by: 'kernel',
  },
  {
    name: 'core-11.1-microvm',
    qemu: '11.1',
    machine: 'microvm',
    kernel: '6.1',
    megabytes: 512,
    cpus: 1,
    ending: 'panic',
    backend: 'memfd',
    by: 'gcore',
  },
  {
    name: 'core-7.2-q35-numa',
    qemu: '7.2',
    machine: 'q35',
    kernel: '7.2',
    megabytes: 5120,
    cpus: 2,
    ending: 'panic',
    backend: 'numa',
    by: 'kernel',
  },
  {
    name: 'core-11.1-pc-dimm',
    qemu: '11.1',
    machine: 'pc',
    kernel: '6.1',
    megabytes: 512,
    cpus: 2,
    ending: 'idle',
    backend: 'dimm',
    by: 'kernel',
  },
  {
    name: 'core-7.2-microvm-file',
    qemu: '7.2',
    machine: 'microvm',
    kernel: '7.2',
    megabytes: 512,
    cpus: 1,
    ending: 'idle',
    backend: 'file',
    by: 'kernel',
  },
  {
    name: 'core-11.1-q35-nodump',
    qemu: '11.1',
    machine: 'q35',
    kernel: '6.1',
    megabytes: 512,
    cpus: 2,
    ending: 'panic',
    backend: 'nodump',
    by: 'gcore',
  },
];
