import { hashedPointer, stringAt, symbolText } from './addresses.js';
import type { PrintContext } from './context.js';
import {
  type Conversion,
  type Filled,
  type FormatPart,
  fill,
  formatAddress,
  formatInteger,
  formatText,
  isPlain,
} from './conversion.js';
import { decimal, hexadecimal } from './digits.js';
import { type EventRecord, readInteger, type Wide } from './fields.js';
import type { Scope } from './helpers.js';
import { bytesPointedTo, errorPointer, formatPointed } from './pointed-bytes.js';
import { Unfollowable } from './unfollowable.js';
import { asInteger, asNumber, convert, placeBytes, type Value } from './values.js';

/** What a conversion puts into the text. */
export type Piece = (record: EventRecord) => string;

/** A format's texts and conversions as closures over the record. Texts stand at even places. */
export interface Pieces {
  /** One more than there are conversions: before each, and behind the last. */
  readonly texts: readonly string[];
  readonly conversions: readonly Piece[];
}

/** Puts arguments to a format's conversions. Throws Unfollowable. */
export function compilePieces(parts: readonly FormatPart[], args: Iterator<Value>, scope: Scope): Pieces {
  const texts = [''];
  const conversions: Piece[] = [];
  const next = (): Value => {
    const { value, done } = args.next();
    if (done === true) throw new Unfollowable('it has fewer arguments than conversions');
    return value;
  };
  for (const part of parts) {
    if (typeof part === 'string') texts[texts.length - 1] += part;
    else {
      const piece = compile(part, next, scope);
      if (typeof piece === 'string') texts[texts.length - 1] += piece;
      else {
        conversions.push(piece);
        texts.push('');
      }
    }
  }
  return { texts, conversions };
}

function compile(conversion: Conversion, next: () => Value, scope: Scope): Piece | string {
  const width = conversion.width === '*' ? asNumber(next()) : undefined;
  const precision = conversion.precision === '*' ? asNumber(next()) : undefined;
  const value = next();
  const fixed = width === undefined && precision === undefined ? fill(conversion, 0, 0) : undefined;
  const filled =
    fixed === undefined
      ? (record: EventRecord) => fill(conversion, width?.(record) ?? 0, precision?.(record) ?? 0)
      : () => fixed;
  switch (conversion.kind) {
    case 'integer':
      return integer(conversion, value, fixed, filled);
    case 'char': {
      const { get } = convert(asInteger(value), { kind: 'int', size: 1, signed: false });
      if (isPlain(conversion)) return (record) => String.fromCharCode(Number(get(record)));
      return (record) =>
        formatText(String.fromCharCode(Number(get(record))), { ...filled(record), precision: undefined });
    }
    case 'string': {
      const get = scope.text(value);
      if (isPlain(conversion)) return value.kind === 'text' && value.constant !== undefined ? value.constant : get;
      return (record) => formatText(get(record), filled(record));
    }
    case 'pointer':
      return pointer(conversion, value, filled, scope);
  }
}

function integer(
  conversion: Conversion,
  value: Value,
  fixed: Filled | undefined,
  filled: (record: EventRecord) => Filled,
): Piece {
  const number = convert(asInteger(value), conversion.type);
  if (isPlain(conversion) && !conversion.upper) {
    if (number.kind === 'narrow') {
      const { get } = number;
      if (conversion.base === 10) return (record) => decimal(get(record));
      if (conversion.base === 16) return (record) => hexadecimal(get(record));
    }
    const { get } = number;
    if (conversion.base === 10) return (record) => decimal(get(record));
    if (conversion.base === 16) return (record) => hexadecimal(get(record));
    return (record) => get(record).toString(conversion.base);
  }
  const { get } = number;
  const hex = fixed === undefined ? undefined : paddedHex(fixed);
  if (hex !== undefined) return (record) => hex(get(record));
  return (record) => formatInteger(get(record), filled(record));
}

/** `%08x`, `%#lx` and the like are too frequent for the general way. */
function paddedHex(conversion: Filled): ((value: Wide) => string) | undefined {
  const { base, upper, left, special, zero, width = 0, precision } = conversion;
  if (base !== 16 || upper || left || precision !== undefined || (width > 0 && !zero)) return undefined;
  const prefix = special ? '0x' : '';
  const digits = Math.max(width - prefix.length, 0);
  return (value) => prefix + hexadecimal(value).padStart(digits, '0');
}

function pointer(
  conversion: Conversion,
  value: Value,
  filled: (record: EventRecord) => Filled,
  scope: Scope,
): Piece | string {
  const { context } = scope;
  const { extension } = conversion;
  const plain = isPlain(conversion);
  // `trace_event_format()` of kernel/trace/trace.c: without the option, `%p` becomes `%px`, but only just that.
  const raw = plain && extension === '' && !hashesPointers(context);
  if (value.kind === 'place') {
    if (bytesPointedTo(extension, 1) === undefined) {
      throw new Unfollowable(`%p${extension} of what lay in the record, whose address is not known any more`);
    }
    const bytes = placeBytes({ ...value, end: undefined });
    return (record) => {
      const full = filled(record);
      const text = formatPointed(bytes(record, bytesPointedTo(extension, full.width) ?? 0), full, context);
      if (text === undefined) throw new Unfollowable(`%p${extension} is not known`);
      return text;
    };
  }
  const text = value.kind === 'text' ? undefined : addressText(extension, context, raw);
  if (text === undefined) throw new Unfollowable(`%p${extension} of memory outside of the record`);
  const address = asInteger(value);
  const { get } = address;
  if (plain && address.kind === 'wide' && address.offset !== undefined) {
    return keptByWords(address.offset, context.littleEndian, (found) => text(found, undefined));
  }
  if (plain) return (record) => text(get(record), undefined);
  return (record) => text(get(record), filled(record));
}

/** Up to 5.12 kernels have no option `hash-ptr`, and hash: an enumerator tells whether there is one. */
function hashesPointers({ options, names }: PrintContext): boolean {
  if (options === undefined || options.has('hash-ptr')) return true;
  return names.constant !== undefined && names.constant('TRACE_ITER_HASH_PTR_BIT') === undefined;
}

/** Slots for what addresses were printed as. */
const SLOTS = 1024;

/** Keeps texts by the two words of an address in the record: most addresses are no number that is fast to look up. */
function keptByWords(offset: number, littleEndian: boolean, make: (address: Wide) => string): Piece {
  const words = new Uint32Array(2 * SLOTS);
  const texts: (string | undefined)[] = [];
  const lowAt = littleEndian ? offset : offset + 4;
  const highAt = littleEndian ? offset + 4 : offset;
  return ({ view, start }) => {
    const low = view.getUint32(start + lowAt, littleEndian);
    const high = view.getUint32(start + highAt, littleEndian);
    const slot = ((low >>> 3) ^ (low >>> 14) ^ high) & (SLOTS - 1);
    const before = texts[slot];
    if (before !== undefined && words[2 * slot] === low && words[2 * slot + 1] === high) return before;
    const text = make(readInteger(view, start + offset, 8, false, littleEndian));
    words[2 * slot] = low;
    words[2 * slot + 1] = high;
    texts[slot] = text;
    return text;
  };
}

/**
 * What a conversion makes of an address alone. Undefined: it prints what lies there.
 * @param raw pointers that would be hashed are printed as they are
 */
export function addressText(
  extension: string,
  context: PrintContext,
  raw: boolean,
): ((address: Wide, conversion: Filled | undefined) => string) | undefined {
  const letter = extension[0] ?? '';
  if (letter === 'S' || letter === 's' || letter === 'B') {
    const symbol = symbolText(context, letter);
    return (address, conversion) =>
      conversion === undefined ? symbol(address) : formatText(symbol(address), conversion);
  }
  if (/^[uk]s/.test(extension)) {
    const string = stringAt(context);
    return (address, conversion) =>
      conversion === undefined ? string(address) : formatText(string(address), conversion);
  }
  if (bytesPointedTo(extension, 1) !== undefined || /^[RrVdDgCOfGA]/.test(extension)) return undefined;
  const shown = raw || letter === 'x' ? (address: Wide) => address : hashedPointer(context);
  const digits = 2 * context.longSize;
  const plain = (address: Wide, conversion: Filled | undefined): string => {
    const as = shown(address);
    if (typeof as === 'string') return conversion === undefined ? as : formatText(as, { ...conversion, width: digits });
    if (conversion === undefined) return as.toString(16).padStart(digits, '0');
    return formatAddress(as, conversion, context.longSize);
  };
  if (letter !== 'e') return plain;
  return (address, conversion) => {
    const error = errorPointer(address, context.longSize);
    if (error === undefined) return plain(address, conversion);
    return conversion === undefined ? error : formatText(error, conversion);
  };
}
