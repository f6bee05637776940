import { decimal, hexadecimal } from './digits.js';
import type { Wide } from './fields.js';
import { byteLength, firstBytes } from './text-bytes.js';
import type { IntType } from './wide.js';

/** One `%` of a format, as `format_decode()` of lib/vsprintf.c reads it. */
export interface Conversion {
  readonly kind: 'integer' | 'char' | 'string' | 'pointer';
  readonly left: boolean;
  readonly plus: boolean;
  readonly space: boolean;
  /** `#` */
  readonly special: boolean;
  readonly zero: boolean;
  /** `*`: an argument says it. Undefined: none. */
  readonly width: number | '*' | undefined;
  readonly precision: number | '*' | undefined;
  /** Of the integer that is printed. */
  readonly type: IntType;
  readonly base: 8 | 10 | 16;
  readonly upper: boolean;
  /** The letters behind `%p`: `S`, `I6c`, `hN`. */
  readonly extension: string;
}

/** Texts and conversions in turn. */
export type FormatPart = string | Conversion;

/** A line of the kernel's trace holds at most 8 KiB (`TRACE_SEQ_SIZE`): wider fields only cost memory. */
const WIDEST = 8192;

const PERCENT = /%([-+ #0]*)(\d+|\*)?(?:\.(\d+|\*)?)?(hh|h|ll|l|L|H|z|t)?(.?)/gs;

/** Takes a format apart. As in the kernel, nothing behind a conversion that it doesn't know is printed. */
export function parseFormat(format: string, longSize: number): FormatPart[] {
  const parts: FormatPart[] = [];
  let text = '';
  let at = 0;
  for (const found of format.matchAll(PERCENT)) {
    text += format.slice(at, found.index);
    at = found.index + found[0].length;
    const [, flags = '', width, precision, length, letter = ''] = found;
    if (letter === '%') {
      text += '%';
      continue;
    }
    let extension = '';
    if (letter === 'p') {
      extension = /^[A-Za-z0-9]*/.exec(format.slice(at, at + 32))?.[0] ?? '';
      at += extension.length;
    }
    const kind = KINDS[letter];
    if (kind === undefined) {
      at = format.length;
      break;
    }
    if (text !== '') parts.push(text);
    text = '';
    const dot = found[0].includes('.');
    parts.push({
      kind,
      left: flags.includes('-'),
      plus: flags.includes('+'),
      space: flags.includes(' '),
      special: flags.includes('#'),
      zero: flags.includes('0'),
      width: amount(width, undefined),
      // A lone dot is no precision to the kernel.
      precision: dot ? amount(precision, undefined) : undefined,
      type: { kind: 'int', size: sizeOf(length, longSize), signed: letter === 'd' || letter === 'i' },
      base: letter === 'o' ? 8 : letter === 'x' || letter === 'X' ? 16 : 10,
      upper: letter === 'X',
      extension,
    });
  }
  text += format.slice(at);
  if (text !== '') parts.push(text);
  return parts;
}

const KINDS: Readonly<Record<string, Conversion['kind']>> = {
  d: 'integer',
  i: 'integer',
  u: 'integer',
  x: 'integer',
  X: 'integer',
  o: 'integer',
  c: 'char',
  s: 'string',
  p: 'pointer',
};

function amount(text: string | undefined, none: undefined): number | '*' | undefined {
  if (text === undefined) return none;
  return text === '*' ? '*' : Math.min(Number(text), WIDEST);
}

function sizeOf(length: string | undefined, longSize: number): number {
  switch (length) {
    case 'hh':
    case 'H':
      return 1;
    case 'h':
      return 2;
    case 'll':
    case 'L':
      return 8;
    case undefined:
      return 4;
    default:
      return longSize;
  }
}

/** A conversion whose `*` are filled in. */
export type Filled = Omit<Conversion, 'width' | 'precision'> & {
  readonly width: number | undefined;
  readonly precision: number | undefined;
};

/** Fills in `*`: a negative width pads on the right, a negative precision is 0. */
export function fill(conversion: Conversion, width: number, precision: number): Filled {
  const wanted = conversion.width === '*' ? width : conversion.width;
  const exact = conversion.precision === '*' ? Math.max(precision, 0) : conversion.precision;
  return {
    ...conversion,
    left: conversion.left || (wanted !== undefined && wanted < 0),
    width: wanted === undefined ? undefined : Math.min(Math.abs(wanted), WIDEST),
    precision: exact === undefined ? undefined : Math.min(exact, WIDEST),
  };
}

/** Does it say anything but what to print? */
export function isPlain(conversion: Conversion): boolean {
  const { left, plus, space, special, zero, width, precision } = conversion;
  return !left && !plus && !space && !special && !zero && width === undefined && precision === undefined;
}

/** An integer that has the conversion's type already: `number()` of lib/vsprintf.c. */
export function formatInteger(value: Wide, conversion: Filled): string {
  const { left, base, special } = conversion;
  let sign = '';
  let digits: string;
  if (value < 0) {
    sign = '-';
    digits = (-value).toString(base);
  } else {
    if (conversion.type.signed) sign = conversion.plus ? '+' : conversion.space ? ' ' : '';
    digits = base === 10 ? decimal(value) : base === 16 ? hexadecimal(value) : value.toString(base);
  }
  if (conversion.upper) digits = digits.toUpperCase();
  let prefix = '';
  if (special && base === 16) prefix = conversion.upper ? '0X' : '0x';
  else if (special && base === 8 && digits !== '0') prefix = '0';
  const exact = digits.padStart(conversion.precision ?? 0, '0');
  const width = conversion.width ?? 0;
  const all = sign.length + prefix.length + exact.length;
  if (all >= width) return sign + prefix + exact;
  if (left) return (sign + prefix + exact).padEnd(width);
  // A precision does not keep the kernel from padding with zeros.
  if (conversion.zero) return sign + prefix + '0'.repeat(width - all) + exact;
  return (sign + prefix + exact).padStart(width);
}

/** A text, cut and padded by bytes: `string_nocheck()`. */
export function formatText(text: string, conversion: Filled): string {
  const cut = conversion.precision === undefined ? text : firstBytes(text, conversion.precision);
  if (conversion.width === undefined) return cut;
  const missing = conversion.width - byteLength(cut);
  if (missing <= 0) return cut;
  return conversion.left ? cut + ' '.repeat(missing) : ' '.repeat(missing) + cut;
}

/** A pointer as 16 (or 8) hexadecimal digits: `pointer_string()`. */
export function formatAddress(value: Wide, conversion: Filled, longSize: number): string {
  const type: IntType = { kind: 'int', size: longSize, signed: false };
  return formatInteger(
    value,
    conversion.width === undefined
      ? { ...conversion, base: 16, type, width: 2 * longSize, zero: true }
      : { ...conversion, base: 16, type },
  );
}
