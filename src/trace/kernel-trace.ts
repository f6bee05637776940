import type { Damage } from '../bytes/errors.js';
import { attempt } from '../kernel/collect.js';
import type { KernelView } from '../kernel/kernel-view.js';
import { readModuleDetails } from '../kernel/module-details.js';
import { readKernelFormats } from './formats/kernel-formats.js';
import { readKernelNames } from './formats/kernel-names.js';
import type { Trace, TraceClocks, TraceFormats, TraceNames } from './model.js';
import type { NamedKernel } from './open.js';
import { type KernelBuffer, readKernelBuffers } from './ring/kernel-buffers.js';
import { readTraceClocks } from './ring/trace-clocks.js';
import { optionNames } from './ring/tracer-state.js';

/** The trace that a kernel was keeping. Its buffers are read at once, all else when it is asked for. */
export interface KernelTrace extends Trace, NamedKernel {
  readonly buffers: readonly KernelBuffer[];
}

/** The trace in a kernel's memory. Throws EXH_NO_SYMBOL and EXH_NO_LAYOUT for a kernel without ftrace, or without types. */
export function openKernelTrace(view: KernelView): KernelTrace {
  const damage: Damage[] = [];
  let formats: TraceFormats | undefined;
  let names: TraceNames | undefined;
  let clocks: { readonly read: TraceClocks | undefined } | undefined;
  let modules: ReadonlyMap<string, bigint> | undefined;
  return {
    source: 'ring buffers in the kernel’s memory',
    release: view.kernel.release,
    littleEndian: view.memory.littleEndian,
    longSize: 8,
    onlineCpus: attempt(damage, 'CPUs', () => onlineCpus(view)),
    get formats() {
      formats ??= readKernelFormats(view, damage);
      return formats;
    },
    get names() {
      names ??= readKernelNames(view, damage);
      return names;
    },
    buffers: readKernelBuffers(view, damage),
    get clocks() {
      clocks ??= { read: readTraceClocks(view) };
      return clocks.read;
    },
    damage,
    symbolAddress: (name) => view.kernel.symbols.address(name),
    kaslrOffset: view.kernel.kaslrOffset,
    linearMap: view.kernel.directMap,
    optionNames: (flags) => optionNames(view, flags),
    moduleAddress: (name) => {
      modules ??= new Map(readModuleDetails(view, damage).map((module) => [module.name, module.base]));
      return modules.get(name);
    },
  };
}

/** A panic takes the CPUs that it stops off line: those that were on line are still in that state for `cpuhp` (kernel/cpu.c). */
function onlineCpus(view: KernelView): number {
  const online = view.types.enumerator('CPUHP_ONLINE');
  const masked = view.cpus().length;
  if (online === undefined || view.kernel.symbols.address('cpuhp_state') === undefined) return masked;
  const up = Array.from({ length: view.cpuCount }, (_, cpu) => view.perCpu('cpuhp_state', cpu)).filter(
    (state) => view.struct('cpuhp_cpu_state', state).int('state') === Number(online),
  );
  return Math.max(masked, up.length);
}
