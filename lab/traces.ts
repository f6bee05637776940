/** Guests whose kernels trace: which kernel, and what becomes of it. What they trace is in `lab/trace-script.ts`. */

import type { KernelName } from './kernels.js';
import type { QemuName } from './scenes.js';

export interface TraceScene {
  readonly name: string;
  readonly kernel: KernelName;
  readonly qemu: QemuName;
  readonly megabytes: number;
  readonly cpus: number;
  /** The processor has random numbers, so that the kernel can hash the pointers that it prints. */
  readonly random: boolean;
}

function scene(name: string, kernel: KernelName, qemu: QemuName): TraceScene {
  return { name, kernel, qemu, megabytes: 512, cpus: 2, random: name !== 'trace-7.2' };
}

export const TRACES: readonly TraceScene[] = [scene('trace-6.1', '6.1', '7.2'), scene('trace-7.2', '7.2', '11.1')];
