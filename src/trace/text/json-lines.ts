import type { EventStream, Trace, TraceBuffer, TraceEvent } from '../model.js';
import { type FieldReader, fieldReader } from '../print/fields.js';
import type { EventTest } from './filter.js';
import { commOf, LineFront } from './line-front.js';
import { textSettings } from './settings.js';
import { TraceText } from './trace-text.js';

const CHUNK = 1 << 16;

/**
 * The events as JSON, one object a line:
 * `{"timestamp":…,"cpu":0,"pid":1,"comm":"init","flags":"d..1.","system":"sched","event":"sched_switch","fields":{…},"text":"…"}`.
 * `timestamp` is in units of the buffer's clock; integers that a double cannot hold are decimal text.
 */
export function* jsonLines(
  trace: Trace,
  buffer: TraceBuffer,
  stream: EventStream,
  wanted: EventTest = () => true,
): Generator<string, void, undefined> {
  const settings = textSettings(buffer);
  const front = new LineFront(trace, buffer, settings, stream.base);
  const texts = new TraceText(trace, buffer, stream);
  const kinds = new Map<number, Kind>();
  let text = '';
  for (const event of stream) {
    if (!wanted(event)) continue;
    let kind = kinds.get(event.type);
    if (kind === undefined) {
      kind = kindOf(trace, event.type);
      kinds.set(event.type, kind);
    }
    text += `{"timestamp":${exact(stream.base, event.time)},"cpu":${event.cpu},"pid":${event.pid}`;
    text += `,"comm":${JSON.stringify(commOf(trace, event.pid))},"flags":"${front.flagsOf(event)}"`;
    if (event.lost !== 0) text += `,"lost":${event.lost}`;
    text += `,${kind.name},"fields":{${fieldsText(kind.readers, event)}}`;
    text += `,"text":${JSON.stringify(texts.body(event).replace(/\n$/, ''))}}\n`;
    if (text.length > CHUNK) {
      yield text;
      text = '';
    }
  }
  if (text !== '') yield text;
}

interface Kind {
  /** `"system":…,"event":…`, or the number of a kind that is not known. */
  readonly name: string;
  readonly readers: readonly { readonly key: string; readonly reader: FieldReader }[];
}

function kindOf({ formats, littleEndian, longSize }: Trace, type: number): Kind {
  const format = formats.byId(type);
  if (format === undefined) return { name: `"type":${type}`, readers: [] };
  return {
    name: `"system":${JSON.stringify(format.system)},"event":${JSON.stringify(format.name)}`,
    readers: format.fields.map((field) => ({
      key: JSON.stringify(field.name),
      reader: fieldReader(field, littleEndian, longSize),
    })),
  };
}

function exact(base: bigint, time: number): string {
  return base === 0n ? String(time) : String(base + BigInt(time));
}

function fieldsText(readers: Kind['readers'], event: TraceEvent): string {
  let text = '';
  for (const { key, reader } of readers) text += `${text === '' ? '' : ','}${key}:${valueText(reader, event)}`;
  return text;
}

function valueText(reader: FieldReader, event: TraceEvent): string {
  const value = reader.read(event);
  if (typeof value === 'number') return String(value);
  if (typeof value === 'bigint') return `"${value}"`;
  if (typeof value === 'string') return JSON.stringify(value);
  const elements = reader.elements(event).map((one) => (typeof one === 'bigint' ? `"${one}"` : String(one)));
  return `[${elements.join(',')}]`;
}
