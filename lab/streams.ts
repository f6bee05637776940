/** Migration streams of one guest: what each QEMU can write into a file. */

import type { KernelName } from './kernels.js';
import type { QemuName } from './scenes.js';

/**
 * - `stream`: as it is, of a guest that runs on meanwhile and writes memory, so that pages come more than once.
 * - `stopped`: of a stopped guest.
 * - `compress`: pages deflated by several threads.
 * - `mapped`: every page at its own place in the file (`mapped-ram`).
 * - `multifd`: the same, by several threads.
 */
export type StreamKind = 'stream' | 'stopped' | 'compress' | 'mapped' | 'multifd';

export interface Streams {
  readonly name: string;
  readonly qemu: QemuName;
  readonly machine: 'pc' | 'q35';
  readonly kernel: KernelName;
  readonly megabytes: number;
  readonly cpus: number;
  readonly kinds: readonly StreamKind[];
  /** Extended L2 entries in the image that has the snapshot. */
  readonly extendedL2: boolean;
  /** How libvirt's file has the stream: `compressed` in its header. */
  readonly libvirt: 'raw' | 'gzip';
}

export const STREAMS: readonly Streams[] = [
  {
    name: 'stream-7.2',
    qemu: '7.2',
    machine: 'pc',
    kernel: '6.1',
    megabytes: 256,
    cpus: 2,
    kinds: ['stream', 'stopped', 'compress'],
    extendedL2: false,
    libvirt: 'gzip',
  },
  {
    name: 'stream-11.1',
    qemu: '11.1',
    machine: 'q35',
    kernel: '7.2',
    megabytes: 256,
    cpus: 1,
    kinds: ['stream', 'stopped', 'mapped', 'multifd'],
    extendedL2: true,
    libvirt: 'raw',
  },
];
