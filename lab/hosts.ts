/** Hosts with guests inside: which kernels and machines, and how each guest ends before its host does. */

import type { KernelName } from './kernels.js';
import type { QemuName } from './scenes.js';

/** A guest of a guest. Its QEMU runs in the host that the lab boots, under that host's KVM. */
export interface InnerGuest {
  readonly name: string;
  readonly kernel: KernelName;
  readonly machine: 'pc' | 'microvm';
  readonly megabytes: number;
  readonly cpus: number;
  /** As in `lab/scenes.ts`. */
  readonly ending: 'panic' | 'hung' | 'idle';
  /** Its own `-device vmcoreinfo`, for its own QEMU's dump. */
  readonly vmcoreinfo: boolean;
  /** What it does after its own QEMU dumped it, until the host dies: nothing more, or go on. */
  readonly after: 'stopped' | 'running';
  /**
   * Its QEMU is told to stop it and asked for nothing, so that its registers there are of long ago; nor does it dump it.
   * When it panics it has its other CPUs save theirs. It is the first: whoever panicked and goes on keeps a CPU busy.
   */
  readonly unasked?: true;
  /** Some of its memory is swapped out, to disks of zram. It is a stopped one. */
  readonly swapped?: true;
  /** It is a host itself: its CPU is caught inside that guest, which goes on. */
  readonly inside?: InnerGuest;
}

export interface Host {
  readonly name: string;
  readonly kernel: KernelName;
  /** What the host runs on. */
  readonly qemu: QemuName;
  /** What its guests run on; undefined: QEMU 7.2. */
  readonly inner?: '11.1';
  readonly megabytes: number;
  readonly cpus: number;
  readonly guests: readonly InnerGuest[];
  /** The name of a guest that spins: before the host dies it is dumped from outside, while a CPU of it is in that guest. */
  readonly caughtIn?: string;
  /** Its dump is kept as an ELF file, and in no other form. */
  readonly elfOnly?: true;
}

export const HOSTS: readonly Host[] = [
  {
    name: 'host-6.1',
    kernel: '6.1',
    qemu: '7.2',
    megabytes: 1024,
    cpus: 2,
    caughtIn: 'beta',
    guests: [
      {
        name: 'alpha',
        kernel: '6.1',
        machine: 'microvm',
        megabytes: 128,
        cpus: 2,
        ending: 'panic',
        vmcoreinfo: true,
        after: 'stopped',
      },
      {
        name: 'beta',
        kernel: '7.2',
        machine: 'pc',
        megabytes: 192,
        cpus: 1,
        ending: 'hung',
        vmcoreinfo: true,
        after: 'running',
      },
    ],
  },
  {
    name: 'host-7.2',
    kernel: '7.2',
    qemu: '11.1',
    megabytes: 1024,
    cpus: 2,
    guests: [
      {
        name: 'epsilon',
        kernel: '6.1',
        machine: 'microvm',
        megabytes: 96,
        cpus: 2,
        ending: 'panic',
        vmcoreinfo: false,
        after: 'stopped',
        unasked: true,
      },
      {
        name: 'gamma',
        kernel: '7.2',
        machine: 'pc',
        megabytes: 144,
        cpus: 1,
        ending: 'idle',
        vmcoreinfo: false,
        after: 'stopped',
      },
      {
        name: 'delta',
        kernel: '6.1',
        machine: 'microvm',
        megabytes: 160,
        cpus: 2,
        ending: 'panic',
        vmcoreinfo: true,
        after: 'running',
      },
    ],
  },
  {
    name: 'host-swap',
    kernel: '7.2',
    qemu: '11.1',
    inner: '11.1',
    megabytes: 640,
    cpus: 2,
    guests: [
      {
        name: 'zeta',
        kernel: '7.2',
        machine: 'pc',
        megabytes: 96,
        cpus: 1,
        ending: 'idle',
        vmcoreinfo: true,
        after: 'stopped',
        swapped: true,
      },
    ],
    elfOnly: true,
  },
];

/** Made only when it is named, as it takes minutes: a host whose guest was inside a guest of its own when all stopped. */
export const NESTED_HOST: Host & { readonly guests: readonly [InnerGuest & { readonly inside: InnerGuest }] } = {
  name: 'host-nested',
  kernel: '6.1',
  qemu: '7.2',
  megabytes: 1024,
  cpus: 2,
  elfOnly: true,
  guests: [
    {
      name: 'outer',
      kernel: '6.1',
      machine: 'microvm',
      megabytes: 400,
      cpus: 1,
      ending: 'hung',
      vmcoreinfo: false,
      after: 'stopped',
      inside: {
        name: 'inner',
        kernel: '6.1',
        machine: 'microvm',
        megabytes: 80,
        cpus: 1,
        ending: 'hung',
        vmcoreinfo: false,
        after: 'running',
      },
    },
  ],
};

/** QEMU's own identifier of a guest: from its name, so that it can be told again. */
export function uuidOf(guest: InnerGuest): string {
  const digits = Buffer.from(guest.name).toString('hex').padEnd(12, '0').slice(0, 12);
  return `e4a3c0de-0000-4000-8000-${digits}`;
}
