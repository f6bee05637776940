import { ExhumeError } from '../../bytes/errors.js';
import type { Address } from './options.js';

/** What a value may be, in words. */
function no(what: string, found: string): ExhumeError {
  return new ExhumeError('EXH_USAGE', `${found} is no ${what}`, { found });
}

const UNITS = ['', 'K', 'M', 'G', 'T'];

/** Bytes: `4096`, `64K`, `1GiB`; a unit is 1024 of the one before. Throws EXH_USAGE. */
export function parseBytes(text: string): number {
  const [, digits, unit = ''] = /^(\d+)([KMGT]?)(?:i?B)?$/i.exec(text) ?? [];
  const value = Number(digits) * 1024 ** UNITS.indexOf(unit.toUpperCase());
  if (!Number.isSafeInteger(value)) throw no('number of bytes (4096, 64K, 1G)', text);
  return value;
}

/** A whole number from 0 on. Throws EXH_USAGE. */
export function parseCount(text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(value)) throw no('whole number', text);
  return value;
}

/** Rights of a socket, in octal digits. Throws EXH_USAGE. */
export function parseMode(text: string): number {
  if (!/^0?[0-7]{3}$/.test(text)) throw no('mode in octal digits (660)', text);
  return Number.parseInt(text, 8);
}

/** `PORT` of the loopback address, `HOST:PORT`, `[::1]:PORT`. Throws EXH_USAGE. */
export function parseAddress(text: string): Address {
  const [, bracketed, plain, digits] = /^(?:(?:\[([^\]]+)\]|([^:[\]]+)):)?(\d{1,5})$/.exec(text) ?? [];
  const port = Number(digits);
  if (!(port <= 0xffff)) throw no('address (PORT or HOST:PORT)', text);
  return { host: bracketed ?? plain ?? '127.0.0.1', port };
}
