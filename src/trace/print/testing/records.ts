import { viewOf } from '../../../bytes/struct-table.js';
import { traceFormats, USUAL_COMMON_FIELDS } from '../../formats/trace-formats.js';
import type { EventFormat, TraceField, TraceNames } from '../../model.js';
import { NO_NAMES } from '../../open.js';
import type { PrintContext } from '../context.js';
import type { EventRecord } from '../fields.js';

/** A field of a made record: its declaration as in C, and its value. Dynamic arrays (`__data_loc`) take their bytes. */
export type MadeField = readonly [declaration: string, value: bigint | number | string | Uint8Array, size?: number];

const SIZES: Readonly<Record<string, number>> = {
  char: 1,
  u8: 1,
  s8: 1,
  bool: 1,
  u16: 2,
  s16: 2,
  short: 2,
  u64: 8,
  s64: 8,
};

/** Makes a record, and the format that it is of, of fields one after another as a compiler lays them out. */
export function madeRecord(
  printFormat: string,
  fields: readonly MadeField[],
): { format: EventFormat; record: EventRecord } {
  const bytes = new Uint8Array(4096);
  const view = viewOf(bytes);
  const made: TraceField[] = [];
  const dynamic: (() => void)[] = [];
  // Records lie anywhere in a sub-buffer.
  const start = 20;
  let at = 8;
  view.setUint8(start + 2, 0x08);
  view.setInt32(start + 4, 1234, true);
  for (const [declaration, value, wanted] of fields) {
    const [, type = '', name = '', array = ''] = /^(.*?)\s*(\w+)(\[\d*\])?$/.exec(declaration) ?? [];
    const base = type.replace(/^(const|unsigned) /, '');
    const isDynamic = type.startsWith('__');
    const bare = typeof value !== 'object' && typeof value !== 'string';
    const element = SIZES[base] ?? (/long|\*/.test(base) ? 8 : 4);
    const size = wanted ?? (isDynamic ? 4 : bare ? element : bytesOf(value).length);
    const align = isDynamic ? 4 : Math.min(wanted ?? element, 8);
    at = Math.ceil(at / align) * align;
    const offset = at;
    at += size;
    made.push({ name, type: type + array, offset, size, signed: /^(int|long|short|s\d+|loff_t|pid_t)/.test(type) });
    if (isDynamic) {
      const content = bytesOf(value);
      dynamic.push(() => {
        const base = type.startsWith('__rel') ? offset + 4 : 0;
        view.setUint32(start + offset, (at - base) | (content.length << 16), true);
        bytes.set(content, start + at);
        at += content.length;
      });
    } else if (typeof value === 'object' || typeof value === 'string') bytes.set(bytesOf(value), start + offset);
    else if (size === 8) view.setBigUint64(start + offset, BigInt.asUintN(64, BigInt(value)), true);
    else if (size === 4) view.setUint32(start + offset, Number(value) >>> 0, true);
    else if (size === 2) view.setUint16(start + offset, Number(value) & 0xffff, true);
    else view.setUint8(start + offset, Number(value) & 0xff);
  }
  for (const put of dynamic) put();
  const format = { id: 1, system: 'test', name: 'test', fields: made, printFormat };
  return { format, record: { bytes, view, start, length: Math.ceil(at / 4) * 4 } };
}

function bytesOf(value: bigint | number | string | Uint8Array): Uint8Array {
  return value instanceof Uint8Array ? value : new TextEncoder().encode(`${value}\0`);
}

/** Names of a kernel of which nothing is known but what is given. */
export function madeContext(names: Partial<TraceNames> = {}, formats: readonly EventFormat[] = []): PrintContext {
  return {
    formats: traceFormats(USUAL_COMMON_FIELDS, formats),
    names: { ...NO_NAMES, ...names },
    littleEndian: true,
    longSize: 8,
  };
}
