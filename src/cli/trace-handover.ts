import { orUndefined } from '../bytes/errors.js';
import type { PhysicalMemory } from '../dump/memory.js';
import type { FtraceTarget } from '../handover/ftrace/check.js';
import type { Handover } from '../handover/model.js';
import type { Kernel } from '../kernel/kernel.js';
import { KernelView } from '../kernel/kernel-view.js';
import { handoverTrace } from '../trace/handover/handover-trace.js';
import { reservedBuffers } from '../trace/handover/reserved-buffers.js';
import { ftraceTarget } from '../trace/handover/target.js';
import type { Trace } from '../trace/model.js';
import { persistentTraceOf } from '../trace/open.js';

/**
 * The trace that handovers bring: ring buffers in a tree of the series of 2023/24, or persistent ring buffers in memory that
 * upstream preserves. Undefined: they bring none.
 */
export function traceOfHandovers(handovers: readonly Handover[], memory: PhysicalMemory): Trace | undefined {
  for (const handover of handovers) {
    const trace = handoverTrace(handover, memory);
    if (trace !== undefined) return trace;
  }
  const found = persistentTraceOf(reservedBuffers(handovers, memory));
  if (found.buffers.length === 0) return undefined;
  return { ...found, source: 'persistent ring buffers in a kexec handover' };
}

/** What decides whether a kernel could take over the trace in a handover; undefined: there is none, or it doesn't tell. */
export function targetOfTrace(handovers: readonly Handover[], kernel: Kernel | undefined): FtraceTarget | undefined {
  if (kernel === undefined || !handovers.some(({ series }) => series === '2023')) return undefined;
  return unlessUntold(() => ftraceTarget(new KernelView(kernel)));
}

/** Undefined for a kernel that doesn't tell its types, or is built without ftrace. */
export function unlessUntold<T>(step: () => T): T | undefined {
  return orUndefined(step, 'EXH_NO_LAYOUT', 'EXH_NO_SYMBOL');
}
