import type { PrintContext } from './context.js';
import { type EventRecord, readInteger, type Wide } from './fields.js';
import { bitmap, bitmapList, DUMP_PREFIX_ADDRESS, DUMP_PREFIX_OFFSET, hexBytes, hexDumpLine } from './hex.js';
import type { RecordFields } from './record-fields.js';
import type { Expression } from './syntax.js';
import { Unfollowable } from './unfollowable.js';
import {
  asInteger,
  asNumber,
  CHAR,
  constant,
  convert,
  INT,
  isInteger,
  placeBytes,
  text,
  U64,
  UINT,
  type Value,
  VOID,
} from './values.js';
import type { IntType } from './wide.js';

/** What helpers need of the expressions around them. */
export interface Scope {
  readonly context: PrintContext;
  readonly fields: RecordFields;
  value(expression: Expression): Value;
  text(value: Value): (record: EventRecord) => string;
  /** Is it a name that nothing is known by? */
  isUnknown(name: string): boolean;
}

type Helper = (args: readonly Expression[], scope: Scope) => Value;

/** A call of a function or macro of the kernel. Throws Unfollowable for one that is not known. */
export function callHelper(name: string, args: readonly Expression[], scope: Scope): Value {
  const helper = HELPERS.get(name) ?? (PAGE_TABLE_VALUE.test(name) ? first : undefined);
  if (helper === undefined) throw new Unfollowable(`it calls ${name}()`);
  return helper(args, scope);
}

/** Functions of page table entries that only take the wrapping off a number. */
const PAGE_TABLE_VALUE = /^(?:native_make_|native_|__)?(?:pte|pmd|pud|p4d|pgd|pgprot)(?:_val)?$/;

/** The names are those of include/trace/stages/stage3_trace_output.h, unless another place is told. */
const HELPERS = new Map<string, Helper>([
  ['__get_str', dynamicText],
  ['__get_rel_str', dynamicText],
  ['__get_dynamic_array', dynamic],
  ['__get_rel_dynamic_array', dynamic],
  ['__get_dynamic_array_len', dynamicLength],
  ['__get_rel_dynamic_array_len', dynamicLength],
  ['__get_sockaddr', dynamic],
  ['__get_rel_sockaddr', dynamic],
  ['__get_bitmask', mask],
  ['__get_rel_bitmask', mask],
  ['__get_cpumask', mask],
  ['__get_rel_cpumask', mask],
  ['__print_flags', (args, scope) => flags(args, scope, scope.context.longSize)],
  ['__print_flags_u64', (args, scope) => flags(args, scope, 8)],
  ['__print_symbolic', (args, scope) => symbolic(args, scope, scope.context.longSize)],
  ['__print_symbolic_u64', (args, scope) => symbolic(args, scope, 8)],
  ['__print_hex', (args, scope) => hex(args, scope, ' ')],
  ['__print_hex_str', (args, scope) => hex(args, scope, '')],
  ['__print_hex_dump', hexDump],
  ['__print_array', array],
  ['__print_dynamic_array', dynamicArray],
  ['__print_ns_to_secs', (args, scope) => seconds(args, scope, '/', U64)],
  ['__print_ns_without_secs', (args, scope) => seconds(args, scope, '%', UINT)],
  ['__event_in_hardirq', (_, scope) => inContext(scope, HARDIRQ)],
  ['__event_in_softirq', (_, scope) => inContext(scope, SOFTIRQ)],
  ['__event_in_irq', (_, scope) => inContext(scope, HARDIRQ | SOFTIRQ)],
  ['__builtin_expect', first],
  ['likely', first],
  ['unlikely', first],
  ['__builtin_constant_p', () => constant(0, INT)],
  ['jiffies_to_msecs', (args, scope) => jiffies(args, scope, 1000)],
  ['jiffies_to_usecs', (args, scope) => jiffies(args, scope, 1_000_000)],
  ['ntohs', (args, scope) => bigEndian(args, scope, 2)],
  ['ntohl', (args, scope) => bigEndian(args, scope, 4)],
  ['__be16_to_cpu', (args, scope) => bigEndian(args, scope, 2)],
  ['__be32_to_cpu', (args, scope) => bigEndian(args, scope, 4)],
  ['be16_to_cpu', (args, scope) => bigEndian(args, scope, 2)],
  ['be32_to_cpu', (args, scope) => bigEndian(args, scope, 4)],
  ['mc_event_error_type', memoryErrorType],
  ['nvme_trace_disk_name', diskName],
]);

/** `TRACE_FLAG_HARDIRQ`, `TRACE_FLAG_SOFTIRQ` of linux/trace_events.h. */
const HARDIRQ = 0x08;
const SOFTIRQ = 0x10;

function argument(args: readonly Expression[], at: number): Expression {
  const expression = args[at];
  if (expression === undefined) throw new Unfollowable('a helper lacks an argument');
  return expression;
}

function first(args: readonly Expression[], scope: Scope): Value {
  return scope.value(argument(args, 0));
}

/** The name of a field: those helpers take it bare. */
function fieldName(args: readonly Expression[]): string {
  const expression = argument(args, 0);
  if (expression.kind !== 'name') throw new Unfollowable('a helper takes the name of a field');
  return expression.name;
}

function dynamic(args: readonly Expression[], scope: Scope): Value {
  return { ...scope.fields.dynamic(fieldName(args)), to: VOID };
}

function dynamicText(args: readonly Expression[], scope: Scope): Value {
  return { ...scope.fields.dynamic(fieldName(args)), to: CHAR };
}

function dynamicLength(args: readonly Expression[], scope: Scope): Value {
  return scope.fields.dynamicLength(fieldName(args));
}

function mask(args: readonly Expression[], scope: Scope): Value {
  const { littleEndian, longSize, options } = scope.context;
  const bytes = placeBytes(scope.fields.dynamic(fieldName(args)));
  const print = options?.has('bitmask-list') === true ? bitmapList : bitmap;
  return {
    kind: 'text',
    get: (record) => {
      const found = bytes(record, Number.MAX_SAFE_INTEGER);
      return print(found, found.length * 8, littleEndian, longSize);
    },
  };
}

/**
 * `{ 1, "one" }, { 2, "two" }`: up to the entry without a name that ends some lists. An entry whose value goes by the name
 * of a constant that is not known is left out: the value is then printed as a number.
 */
function table(args: readonly Expression[], scope: Scope, type: IntType): [bigint, string][] {
  const entries: [bigint, string][] = [];
  for (const list of args) {
    if (list.kind !== 'list') throw new Unfollowable('a helper takes a list of values and names');
    const of = argument(list.items, 0);
    if (of.kind === 'name' && scope.isUnknown(of.name)) continue;
    const value = asInteger(scope.value(of));
    const name = list.items[1] === undefined ? undefined : scope.value(list.items[1]);
    if (name === undefined || name.kind !== 'text') break;
    const number = convert(value, type).constant;
    if (number === undefined || name.constant === undefined) throw new Unfollowable('a list of names is not constant');
    entries.push([BigInt(number), name.constant]);
  }
  return entries;
}

/** Texts of more values than this are made again. */
const MOST_KEPT = 4096;

function named(value: Value, type: IntType, make: (value: Wide) => string): Value {
  const number = convert(asInteger(value), type);
  const { get } = number;
  if (number.constant !== undefined) return text(make(number.constant));
  const known = new Map<Wide, string>();
  return {
    kind: 'text',
    get: (record) => {
      const found = get(record);
      const before = known.get(found);
      if (before !== undefined) return before;
      const made = make(found);
      if (known.size >= MOST_KEPT) known.clear();
      known.set(found, made);
      return made;
    },
  };
}

/** `trace_print_flags_seq()` of kernel/trace/trace_output.c. */
function flags(args: readonly Expression[], scope: Scope, size: number): Value {
  const type: IntType = { kind: 'int', size, signed: false };
  const separator = scope.value(argument(args, 1));
  const between = separator.kind === 'text' ? separator.constant : '';
  if (between === undefined) throw new Unfollowable('what stands between flags is not constant');
  const entries = table(args.slice(2), scope, type);
  return named(scope.value(argument(args, 0)), type, (value) => {
    let rest = BigInt(value);
    const names: string[] = [];
    for (const [bits, name] of entries) {
      if (rest === 0n) break;
      if ((rest & bits) !== bits) continue;
      names.push(name);
      rest &= ~bits;
    }
    if (rest !== 0n) names.push(`0x${rest.toString(16)}`);
    return names.join(between);
  });
}

/** `trace_print_symbols_seq()` */
function symbolic(args: readonly Expression[], scope: Scope, size: number): Value {
  const type: IntType = { kind: 'int', size, signed: false };
  const names = new Map<bigint, string>();
  for (const [value, name] of table(args.slice(1), scope, type)) if (!names.has(value)) names.set(value, name);
  return named(scope.value(argument(args, 0)), type, (value) => {
    // A name without a character is none.
    return names.get(BigInt(value)) || `0x${value.toString(16)}`;
  });
}

/** Bytes in the record, from a pointer and a length in bytes. */
function bytesOf(pointer: Value, length: Value): (record: EventRecord) => Uint8Array {
  if (pointer.kind !== 'place') throw new Unfollowable('it prints memory outside of the record');
  const bytes = placeBytes({ ...pointer, end: undefined });
  const count = asNumber(length);
  return (record) => bytes(record, count(record));
}

/** `trace_print_hex_seq()` */
function hex(args: readonly Expression[], scope: Scope, separator: string): Value {
  const bytes = bytesOf(scope.value(argument(args, 0)), scope.value(argument(args, 1)));
  return { kind: 'text', get: (record) => hexBytes(bytes(record), separator) };
}

/** `trace_print_hex_dump_seq()`: prefix, its kind, bytes in a row and in a group, the bytes, how many, with text? */
function hexDump(args: readonly Expression[], scope: Scope): Value {
  const { littleEndian } = scope.context;
  const prefix = scope.value(argument(args, 0));
  if (prefix.kind !== 'text' || prefix.constant === undefined) throw new Unfollowable('a prefix is not constant');
  const [kind, row, group, ascii] = [1, 2, 3, 6].map((at) => constantOf(scope.value(argument(args, at))));
  if (kind === DUMP_PREFIX_ADDRESS) {
    throw new Unfollowable('it prints where its record lay, which is not known any more');
  }
  const bytes = bytesOf(scope.value(argument(args, 4)), scope.value(argument(args, 5)));
  const rowSize = row === 32 ? 32 : 16;
  return {
    kind: 'text',
    get: (record) => {
      const found = bytes(record);
      let lines = '\n';
      for (let at = 0; at < found.length; at += rowSize) {
        const offset = kind === DUMP_PREFIX_OFFSET ? `${at.toString(16).padStart(8, '0')}: ` : '';
        const part = found.subarray(at, at + rowSize);
        lines += `${prefix.constant}${offset}${hexDumpLine(part, rowSize, group ?? 1, ascii !== 0, littleEndian)}\n`;
      }
      return lines;
    },
  };
}

/** `trace_print_array_seq()` */
function arrayText(
  pointer: Value,
  count: (record: EventRecord) => number,
  size: number,
  { littleEndian }: PrintContext,
): Value {
  if (pointer.kind !== 'place') throw new Unfollowable('it prints memory outside of the record');
  if (![1, 2, 4, 8].includes(size)) throw new Unfollowable(`an array of elements of ${size} bytes`);
  const bytes = placeBytes({ ...pointer, end: undefined });
  return {
    kind: 'text',
    get: (record) => {
      const found = bytes(record, count(record) * size);
      const from = found.byteOffset - record.bytes.byteOffset;
      let made = '{';
      for (let at = 0; at + size <= found.length; at += size) {
        if (at > 0) made += ',';
        made += `0x${readInteger(record.view, from + at, size, false, littleEndian).toString(16)}`;
      }
      return `${made}}`;
    },
  };
}

function array(args: readonly Expression[], scope: Scope): Value {
  const size = constantOf(scope.value(argument(args, 2)));
  return arrayText(scope.value(argument(args, 0)), asNumber(scope.value(argument(args, 1))), size, scope.context);
}

function dynamicArray(args: readonly Expression[], scope: Scope): Value {
  const name = fieldName(args);
  const size = constantOf(scope.value(argument(args, 1)));
  const length = asNumber(scope.fields.dynamicLength(name));
  return arrayText(scope.fields.dynamic(name), (record) => Math.floor(length(record) / size), size, scope.context);
}

function constantOf(value: Value): number {
  if (!isInteger(value) || value.constant === undefined) throw new Unfollowable('a size is not constant');
  return Number(value.constant);
}

function seconds(args: readonly Expression[], scope: Scope, operator: '/' | '%', type: IntType): Value {
  const divided: Expression = {
    kind: 'binary',
    operator,
    left: { kind: 'cast', type: { base: 'u64', pointers: 0 }, operand: argument(args, 0) },
    right: { kind: 'number', value: 1_000_000_000n, suffix: 'ull', decimal: true },
  };
  return convert(asInteger(scope.value(divided)), type);
}

function inContext(scope: Scope, bits: number): Value {
  const of = asNumber(scope.fields.value('common_flags'));
  return { kind: 'narrow', type: INT, get: (record) => of(record) & bits };
}

/** How often the kernel's clock ticks a second (`HZ`): it stands in a format that divides jiffies by it. */
function ticksPerSecond({ formats }: PrintContext): number {
  for (const { printFormat } of formats.all) {
    const found = /\(jiffies - REC->\w+\) \/ (\d+)/.exec(printFormat)?.[1];
    if (found !== undefined && Number(found) > 0) return Number(found);
  }
  throw new Unfollowable('how long a jiffy is is not known');
}

/** `jiffies_to_msecs()`, `jiffies_to_usecs()` of kernel/time/time.c: rounded up where a jiffy is no whole number of them. */
function jiffies(args: readonly Expression[], scope: Scope, perSecond: number): Value {
  const ticks = ticksPerSecond(scope.context);
  const { get } = asInteger(scope.value(argument(args, 0)));
  return {
    kind: 'narrow',
    type: UINT,
    get: (record) => Number(BigInt.asUintN(32, BigInt(Math.ceil((Number(get(record)) * perSecond) / ticks)))),
  };
}

function bigEndian(args: readonly Expression[], scope: Scope, size: 2 | 4): Value {
  const type: IntType = { kind: 'int', size, signed: false };
  const value = convert(asInteger(scope.value(argument(args, 0))), type);
  if (!scope.context.littleEndian) return value;
  const get = asNumber(value);
  const swap =
    size === 2
      ? (word: number) => ((word & 0xff) << 8) | (word >>> 8)
      : (word: number) => ((word << 24) | ((word & 0xff00) << 8) | ((word >>> 8) & 0xff00) | (word >>> 24)) >>> 0;
  return { kind: 'narrow', type, get: (record) => swap(get(record)) };
}

const MEMORY_ERRORS = ['Corrected', 'Uncorrected', 'Deferred', 'Fatal'];

/** `mc_event_error_type()` of linux/edac.h. */
function memoryErrorType(args: readonly Expression[], scope: Scope): Value {
  const type = asNumber(scope.value(argument(args, 0)));
  return { kind: 'text', get: (record) => MEMORY_ERRORS[type(record)] ?? 'Info' };
}

/** `nvme_trace_disk_name()` of drivers/nvme/host/trace.c. */
function diskName(args: readonly Expression[], scope: Scope): Value {
  const name = scope.text(scope.value(argument(args, 1)));
  return {
    kind: 'text',
    get: (record) => {
      const disk = name(record);
      return disk === '' ? '' : `disk=${disk}, `;
    },
  };
}
