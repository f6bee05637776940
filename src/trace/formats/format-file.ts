import { ExhumeError } from '../../bytes/errors.js';
import type { EventFormat, TraceField } from '../model.js';

/** What a `format` file says. */
export interface FormatFile {
  readonly format: EventFormat;
  /** The fields that all events have. */
  readonly common: readonly TraceField[];
}

const FIELD = /^\s*field:(.*);\s*offset:\s*(\d+);\s*size:\s*(\d+);(?:\s*signed:\s*(-?\d+);)?\s*$/;
const ARRAY = /^(.*)(\[\d*\])$/;

/**
 * Reads a `format` file of tracefs (`events/SYSTEM/NAME/format`; `f_show()` of kernel/trace/trace_events.c), which does
 * not say what system it belongs to. Throws EXH_BAD_STRUCTURE when it names no event or gives it no number.
 */
export function parseFormatFile(text: string, system: string): FormatFile {
  const name = /^name: (.*)$/m.exec(text)?.[1];
  const id = Number(/^ID: (\d+)$/m.exec(text)?.[1] ?? Number.NaN);
  if (name === undefined || !Number.isSafeInteger(id)) {
    throw new ExhumeError('EXH_BAD_STRUCTURE', `format file: ${name === undefined ? 'no name' : `no ID of ${name}`}`);
  }
  // It ends the file, and whatever stands there belongs to it.
  const printAt = text.indexOf('\nprint fmt: ');
  const common: TraceField[] = [];
  const fields: TraceField[] = [];
  for (const line of (printAt < 0 ? text : text.slice(0, printAt)).split('\n')) {
    const field = parseField(line);
    if (field !== undefined) (field.name.startsWith('common_') ? common : fields).push(field);
  }
  const printFormat = printAt < 0 ? '' : text.slice(printAt + '\nprint fmt: '.length).replace(/\n$/, '');
  return { format: { id, system, name, fields, printFormat }, common };
}

/** `field:char comm[16];	offset:8;	size:16;	signed:0;` */
function parseField(line: string): TraceField | undefined {
  const [, declaration, offset, size, signed] = FIELD.exec(line) ?? [];
  if (declaration === undefined) return undefined;
  const space = declaration.lastIndexOf(' ');
  const [, name, array] = ARRAY.exec(declaration.slice(space + 1)) ?? [undefined, declaration.slice(space + 1), ''];
  return {
    name: name ?? '',
    type: declaration.slice(0, Math.max(space, 0)) + (array ?? ''),
    offset: Number(offset),
    size: Number(size),
    signed: signed !== undefined && Number(signed) !== 0,
  };
}

/** The `format` file of an event, byte for byte as the kernel writes it. */
export function writeFormatFile(format: EventFormat, common: readonly TraceField[]): string {
  const lines = (fields: readonly TraceField[]) => fields.map(fieldLine).join('');
  return (
    `name: ${format.name}\nID: ${format.id}\nformat:\n${lines(common)}\n${lines(format.fields)}` +
    `\nprint fmt: ${format.printFormat}\n`
  );
}

/** The length of an array stands behind the name; of `__data_loc` fields it stays with the type. */
function fieldLine({ name, type, offset, size, signed }: TraceField): string {
  const bracket = type.startsWith('__data_loc') ? -1 : type.indexOf('[');
  const declaration = bracket < 0 ? `${type} ${name}` : `${type.slice(0, bracket)} ${name}${type.slice(bracket)}`;
  return `\tfield:${declaration};\toffset:${offset};\tsize:${size};\tsigned:${signed ? 1 : 0};\n`;
}
