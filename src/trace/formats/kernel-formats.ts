import { type Damage, damageOf, isExhumeError } from '../../bytes/errors.js';
import type { KernelView } from '../../kernel/kernel-view.js';
import { listEntries } from '../../kernel/types/lists.js';
import type { Struct } from '../../kernel/types/struct.js';
import type { EventFormat, TraceField, TraceFormats } from '../model.js';
import { type EvalMap, readEvalMaps, replaceConstants } from './eval-maps.js';
import { EventCalls, type EventMemory } from './event-calls.js';
import { FormatBudget } from './format-budget.js';
import { traceFormats, USUAL_COMMON_FIELDS } from './trace-formats.js';

/** Numbers of events have 16 bits (`TRACE_EVENT_TYPE_MAX`). */
const MOST_EVENTS = 1 << 16;

/**
 * Every kind of event that a kernel knew when it died, out of its list `ftrace_events`: its own, its modules' and those
 * made at run time. Names of constants in print formats are numbers there already, as the kernel replaces them when it boots;
 * of one that died before it had booted they are replaced here.
 *
 * An event that cannot be read is damage and the others stand. Throws EXH_NO_SYMBOL for a kernel without events,
 * EXH_NO_LAYOUT for one that does not tell its types.
 */
export function readKernelFormats(view: KernelView, damage: Damage[] = []): TraceFormats {
  const calls = new EventCalls(eventMemoryOf(view));
  const { memory, types } = view;
  const head = view.address('ftrace_events');
  const maps = constantsOf(view, calls, damage);
  const formats: EventFormat[] = [];
  const failed: unknown[] = [];
  const budget = new FormatBudget();
  try {
    for (const call of listEntries(memory, head, types.requireStruct('trace_event_call'), 'list')) {
      if (formats.length + failed.length >= MOST_EVENTS) break;
      const format = attempt(() => formatOf(calls, call, maps), failed);
      if (format === undefined) continue;
      budget.take(format);
      formats.push(format);
    }
  } catch (error) {
    damage.push(damageOf('event formats', error));
  }
  if (failed.length > 0) {
    const { code, message } = damageOf('event formats', failed[0]);
    damage.push({ code, part: 'event formats', message: `${failed.length} cannot be read, the first: ${message}` });
  }
  return traceFormats(commonFields(view, calls, damage), formats);
}

/** Undefined, and the error kept, for what cannot be read. */
function attempt<T>(read: () => T, failed: unknown[]): T | undefined {
  try {
    return read();
  } catch (error) {
    if (!isExhumeError(error)) throw error;
    failed.push(error);
    return undefined;
  }
}

function formatOf(calls: EventCalls, call: Struct, maps: ReadonlyMap<bigint, EvalMap>): EventFormat {
  const system = calls.system(call);
  const dynamic = calls.dynamic(call, system);
  const module = calls.module(call, dynamic);
  const probed = dynamic === 'eprobe' ? calls.probed(call) : undefined;
  return {
    id: call.int('event.type'),
    system,
    name: calls.name(call),
    fields: calls.fields(call),
    printFormat: printFormat(calls.strings.at(call.pointer('print_fmt')), maps.get(call.pointer('class->system'))),
    ...(module !== undefined && { module }),
    ...(dynamic !== undefined && { dynamic }),
    ...(probed !== undefined && { probed }),
  };
}

function printFormat(text: string, map: EvalMap | undefined): string {
  return map === undefined ? text : replaceConstants(text, map);
}

/** While it boots a kernel still has the maps of its image; then their memory is given back. */
function constantsOf(view: KernelView, calls: EventCalls, damage: Damage[]): ReadonlyMap<bigint, EvalMap> {
  const { memory, types, kernel } = view;
  try {
    const state = kernel.symbols.address('system_state');
    const freeing = types.enumerator('SYSTEM_FREEING_INITMEM') ?? types.enumerator('SYSTEM_RUNNING');
    if (state === undefined || freeing === undefined || BigInt(memory.u32(state)) >= freeing) return new Map();
    return readEvalMaps({ memory, types, symbols: kernel.symbols }, calls.strings);
  } catch (error) {
    damage.push(damageOf('constants of event formats', error));
    return new Map();
  }
}

function eventMemoryOf({ memory, types, kernel }: KernelView): EventMemory {
  return { memory, types, functionAt: (address) => kernel.symbols.at(address)?.symbol.name };
}

/** `ftrace_common_fields`; a kernel that died before it had filled the list has the usual ones. */
function commonFields(view: KernelView, calls: EventCalls, damage: Damage[]): readonly TraceField[] {
  const head = view.kernel.symbols.address('ftrace_common_fields');
  if (head === undefined) return USUAL_COMMON_FIELDS;
  try {
    const fields = calls.listed(head);
    return fields.length > 0 ? fields : USUAL_COMMON_FIELDS;
  } catch (error) {
    damage.push(damageOf('common fields of events', error));
    return USUAL_COMMON_FIELDS;
  }
}
