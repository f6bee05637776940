import type { EventFormat } from '../model.js';
import { type EventRecord, type FieldReader, fieldReader, type Wide } from './fields.js';

/** Fields of a hostile format may all be of the same bytes. */
const LONGEST = 1 << 16;

/**
 * The fields of an event as they are, for events whose print format cannot be followed: ` name=value` for each,
 * as `trace-cmd report -R` puts them (`tep_print_field_content()` of libtraceevent).
 */
export function rawPrinter(
  format: Pick<EventFormat, 'fields'>,
  littleEndian: boolean,
  longSize: 4 | 8,
): (record: EventRecord) => string {
  const readers = format.fields.map((field) => fieldReader(field, littleEndian, longSize));
  return (record) => {
    let text = '';
    for (const reader of readers) {
      if (text.length > LONGEST) return `${text} ...`;
      text += ` ${reader.field.name}=${rawValue(reader, record)}`;
    }
    return text;
  };
}

function rawValue(reader: FieldReader, record: EventRecord): string {
  const value = reader.read(record);
  if (typeof value === 'string') return value;
  if (value instanceof Uint8Array)
    return `ARRAY[${Array.from(value, (byte) => hex(byte).padStart(2, '0')).join(', ')}]`;
  const { type, signed, size } = reader.field;
  if (type.endsWith('*')) return `0x${hex(value)}`;
  const long = /\blong\b/.test(type);
  if (long && (!signed || size === 4)) return `0x${hex(value)}`;
  return `${value}`;
}

function hex(value: Wide): string {
  return value.toString(16);
}
