import { fileURLToPath } from 'node:url';
import type { Container } from '../dump/container.js';
import { openDumpFiles } from '../dump/node.js';
import type { Kernel } from '../kernel/kernel.js';
import { type KernelSearch, openKernels, selectKernel } from '../kernel/open.js';
import type { Machine } from '../machine/machine.js';
import { openMachine } from '../machine/open.js';

/**
 * The real dump in the repository: a guest of Linux 7.2 with 96 MiB and two CPUs, panicked by sysrq, dumped by QEMU 11.1,
 * and converted: its header is right, and of the kernel's code only what `--keep kernel` keeps is there (lab/sample.ts).
 */
export const SAMPLE_PATH = fileURLToPath(new URL('../../../samples/linux-7.2-panic.kdump', import.meta.url));

export interface Sample {
  readonly container: Container;
  readonly machine: Machine;
  readonly search: KernelSearch;
  readonly kernel: Kernel;
}

/** A header that QEMU wrote, to a dump whose pages were taken away. */
const QEMU_PATH = fileURLToPath(new URL('../../../src/dump/fixtures/qemu.kdump', import.meta.url));

/** `phys_base` of the sample as QEMU has it: the decimal number, read as hexadecimal. */
export const MISREAD_PHYS_BASE = -0x958398464n;

/** The sample with what QEMU wrote in its header: no utsname, no time, a misread `phys_base`. */
export function sampleUnderQemuHeader(): Container {
  const { facts, structures } = openDumpFiles([QEMU_PATH]);
  return { ...openSample().container, facts, structures, claimedPhysBase: MISREAD_PHYS_BASE };
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
