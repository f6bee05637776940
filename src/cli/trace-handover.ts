import type { PhysicalMemory } from '../dump/memory.js';
import type { Handover } from '../handover/model.js';
import { handoverTrace } from '../trace/handover/handover-trace.js';
import { reservedBuffers } from '../trace/handover/reserved-buffers.js';
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
