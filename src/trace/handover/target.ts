import type { FtraceTarget } from '../../handover/ftrace/check.js';
import type { KernelView } from '../../kernel/kernel-view.js';
import { readKernelFormats } from '../formats/kernel-formats.js';
import { shapeOf } from './handover-trace.js';

/** `__TRACE_LAST_TYPE`; undefined where the kernel's types don't tell. */
export function firstDynamicEvent({ types }: KernelView): number | undefined {
  const last = types.enumeration('trace_type')?.get('__TRACE_LAST_TYPE');
  return last === undefined ? undefined : Number(last);
}

/** What decides whether the kernel in a dump could take over a trace. Throws as `readKernelFormats`. */
export function ftraceTarget(view: KernelView): FtraceTarget {
  return {
    events: readKernelFormats(view).all.map(shapeOf),
    firstDynamic: firstDynamicEvent(view),
    cpus: view.cpuCount,
    descriptorSize: view.types.struct('buffer_page')?.size,
  };
}
