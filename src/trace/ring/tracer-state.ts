import type { Damage } from '../../bytes/errors.js';
import { attempt } from '../../kernel/collect.js';
import type { KernelView } from '../../kernel/kernel-view.js';
import type { Struct } from '../../kernel/types/struct.js';
import type { TraceBuffer } from '../model.js';

/** No kernel has more options than bits for them, nor more clocks. */
const MOST_NAMES = 64;
/** `trace_clocks[]` (kernel/trace/trace.c): a function, a name, whether it counts nanoseconds. */
const CLOCK_BYTES = 24;
const NAME_BYTES = 64;

export type TracerState = Pick<TraceBuffer, 'tracer' | 'clock' | 'options'>;

/** What `current_tracer`, `trace_clock` and `trace_options` of an instance say; each may be unknown. */
export function readTracerState(view: KernelView, array: Struct, ring: Struct, damage: Damage[]): TracerState {
  return {
    tracer: attempt(damage, 'current_tracer', () => array.string('current_trace->name', NAME_BYTES)) ?? 'nop',
    clock: attempt(damage, 'trace_clock', () => clockOf(view, array, ring)) ?? 'local',
    options: attempt(damage, 'trace_options', () => optionsOf(view, array)),
  };
}

/** By the function that the ring buffer asks for the time; by the number that was chosen where that one isn't listed. */
function clockOf(view: KernelView, array: Struct, ring: Struct): string {
  const { memory } = view;
  const table = view.address('trace_clocks');
  const used = ring.pointer('clock');
  for (let index = 0; index < MOST_NAMES; index++) {
    const entry = table + BigInt(index * CLOCK_BYTES);
    const function_ = memory.pointer(entry);
    if (view.kernel.symbols.at(function_) === undefined) break;
    if (function_ === used) return memory.string(memory.pointer(entry + 8n), NAME_BYTES);
  }
  const chosen = table + BigInt(array.int('clock_id') * CLOCK_BYTES);
  return memory.string(memory.pointer(chosen + 8n), NAME_BYTES);
}

/** The set ones of `trace_options[]`, by their bits in `trace_flags`, and the tracer's own. */
function optionsOf(view: KernelView, array: Struct): ReadonlySet<string> {
  const options = optionNames(view, array.big('trace_flags'));
  // Each instance has its own since 6.19; before, all that use a tracer share its options.
  const own = array.follow(array.has('current_trace_flags') ? 'current_trace_flags' : 'current_trace->flags');
  if (own !== undefined) for (const name of tracerOptions(view, own)) options.add(name);
  return options;
}

/** What the bits of `trace_flags` are called: `trace_options[]`. */
export function optionNames(view: KernelView, flags: bigint): Set<string> {
  const { memory } = view;
  const table = view.address('trace_options');
  const options = new Set<string>();
  for (let bit = 0; bit < MOST_NAMES; bit++) {
    const name = memory.pointer(table + BigInt(bit * 8));
    if (name === 0n) break;
    if (((flags >> BigInt(bit)) & 1n) === 1n) options.add(memory.string(name, NAME_BYTES));
  }
  return options;
}

/** Of `struct tracer_flags`: options by a mask each, up to one without a name. */
function* tracerOptions(view: KernelView, flags: Struct): Generator<string> {
  const type = view.types.requireStruct('tracer_opt');
  const first = flags.pointer('opts');
  const value = flags.int('val');
  for (let index = 0; first !== 0n && index < MOST_NAMES; index++) {
    const option = view.struct('tracer_opt', first + BigInt(index * type.size));
    const name = option.string('name', NAME_BYTES);
    if (name === '') return;
    if ((value & option.int('bit')) !== 0) yield name;
  }
}
