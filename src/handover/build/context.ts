import type { ByteSource } from '../../bytes/byte-source.js';
import { bytesContent, type Content, contentFrom, PatternSource, RandomSource } from './content.js';
import type { ContentDescription } from './description.js';
import { type Layout, usage } from './layout.js';

/** What the parts of a build share. */
export interface BuildContext {
  readonly layout: Layout;
  /** Opens what a content names as its file. Throws EXH_IO. */
  readonly open: (name: string) => ByteSource;
}

/** Bytes that a description asks for, and how many there are; undefined: as many as are wanted. */
export interface Resolved {
  readonly content: Content;
  readonly size: number | undefined;
}

/** Throws EXH_USAGE for a pattern without bytes and for more of a file than it has, EXH_IO as the file does. */
export function resolveContent(
  context: BuildContext,
  description: ContentDescription | undefined,
  path: string,
): Resolved {
  if (description === undefined) return { content: 'zeros', size: undefined };
  if (typeof description === 'string') return { content: description, size: undefined };
  if ('hex' in description) return ofBytes(hexOf(description.hex, `${path}.hex`));
  if ('text' in description) return ofBytes(new TextEncoder().encode(description.text));
  if ('pattern' in description) {
    const pattern = hexOf(description.pattern, `${path}.pattern`);
    if (pattern.length === 0) throw usage(`${path}.pattern`, 'there are no bytes in it');
    return { content: new PatternSource(pattern), size: undefined };
  }
  if ('random' in description) return { content: new RandomSource(description.random), size: undefined };
  const file = context.open(description.file);
  const offset = sizeOf(description.offset ?? 0, `${path}.offset`);
  const rest = contentFrom(file, offset);
  const size = sizeOf(description.size ?? Math.max(0, file.size - offset), `${path}.size`);
  if (offset + size > file.size) throw usage(path, `${description.file} has ${file.size} bytes`);
  return { content: rest, size };
}

/** Memory of a size that is given, or that its content has. Throws EXH_USAGE when neither is there, or the content is longer. */
export function sized(
  context: BuildContext,
  { size, content }: { readonly size?: string | number; readonly content?: ContentDescription },
  path: string,
): { readonly content: Content; readonly size: number } {
  const resolved = resolveContent(context, content, `${path}.content`);
  const wanted = size === undefined ? resolved.size : sizeOf(size, `${path}.size`);
  if (wanted === undefined) throw usage(path, 'its size is needed, or a content that has one');
  if (resolved.size !== undefined && resolved.size > wanted) {
    throw usage(path, `its content has ${resolved.size} bytes, and there is room for ${wanted}`);
  }
  return { content: resolved.content, size: wanted };
}

function ofBytes(bytes: Uint8Array): Resolved {
  return { content: bytesContent(bytes), size: bytes.length };
}

/** Two digits a byte; blanks may stand between. */
export function hexOf(text: string, path: string): Uint8Array {
  const digits = text.replace(/\s/g, '');
  if (!/^([0-9a-fA-F]{2})*$/.test(digits)) throw usage(path, 'is not pairs of hexadecimal digits');
  return Uint8Array.from({ length: digits.length / 2 }, (_, at) =>
    Number.parseInt(digits.slice(at * 2, at * 2 + 2), 16),
  );
}

/** A physical address; undefined stays so. Throws EXH_USAGE from 2^52 on. */
export function addressOf(value: string | number, path: string): number;
export function addressOf(value: string | number | undefined, path: string): number | undefined;
export function addressOf(value: string | number | undefined, path: string): number | undefined {
  if (value === undefined) return undefined;
  const address = Number(value);
  if (Number.isInteger(address) && address >= 0 && address < 2 ** 52) return address;
  throw usage(path, `${value} is no physical address (0 to 2^52-1)`);
}

const UNITS = ['', 'K', 'M', 'G', 'T'];

/** Bytes: a number, in digits or `0x…`, and perhaps a unit. Throws EXH_USAGE from 2^52 on. */
export function sizeOf(value: string | number, path: string): number {
  const [, digits = '', unit = ''] = /^(0x[0-9a-f]+|\d+)([KMGT]?)$/i.exec(String(value)) ?? [];
  const size = digits === '' ? Number.NaN : Number(digits) * 1024 ** UNITS.indexOf(unit.toUpperCase());
  if (Number.isInteger(size) && size >= 0 && size <= 2 ** 52) return size;
  throw usage(path, `${value} is no size`);
}

/** A word of 64 bits. Throws EXH_USAGE for more. */
export function wordOf(value: string | number | undefined, path: string, otherwise = 0n): bigint {
  if (value === undefined) return otherwise;
  const word = BigInt(value);
  if (word >= -(2n ** 63n) && word < 2n ** 64n) return BigInt.asUintN(64, word);
  throw usage(path, `${value} has more than 64 bits`);
}

/** A word of 32 bits. Throws EXH_USAGE for more. */
export function word32Of(value: string | number | undefined, path: string, otherwise = 0): number {
  if (value === undefined) return otherwise;
  const word = Number(value);
  if (Number.isInteger(word) && word >= -(2 ** 31) && word < 2 ** 32) return word >>> 0;
  throw usage(path, `${value} has more than 32 bits`);
}
