import { type Filled, formatText } from './conversion.js';
import { errorName } from './error-names.js';
import { readInteger, type Wide } from './fields.js';
import { bitmap, bitmapList, hexBytes, printable } from './hex.js';
import { ip4, ip6, macAddress, socketAddress } from './net-addresses.js';

/** How the machine that wrote the bytes orders them. */
interface Order {
  readonly littleEndian: boolean;
  readonly longSize: number;
}

/**
 * What a conversion prints of what its pointer points to; undefined: it is no such conversion, or of something that no
 * record holds (`%pd`, `%pOF`). The bytes begin at the pointer, and may be fewer than `bytesPointedTo()` asks for.
 */
export function formatPointed(bytes: Uint8Array, conversion: Filled, order: Order): string | undefined {
  const { extension } = conversion;
  const padded = (text: string | undefined): string | undefined =>
    text === undefined ? undefined : formatText(text, conversion);
  switch (extension[0]) {
    case 'h':
      return conversion.width === 0 ? '' : hexBytes(bytes, SEPARATORS[extension[1] ?? ''] ?? ' ');
    case 'b': {
      const list = extension[1] === 'l';
      return (list ? bitmapList : bitmap)(bytes, conversion.width ?? 0, order.littleEndian, order.longSize);
    }
    case 'M':
    case 'm':
      return padded(macAddress(bytes, extension));
    case 'I':
    case 'i':
      return padded(ipAddress(bytes, extension, order.littleEndian));
    case 'U':
      return padded(uuid(bytes, extension[1] ?? 'b'));
    case 'E':
      return escaped(bytes, extension.slice(1));
    case 'N':
      return extension[1] === 'F' ? specialHex(integer(bytes, 8, order), 8) : undefined;
    case '4':
      return padded(fourCharacters(bytes, extension, order));
    case 'a':
      return specialHex(integer(bytes, 8, order), 8);
    case 't':
      return time(bytes, extension, order);
    default:
      return undefined;
  }
}

const SEPARATORS: Readonly<Record<string, string>> = { C: ':', D: '-', N: '' };

/** The most that `%*ph` prints. */
const MOST_HEX = 64;

/** How many bytes a conversion takes from its pointer on; undefined: it doesn't print what is pointed to. */
export function bytesPointedTo(extension: string, width: number | undefined): number | undefined {
  switch (extension[0]) {
    case 'h':
      return width === undefined ? 1 : Math.min(width, MOST_HEX);
    case 'b':
      // Of whole longs.
      return Math.ceil((width ?? 0) / 64) * 8;
    case 'M':
    case 'm':
      return 6;
    case 'I':
    case 'i':
      return extension[1] === '4' ? 4 : extension[1] === '6' ? 16 : 28;
    case 'U':
      return 16;
    case 'E':
      return width ?? 1;
    case 'N':
    case 'a':
      return 8;
    case '4':
      return 4;
    case 't':
      return extension[1] === 'R' ? 36 : extension[1] === 'S' ? 16 : 8;
    default:
      return undefined;
  }
}

function ipAddress(bytes: Uint8Array, letters: string, littleEndian: boolean): string {
  switch (letters[1]) {
    case '4':
      return ip4(bytes, letters, littleEndian);
    case '6':
      return ip6(bytes, letters);
    case 'S':
      return socketAddress(bytes, letters, littleEndian) ?? '(einval)';
    default:
      return `(%p${letters[0]}?)`;
  }
}

const GUID = [3, 2, 1, 0, 5, 4, 7, 6];

/** `b` and `B` big endian, `l` and `L` (a GUID) little endian; in upper case. */
function uuid(bytes: Uint8Array, letter: string): string {
  const little = letter === 'l' || letter === 'L';
  const ordered = Uint8Array.from({ length: 16 }, (_, at) => bytes[little ? (GUID[at] ?? at) : at] ?? 0);
  const hex = hexBytes(ordered, '');
  const text = [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
  return letter === 'L' || letter === 'B' ? text.toUpperCase() : text;
}

function integer(bytes: Uint8Array, size: number, { littleEndian }: Order): Wide {
  const padded = new Uint8Array(size);
  padded.set(bytes.subarray(0, size));
  return readInteger(new DataView(padded.buffer), 0, size, false, littleEndian);
}

/** `0x0000000000001234`: `special_hex_number()`. */
function specialHex(value: Wide, size: number): string {
  return `0x${value.toString(16).padStart(2 * size, '0')}`;
}

const SPACES: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t', '\v': '\\v', '\f': '\\f' };
const SPECIAL: Readonly<Record<string, string>> = { '\\': '\\\\', '\x07': '\\a', '\x1b': '\\e', '"': '\\"' };

/** `string_escape_mem()` of lib/string_helpers.c. */
function escaped(bytes: Uint8Array, letters: string): string {
  // Without any letter: all kinds, of what is not printable.
  const wanted = /^[achnops]+/.exec(letters)?.[0] ?? 'ap';
  const has = (letter: string) => wanted.includes(letter) || (wanted.includes('a') && 'scno'.includes(letter));
  let text = '';
  for (const byte of bytes) {
    const char = String.fromCharCode(byte);
    if (has('p') && byte >= 0x20 && byte < 0x7f) text += char;
    else if (has('s') && char in SPACES) text += SPACES[char];
    else if (has('c') && char in SPECIAL) text += SPECIAL[char];
    else if (has('n') && byte === 0) text += '\\0';
    else if (has('o')) text += `\\${byte.toString(8).padStart(3, '0')}`;
    else if (has('h')) text += `\\x${byte.toString(16).padStart(2, '0')}`;
    else text += char;
  }
  return text;
}

/** `%p4cc` (a pixel format); `%p4ch`, `%p4chR`, `%p4cl`, `%p4cb`: in the machine's order, reversed, in one order. */
function fourCharacters(bytes: Uint8Array, letters: string, order: Order): string {
  const { littleEndian } = order;
  let value = Number(integer(bytes, 4, order));
  const kind = letters.slice(1, 3);
  if (kind === 'cc') {
    const endian = value >= 0x8000_0000 ? 'big-endian' : 'little-endian';
    return `${characters(reversed(value & 0x7fff_ffff))} ${endian} (${specialHex(value, 4)})`;
  }
  if (!/^c[hlb]$/.test(kind)) return '(%p4?)';
  if (letters[3] === 'R' || (kind === 'cl' && !littleEndian) || (kind === 'cb' && littleEndian))
    value = reversed(value);
  return `${characters(value)} (${specialHex(value, 4)})`;
}

function reversed(value: number): number {
  return ((value << 24) | ((value & 0xff00) << 8) | ((value >>> 8) & 0xff00) | (value >>> 24)) >>> 0;
}

function characters(value: number): string {
  return [24, 16, 8, 0].map((shift) => printable((value >>> shift) & 0xff)).join('');
}

/** `%ptR` (a `struct rtc_time`), `%ptT` (a time64_t), `%ptS` (a struct timespec64), with d(ate), t(ime), r(aw), s(pace). */
function time(bytes: Uint8Array, letters: string, order: Order): string {
  const part = (at: number, size: number) =>
    Number(BigInt.asIntN(8 * size, BigInt(integer(bytes.subarray(at), size, order))));
  switch (letters[1]) {
    case 'R': {
      const [second = 0, minute = 0, hour = 0, day = 0, month = 0, year = 0] = [0, 4, 8, 12, 16, 20].map((at) =>
        part(at, 4),
      );
      return clockText({ second, minute, hour, day, month, year }, letters.slice(2));
    }
    case 'T':
      return clockText(brokenDown(part(0, 8)), letters.slice(2));
    case 'S': {
      const nanoseconds = `.${`${part(8, 8)}`.padStart(9, '0')}`;
      if (letters[2] === 'p') return part(0, 8) + nanoseconds;
      return clockText(brokenDown(part(0, 8)), letters.slice(2)) + nanoseconds;
    }
    default:
      return '(%pt?)';
  }
}

/** As in `struct rtc_time`: months from 0, years from 1900. */
interface BrokenDown {
  readonly second: number;
  readonly minute: number;
  readonly hour: number;
  readonly day: number;
  readonly month: number;
  readonly year: number;
}

function brokenDown(seconds: number): BrokenDown {
  const date = new Date(seconds * 1000);
  if (Number.isNaN(date.getTime())) return { second: 0, minute: 0, hour: 0, day: 0, month: 0, year: 0 };
  return {
    second: date.getUTCSeconds(),
    minute: date.getUTCMinutes(),
    hour: date.getUTCHours(),
    day: date.getUTCDate(),
    month: date.getUTCMonth(),
    year: date.getUTCFullYear() - 1900,
  };
}

function clockText(when: BrokenDown, letters: string): string {
  const only = /^[dt]/.exec(letters)?.[0];
  const options = only === undefined ? letters : letters.slice(1);
  const raw = options.includes('r');
  const two = (value: number) => `${value}`.padStart(2, '0');
  const year = `${when.year + (raw ? 0 : 1900)}`.padStart(4, '0');
  const date = `${year}-${two(when.month + (raw ? 0 : 1))}-${two(when.day)}`;
  const clock = `${two(when.hour)}:${two(when.minute)}:${two(when.second)}`;
  if (only !== undefined) return only === 'd' ? date : clock;
  return date + (options.includes('s') ? ' ' : 'T') + clock;
}

/** `%pe` of an error pointer: `-ENOENT`; undefined: it is none. */
export function errorPointer(value: Wide, longSize: number): string | undefined {
  const top = longSize === 8 ? 2n ** 64n : 2n ** 32n;
  const error = top - BigInt(value);
  if (error <= 0n || error > 4095n) return undefined;
  const name = errorName(Number(error));
  return name === undefined ? `${-error}` : `-${name}`;
}
