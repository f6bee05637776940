/** Guests whose kernels trace: which kernel, and what becomes of it. What they trace is in `lab/trace-script.ts`. */

import type { KernelName } from './kernels.js';
import type { QemuName } from './scenes.js';

/**
 * How the trace is come by.
 * - `off`: tracing is switched off, the guest writes its trace down, and is dumped as it waits.
 * - `on`: the guest panics while it traces, and prints its trace to the console.
 * - `boots`: it traces into memory that survives a reset, panics, is dumped, and shows the trace when it has booted again.
 */
export type TraceEnding = 'off' | 'on' | 'boots';

export interface TraceScene {
  readonly name: string;
  readonly kernel: KernelName;
  readonly qemu: QemuName;
  readonly ending: TraceEnding;
  readonly megabytes: number;
  readonly cpus: number;
  /** The processor has random numbers, so that the kernel can hash the pointers that it prints. */
  readonly random: boolean;
}

function scene(name: string, kernel: KernelName, qemu: QemuName, ending: TraceEnding): TraceScene {
  return { name, kernel, qemu, ending, megabytes: 512, cpus: 2, random: name !== 'trace-7.2' };
}

export const TRACES: readonly TraceScene[] = [
  scene('trace-6.1', '6.1', '7.2', 'off'),
  scene('trace-7.2', '7.2', '11.1', 'off'),
  scene('trace-on-6.1', '6.1', '7.2', 'on'),
  scene('trace-on-7.2', '7.2', '11.1', 'on'),
  scene('trace-boots-6.12', '6.12', '11.1', 'boots'),
  scene('trace-boots-7.2', '7.2', '11.1', 'boots'),
];
