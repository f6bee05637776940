import type { EventFormat, TraceEvent, TraceFormats } from '../model.js';
import type { FieldReader } from '../print/fields.js';
import { type BodyContext, type EventBody, fieldsOf } from './kinds.js';

/** How a kernel shows system calls (kernel/trace/trace_syscalls.c): before and since it reads what their pointers lead to. */
type Style = 'plain' | 'with data';

const ENTER = 'sys_enter_';
const EXIT = 'sys_exit_';
/** What is behind a pointer is kept in a field of this name. */
const DATA = /^__(.*)_val$/;

// Of include/uapi/asm-generic/fcntl.h; the order is that of sys_enter_openat_print().
const OPEN_FLAGS: readonly (readonly [mask: number, name: string])[] = [
  [0o20200000, 'O_TMPFILE'],
  [0o1, 'O_WRONLY'],
  [0o2, 'O_RDWR'],
  [0o100, 'O_CREAT'],
  [0o200, 'O_EXCL'],
  [0o400, 'O_NOCTTY'],
  [0o1000, 'O_TRUNC'],
  [0o2000, 'O_APPEND'],
  [0o4000, 'O_NONBLOCK'],
  [0o10000, 'O_DSYNC'],
  [0o40000, 'O_DIRECT'],
  [0o100000, 'O_LARGEFILE'],
  [0o200000, 'O_DIRECTORY'],
  [0o400000, 'O_NOFOLLOW'],
  [0o1000000, 'O_NOATIME'],
  [0o2000000, 'O_CLOEXEC'],
];
const O_CREAT_OR_TMPFILE = 0o20200100;
const O_ACCMODE = 0o3;

/** The body of a system call's event; undefined for all others. */
export function systemCall(format: EventFormat, context: BodyContext): EventBody | undefined {
  if (format.system !== 'syscalls') return undefined;
  if (format.name.startsWith(EXIT)) return leave(format, context);
  return format.name.startsWith(ENTER) ? enter(format, context) : undefined;
}

function leave(format: EventFormat, { trace }: BodyContext): EventBody | undefined {
  const value = fieldsOf(format, trace)('ret');
  const name = `sys_${format.name.slice(EXIT.length)}`;
  return value && ((event) => `${name} -> 0x${unsigned(value, event).toString(16)}\n`);
}

interface Argument {
  readonly name: string;
  readonly type: string;
  readonly value: FieldReader;
  readonly data: FieldReader | undefined;
}

function enter(format: EventFormat, { trace, settings }: BodyContext): EventBody {
  const fields = fieldsOf(format, trace);
  const data = new Map(format.fields.map(({ name }) => [DATA.exec(name)?.[1], name]));
  const args: Argument[] = [];
  // The first field is the system call's number.
  for (const { name, type } of format.fields.slice(1)) {
    const value = DATA.test(name) ? undefined : fields(name);
    const behind = data.get(name);
    if (value !== undefined) args.push({ name, type, value, data: behind === undefined ? undefined : fields(behind) });
  }
  const call = `sys_${format.name.slice(ENTER.length)}`;
  const style = styleOf(trace.formats);
  if (style === 'with data' && call === 'sys_openat' && !settings.verbose) {
    return (event) => `${call}(${openArguments(args, event)})\n`;
  }
  const text = !format.printFormat.includes('__print_dynamic_array');
  const one = style === 'plain' ? plain : withData(args, text);
  return (event) => {
    const words = args.map((argument) => `${settings.verbose ? `${argument.type} ` : ''}${one(argument, event)}`);
    return `${call}(${words.join(', ')})\n`;
  };
}

const STYLES = new WeakMap<TraceFormats, Style>();

/** The number format changed when data came; a kernel keeps data of some system call or of none. */
function styleOf(formats: TraceFormats): Style {
  let style = STYLES.get(formats);
  if (style === undefined) {
    const keeps = formats.all.some(
      ({ system, fields }) => system === 'syscalls' && fields.some(({ name }) => DATA.test(name)),
    );
    style = keeps ? 'with data' : 'plain';
    STYLES.set(formats, style);
  }
  return style;
}

function unsigned(reader: FieldReader, event: TraceEvent): number | bigint {
  const value = reader.read(event) as number | bigint;
  return value < 0 ? BigInt.asUintN(64, BigInt(value)) : value;
}

type ShowArgument = (argument: Argument, event: TraceEvent) => string;

const plain: ShowArgument = ({ name, value }, event) => `${name}: ${unsigned(value, event).toString(16)}`;

/** With what a pointer leads to: text, or bytes of which another argument says how many there were. */
function withData(args: readonly Argument[], text: boolean): ShowArgument {
  return (argument, event) => {
    const { name, value, data } = argument;
    const number = unsigned(value, event);
    const shown = `${name}: ${number < 10 ? number : `0x${number.toString(16)}`}`;
    if (data === undefined) return shown;
    if (text) return `${shown} "${String(data.read(event))}"`;
    const size = args[args.indexOf(argument) + 1];
    return `${shown} ${bytesShown(data.bytes(event), size === undefined ? 0 : Number(unsigned(size.value, event)))}`;
  };
}

function bytesShown(bytes: Uint8Array, size: number): string {
  const more = bytes.length < size;
  const codes = Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join(':');
  const shown = `(${codes}${more ? ', ...' : ''})`;
  if (!bytes.some(isPrintable)) return shown;
  const letters = Array.from(bytes, (byte) => (isPrintable(byte) ? String.fromCharCode(byte) : '.')).join('');
  return `${shown} "${letters}"${more ? '...' : ''}`;
}

function isPrintable(byte: number): boolean {
  return byte >= 0x20 && byte < 0x7f;
}

function openArguments(args: readonly Argument[], event: TraceEvent): string {
  const words: string[] = [];
  for (const [index, { name, value, data }] of args.entries()) {
    const number = unsigned(value, event);
    if (index === 2) {
      words.push(`flags: ${openFlags(Number(number))}`);
      // Without a file to make there is no mode.
      if ((Number(number) & O_CREAT_OR_TMPFILE) === 0) break;
    } else if (index === 3) {
      words.push(`${name}: 0${(Number(number) >>> 0).toString(8).padStart(3, '0')}`);
    } else {
      words.push(`${name}: ${number}${data === undefined ? '' : ` "${String(data.read(event))}"`}`);
    }
  }
  return words.join(', ');
}

function openFlags(flags: number): string {
  if (flags === 0) return 'O_RDONLY';
  const words: string[] = (flags & O_ACCMODE) === 0 ? ['O_RDONLY'] : [];
  let left = flags;
  for (const [mask, name] of OPEN_FLAGS) {
    if ((left & mask) !== mask) continue;
    words.push(name);
    left &= ~mask;
  }
  if (left !== 0) words.push(`0x${(left >>> 0).toString(16)}`);
  return words.join('|');
}
