import type { Damage } from '../bytes/errors.js';
import { attempt } from '../kernel/collect.js';
import type { KernelView } from '../kernel/kernel-view.js';
import { readKernelFormats } from './formats/kernel-formats.js';
import { readKernelNames } from './formats/kernel-names.js';
import type { Trace, TraceFormats, TraceNames } from './model.js';
import { type KernelBuffer, readKernelBuffers } from './ring/kernel-buffers.js';
import { readTraceClocks } from './ring/trace-clocks.js';

/** The trace that a kernel was keeping. Its buffers are read at once, what its events are called when that is asked for. */
export interface KernelTrace extends Trace {
  readonly buffers: readonly KernelBuffer[];
}

/** The trace in a kernel's memory. Throws EXH_NO_SYMBOL and EXH_NO_LAYOUT for a kernel without ftrace, or without types. */
export function openKernelTrace(view: KernelView): KernelTrace {
  const damage: Damage[] = [];
  let formats: TraceFormats | undefined;
  let names: TraceNames | undefined;
  return {
    source: 'ring buffers in the kernel’s memory',
    release: view.kernel.release,
    littleEndian: view.memory.littleEndian,
    longSize: 8,
    onlineCpus: attempt(damage, 'CPUs', () => view.cpus().length),
    get formats() {
      formats ??= readKernelFormats(view, damage);
      return formats;
    },
    get names() {
      names ??= readKernelNames(view, damage);
      return names;
    },
    buffers: readKernelBuffers(view, damage),
    clocks: readTraceClocks(view),
    damage,
  };
}
