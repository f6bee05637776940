import type { EventFormat, TraceEvent, TraceField } from '../model.js';
import { fieldReader, fieldType, readInteger } from '../print/fields.js';
import { isPrintable, printableText } from '../print/text-bytes.js';
import type { BodyContext, EventBody } from './kinds.js';

/** Of x86-64: modules lie behind the kernel image's GiB (`MODULES_VADDR`). */
const LOWEST_MODULE = 0xffffffffc0000000n;

/** How one field is shown. */
type ShowField = (event: TraceEvent) => string;

/** Offsets from `_stext`, of the preemption tracer. */
const FROM_TEXT = new Set(['caller_offs', 'parent_offs']);

/**
 * The body that the trace option `fields` gives an event: `sched_switch: prev_comm=sh prev_pid=0x1 (1)…`
 * (`print_event_fields` of kernel/trace/trace_output.c). Kernels before 6.4 have no such option; the text is the same.
 */
export function allFields(format: EventFormat, context: BodyContext): EventBody {
  const shows = format.fields.map((field) => ({ field, show: showField(format, field, context) }));
  if (shows.length === 0) return () => `${format.name}:No fields found\n`;
  return (event) => {
    let line = `${format.name}:`;
    for (const { field, show } of shows) {
      line += ` ${field.name}=${field.offset + field.size > event.length ? '<OVERFLOW>' : show(event)}`;
    }
    return `${line}\n`;
  };
}

function showField(format: EventFormat, field: TraceField, context: BodyContext): ShowField {
  const { trace, symbols } = context;
  const { array, dynamic, element } = fieldType(field);
  const reader = fieldReader(field, trace.littleEndian, trace.longSize);
  const { bytes } = reader;
  if (dynamic !== undefined && /char/.test(element)) return (event) => printable(bytes(event));
  if (dynamic !== undefined && /cpumask_t/.test(element)) return () => '<INVALID-TYPE>';
  if (dynamic !== undefined) return (event) => Array.from(bytes(event), twoDigits).join(',');
  if (array && /char/.test(element)) return (event) => String(reader.read(event));
  if (field.type === 'char *' || field.type === 'const char *') return (event) => pointer(event, field, context);
  if (format.system === 'ftrace' && (field.name === 'ip' || field.name === 'parent_ip') && format.name === 'function') {
    return (event) => symbols.full.at(event.view, event.start + field.offset);
  }
  const value = (event: TraceEvent): bigint =>
    BigInt(readInteger(event.view, event.start + field.offset, field.size, false, trace.littleEndian));
  switch (field.size) {
    case 1:
      return (event) => {
        const byte = Number(value(event));
        return `${isPrintable(byte) ? `'${printableText(Uint8Array.of(byte))}'` : ''}(${byte})`;
      };
    case 2:
      return (event) => `0x${value(event).toString(16)} (${value(event)})`;
    case 4:
      return (event) => {
        const number = value(event);
        return `${offsetFromText(field, number, context)}0x${number.toString(16)} (${BigInt.asIntN(32, number)})`;
      };
    case 8:
      return (event) => {
        const recorded = value(event);
        const now = moved(recorded, context);
        const known = now === recorded || trace.names.symbol(recorded) !== undefined;
        const name = known ? symbols.full.at(event.view, event.start + field.offset) : `0x${now.toString(16)}`;
        return `${name} (${BigInt.asIntN(64, now)})`;
      };
    default:
      return () => '<INVALID-SIZE>';
  }
}

/**
 * What the kernel that was started next makes of a long: addresses of functions go where these are now, and what lies
 * behind the first module goes with it, whatever it is (`trace_adjust_address`).
 */
function moved(value: bigint, { moved: move, trace }: BodyContext): bigint {
  if (move === undefined) return value;
  return value >= LOWEST_MODULE || trace.names.symbol(value) !== undefined ? move(value) : value;
}

function offsetFromText({ name }: TraceField, offset: bigint, { trace }: BodyContext): string {
  if (!FROM_TEXT.has(name)) return '';
  for (const { name: symbol, address } of trace.names.symbols()) {
    if (symbol !== '_stext') continue;
    const hit = trace.names.symbol(address + offset);
    return hit ? `${hit.symbol.name}+0x${hit.offset.toString(16)}/0x${hit.size.toString(16)} ` : '';
  }
  return '';
}

function pointer(event: TraceEvent, { offset }: TraceField, { trace }: BodyContext): string {
  const { littleEndian, longSize } = trace;
  const at = event.start + offset;
  const address =
    longSize === 8 ? event.view.getBigUint64(at, littleEndian) : BigInt(event.view.getUint32(at, littleEndian));
  const text = trace.names.string(address);
  return `(0x${address.toString(16)}${text === undefined ? '' : `:${text}`})`;
}

function printable(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  const isText = bytes.every((byte) => byte === 0 || isPrintable(byte));
  if (isText) return printableText(bytes.subarray(0, end < 0 ? bytes.length : end));
  return `${printableText(bytes)} (${Array.from(bytes, twoDigits).join(':')})`;
}

function twoDigits(byte: number): string {
  return byte.toString(16).padStart(2, '0');
}
