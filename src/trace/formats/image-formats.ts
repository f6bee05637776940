import { virtualAddress } from '../../bytes/address.js';
import { ExhumeError } from '../../bytes/errors.js';
import type { Struct } from '../../kernel/types/struct.js';
import type { EventFormat, TraceFormats } from '../model.js';
import { readEvalMaps, replaceConstants } from './eval-maps.js';
import { EventCalls } from './event-calls.js';
import { FormatBudget } from './format-budget.js';
import type { KernelImage } from './kernel-image.js';
import { SyscallFormats } from './syscall-formats.js';
import { traceFormats, USUAL_COMMON_FIELDS } from './trace-formats.js';

/** Numbers of events have 16 bits (`TRACE_EVENT_TYPE_MAX`). */
const MOST_EVENTS = 1 << 16;

/**
 * The events that are built into a kernel, out of its image, with the numbers that they get when it boots: those of
 * `enum trace_type` have theirs; the others are numbered from `__TRACE_LAST_TYPE` on in the order of the section
 * `_ftrace_events` (event_trace_enable(), kernel/trace/trace_events.c), before anything else can be. Events of modules and
 * those made at run time come after them, and are not there.
 *
 * Throws EXH_NO_SYMBOL for a kernel without events, EXH_NO_LAYOUT, EXH_BAD_STRUCTURE.
 */
export function readImageFormats(image: KernelImage): TraceFormats {
  const { memory, symbols, types } = image;
  const functionAt = (address: bigint): string | undefined => symbols.at(address)?.symbol.name;
  const calls = new EventCalls({ memory, types, functionAt });
  const start = symbols.address('__start_ftrace_events');
  const stop = symbols.address('__stop_ftrace_events');
  if (start === undefined || stop === undefined) {
    throw new ExhumeError('EXH_NO_SYMBOL', 'this kernel has no events: it is built without tracing', {
      expected: '__start_ftrace_events',
    });
  }
  const maps = readEvalMaps(image, calls.strings);
  const syscalls = new SyscallFormats(image, calls.strings);
  const formats: EventFormat[] = [];
  const budget = new FormatBudget();
  let next = firstNumber(image);
  for (let at: bigint = start, left = MOST_EVENTS; at + 8n <= stop && left > 0; at += 8n, left--) {
    const call = calls.call(memory.pointer(at));
    const initializer = call.pointer('class->raw_init');
    const isSyscall = initializer !== 0n && functionAt(initializer)?.startsWith('init_syscall_trace') === true;
    if (isSyscall && !syscalls.has(call)) continue;
    const own = call.int('event.type');
    const id = own === 0 && initializer !== 0n ? next++ : own;
    const format = { id, system: calls.system(call), name: calls.name(call), ...contents(call, isSyscall) };
    budget.take(format);
    formats.push(format);
  }
  return traceFormats(USUAL_COMMON_FIELDS, formats);

  function contents(call: Struct, isSyscall: boolean): Pick<EventFormat, 'fields' | 'printFormat'> {
    const declared = calls.declared(call);
    if (isSyscall) {
      const { fields, printFormat } = syscalls.format(call);
      return { fields: [...declared, ...fields], printFormat };
    }
    const text = calls.strings.at(call.pointer('print_fmt'));
    const map = maps.get(call.pointer('class->system'));
    return { fields: declared, printFormat: map === undefined ? text : replaceConstants(text, map) };
  }
}

/** Older kernels have a variable with the number of the next event; then it is the first that `enum trace_type` leaves. */
function firstNumber({ memory, symbols, types }: KernelImage): number {
  const variable = symbols.address('next_event_type');
  if (variable !== undefined) return memory.u32(virtualAddress(variable));
  const last = types.enumeration('trace_type')?.get('__TRACE_LAST_TYPE');
  if (last !== undefined) return Number(last);
  throw new ExhumeError('EXH_NO_LAYOUT', "this kernel's type information has no enum trace_type", {
    expected: '__TRACE_LAST_TYPE',
  });
}
