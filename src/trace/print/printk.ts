import type { PrintContext } from './context.js';
import { type Filled, type FormatPart, fill, formatInteger, formatText, parseFormat } from './conversion.js';
import { readInteger, type Wide } from './fields.js';
import { addressText } from './pieces.js';
import { textUpToNul } from './text-bytes.js';
import { toType } from './wide.js';

/** Formats of which the parts are kept. */
const MOST_KEPT = 4096;

/** What was made for a trace: what it prints depends on the trace's names. */
const formatters = new WeakMap<PrintContext, (format: string, args: Uint8Array) => string>();

/**
 * Puts into words a `trace_printk()` whose format was kept apart from its arguments (`bprint` events): as
 * `bstr_printf()` of lib/vsprintf.c reads what `vbin_printf()` packed. Never throws: text ends where arguments do.
 */
export function formatPrintk(format: string, args: Uint8Array, context: PrintContext): string {
  let formatter = formatters.get(context);
  if (formatter === undefined) {
    formatter = printkFormatter(context);
    formatters.set(context, formatter);
  }
  return formatter(format, args);
}

function printkFormatter(context: PrintContext): (format: string, args: Uint8Array) => string {
  const known = new Map<string, readonly FormatPart[]>();
  const addresses = new Map<string, ReturnType<typeof addressText>>();
  const address = (extension: string) => {
    if (!addresses.has(extension)) addresses.set(extension, addressText(extension, context, false));
    return addresses.get(extension);
  };
  const small = smallArguments(context);
  return (format, args) => {
    let parts = known.get(format);
    if (parts === undefined) {
      parts = parseFormat(format, context.longSize);
      if (known.size >= MOST_KEPT) known.clear();
      known.set(format, parts);
    }
    if (small === undefined && parts.some((part) => typeof part !== 'string' && part.type.size < 4)) {
      const reader = new Arguments(args, context, 'int');
      const text = printedAll(parts, reader, address);
      if (reader.fits) return text;
    }
    return printedAll(parts, new Arguments(args, context, small ?? 'own'), address);
  };
}

/** How an argument of less than an `int` is packed: as one, or in its own size. */
type SmallArguments = 'int' | 'own';

/**
 * Kernels up to 6.14 pack small arguments in their own size. An enumeration of lib/vsprintf.c that went with it tells;
 * undefined where enumerations are not known: then the length of the arguments has to.
 */
function smallArguments({ names }: PrintContext): SmallArguments | undefined {
  if (names.constant?.('FORMAT_TYPE_USHORT') !== undefined) return 'own';
  return names.constant?.('FORMAT_STATE_NUM') === undefined ? undefined : 'int';
}

function printedAll(
  parts: readonly FormatPart[],
  reader: Arguments,
  address: (extension: string) => ReturnType<typeof addressText>,
): string {
  let text = '';
  for (const part of parts) {
    if (typeof part === 'string') {
      text += part;
      continue;
    }
    const width = part.width === '*' ? reader.int() : 0;
    const precision = part.precision === '*' ? reader.int() : 0;
    const piece = printed(fill(part, width, precision), reader, address);
    if (piece === undefined) break;
    text += piece;
  }
  return text;
}

/** Undefined where the arguments end. */
function printed(
  conversion: Filled,
  reader: Arguments,
  address: (extension: string) => ReturnType<typeof addressText>,
): string | undefined {
  switch (conversion.kind) {
    case 'char': {
      const byte = reader.integer(1);
      return byte === undefined
        ? undefined
        : formatText(String.fromCharCode(Number(byte) & 0xff), { ...conversion, precision: undefined });
    }
    case 'string': {
      const text = reader.text();
      return text === undefined ? undefined : formatText(text, conversion);
    }
    case 'integer': {
      const value = reader.number(conversion.type.size);
      return value === undefined ? undefined : formatInteger(toType(value, conversion.type), conversion);
    }
    case 'pointer': {
      // What is printed of memory was printed when it was recorded: only these, and plain pointers, are addresses.
      const asAddress = /^(?:[SsxKe]|$)/.test(conversion.extension) ? address(conversion.extension) : undefined;
      if (asAddress === undefined) return reader.text();
      const value = reader.pointer();
      return value === undefined ? undefined : asAddress(value, conversion);
    }
  }
}

/** Arguments one after another, each aligned to its size, at most to 4 bytes; texts as they are, with their NUL. */
class Arguments {
  private at = 0;
  private lacking = false;
  private readonly view: DataView;

  constructor(
    private readonly bytes: Uint8Array,
    private readonly context: PrintContext,
    private readonly small: SmallArguments,
  ) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  }

  int(): number {
    return Number(this.take(4, true) ?? 0);
  }

  integer(size: number): Wide | undefined {
    return this.take(size, false);
  }

  /** An integer that is printed in so many bytes. */
  number(size: number): Wide | undefined {
    return this.take(size < 4 && this.small === 'int' ? 4 : size, false);
  }

  /** Were they read up to their end, which lies at a multiple of 4 bytes, and not beyond? */
  get fits(): boolean {
    return !this.lacking && this.bytes.length - this.at < 4;
  }

  pointer(): Wide | undefined {
    return this.take(this.context.longSize, false);
  }

  text(): string | undefined {
    if (this.at >= this.bytes.length) return undefined;
    const end = this.bytes.indexOf(0, this.at);
    const text = textUpToNul(this.bytes, this.at, end < 0 ? this.bytes.length : end);
    this.at = end < 0 ? this.bytes.length : end + 1;
    return text;
  }

  private take(size: number, signed: boolean): Wide | undefined {
    const align = Math.min(size, 4);
    const from = Math.ceil(this.at / align) * align;
    if (from + size > this.bytes.length) {
      this.lacking = true;
      this.at = this.bytes.length;
      return undefined;
    }
    this.at = from + size;
    return readInteger(this.view, from, size, signed, this.context.littleEndian);
  }
}
