import { fileURLToPath } from 'node:url';
import type { Container } from '../dump/container.js';
import { openDumpFiles } from '../dump/node.js';
import type { Kernel } from '../kernel/kernel.js';
import { type KernelSearch, openKernels, selectKernel } from '../kernel/open.js';
import type { Machine } from '../machine/machine.js';
import { openMachine } from '../machine/open.js';

/** The real dump in the repository: a guest of Linux 7.2 with 96 MiB and two CPUs, panicked by sysrq, dumped by QEMU 11.1. */
export const SAMPLE_PATH = fileURLToPath(new URL('../../../samples/linux-7.2-panic.kdump', import.meta.url));

export interface Sample {
  readonly container: Container;
  readonly machine: Machine;
  readonly search: KernelSearch;
  readonly kernel: Kernel;
}

let opened: Sample | undefined;

/** The sample, opened once per test process. */
export function openSample(): Sample {
  if (opened === undefined) {
    const container = openDumpFiles([SAMPLE_PATH]);
    const machine = openMachine(container);
    const search = openKernels(machine);
    opened = { container, machine, search, kernel: selectKernel(search) };
  }
  return opened;
}
