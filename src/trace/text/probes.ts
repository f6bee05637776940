import type { EventFormat, TraceEvent } from '../model.js';
import type { PrintProgram } from '../print/program.js';
import { type BodyContext, type EventBody, fieldsOf } from './kinds.js';

/** The front of the print formats that kernel/trace/trace_probe.c makes up (`__set_print_fmt`). */
const ENTRY = { front: '"(%lx)', argument: ', REC->__probe_ip' };
const RETURN = { front: '"(%lx <- %lx)', argument: ', REC->__probe_func, REC->__probe_ret_ip' };

/**
 * The body of an event of a kprobe, uprobe, fprobe or eprobe, which the kernel does not print by its print format:
 * addresses get names, and text that could not be read is `(fault)`. Undefined for all others.
 */
export function probe(format: EventFormat, context: BodyContext): EventBody | undefined {
  const { trace, symbols } = context;
  const { name, printFormat } = format;
  const fields = fieldsOf(format, trace);
  const ip = fields('__probe_ip');
  const called = fields('__probe_func');
  const returned = fields('__probe_ret_ip');
  if (format.probed !== undefined) {
    const args = argumentPrinter(format, '"', '', context);
    return (event) => `${name}: (${format.probed})${args(event)}\n`;
  }
  if (ip !== undefined && printFormat.startsWith(ENTRY.front)) {
    const args = argumentPrinter(format, ENTRY.front, ENTRY.argument, context);
    return (event) => {
      const at = event.start + ip.field.offset;
      const where = inKernel(event, at, context) ? symbols.ipOffset.at(event.view, at) : hexAt(event, at, context);
      return `${name}: (${where})${args(event)}\n`;
    };
  }
  if (called === undefined || returned === undefined || !printFormat.startsWith(RETURN.front)) return undefined;
  const args = argumentPrinter(format, RETURN.front, RETURN.argument, context);
  return (event) => {
    const func = event.start + called.field.offset;
    const back = event.start + returned.field.offset;
    const where = inKernel(event, func, context)
      ? `${symbols.ipOffset.at(event.view, back)} <- ${symbols.ipPlain.at(event.view, func)}`
      : `${hexAt(event, back, context)} <- ${hexAt(event, func, context)}`;
    return `${name}: (${where})${args(event)}\n`;
  };
}

/** Kernel addresses have the highest bit set; on 32-bit machines the kernel has the highest quarter. */
function inKernel(event: TraceEvent, at: number, { trace: { longSize, littleEndian } }: BodyContext): boolean {
  if (longSize === 4) return event.view.getUint32(at, littleEndian) >= 0xc0000000;
  return event.view.getUint32(littleEndian ? at + 4 : at, littleEndian) >= 0x80000000;
}

function hexAt(event: TraceEvent, at: number, { trace: { longSize, littleEndian } }: BodyContext): string {
  const { view } = event;
  return `0x${(longSize === 4 ? view.getUint32(at, littleEndian) : view.getBigUint64(at, littleEndian)).toString(16)}`;
}

/**
 * The body of a synthetic event. Kernels up to 6.4 part the values by commas in the print format, and by blanks when they
 * print them (`print_synth_event` of kernel/trace/trace_events_synth.c). Undefined for all others.
 */
export function synthetic(format: EventFormat, context: BodyContext): EventBody | undefined {
  const [whole, text] = /^"((?:[^"\\]|\\.)*)"/.exec(format.printFormat) ?? [];
  if (format.system !== 'synthetic' || whole === undefined || text === undefined) return undefined;
  const printFormat = `"${text.replace(/, (?=\w+=%)/g, ' ')}"${format.printFormat.slice(whole.length)}`;
  const program = context.compile({ ...format, printFormat });
  return (event) => `${format.name}: ${program.print(event)}\n`;
}

const STRING = /\\"%s\\"/g;

/** The arguments behind the address: ` count=3 path="/etc/passwd"`. */
function argumentPrinter(format: EventFormat, front: string, argument: string, context: BodyContext): EventBody {
  const printFormat = `"${format.printFormat.slice(front.length)}`.replace(argument, () => '');
  const compile = (text: string): PrintProgram => context.compile({ ...format, printFormat: text });
  const whole = compile(printFormat);
  const strings = [...printFormat.matchAll(/, __get_str\(([^)]*)\)/g)];
  const readers = strings.map(([, name]) => fieldsOf(format, context.trace)(name?.replace(/\[\d+\]$/, '') ?? ''));
  if (strings.length === 0) return (event) => whole.print(event);
  // Text that could not be read has no bytes, not even the NUL: the kernel then says so in its place.
  const faulty = new Map<string, PrintProgram>();
  return (event) => {
    let key = '';
    for (const [index, reader] of readers.entries()) {
      if (reader !== undefined && reader.extent(event) % 0x10000 === 0) key += `${index},`;
    }
    if (key === '') return whole.print(event);
    let program = faulty.get(key);
    if (program === undefined) {
      program = compile(
        withFaults(
          printFormat,
          strings.map(([text]) => text),
          key,
        ),
      );
      faulty.set(key, program);
    }
    return program.print(event);
  };
}

function withFaults(printFormat: string, strings: readonly string[], key: string): string {
  const missing = new Set(
    key
      .split(',')
      .filter((part) => part !== '')
      .map(Number),
  );
  let index = 0;
  let text = printFormat.replace(STRING, (whole) => (missing.has(index++) ? '(fault)' : whole));
  for (const one of missing) text = text.replace(strings[one] ?? '', () => '');
  return text;
}
