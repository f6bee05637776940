import { ExhumeError } from '../../bytes/errors.js';
import { callerName, type KernelLog, LOG_CONT, LOG_NEWLINE, LOG_PREFIX, type LogRecord } from './record.js';

/** `dmesg`'s names of the levels, by number. */
export const LOG_LEVELS = ['emerg', 'alert', 'crit', 'err', 'warn', 'notice', 'info', 'debug'] as const;
export type LogLevelName = (typeof LOG_LEVELS)[number];

/** Which records of a log. */
export interface LogSelection {
  /** Only these levels (0 emergency … 7 debug). */
  readonly levels?: ReadonlySet<number> | undefined;
  /** Only the last so many, of those that are left. */
  readonly tail?: number | undefined;
}

/** How a log is written. The defaults are the console's: `[    0.000000] text`. */
export interface LogFormatOptions {
  /** `<6>` before each line: facility times 8 plus level, as `dmesg --raw`. */
  readonly raw?: boolean;
  /** `seconds` since boot; `ctime`, wall-clock time as `dmesg --ctime`, in UTC; or `none`. */
  readonly time?: 'seconds' | 'ctime' | 'none';
  /** When the machine booted, in seconds since 1970; `ctime` needs it. */
  readonly bootTime?: number;
  /** `[   T12]` or `[    C0]` after the time, as kernels with CONFIG_PRINTK_CALLER print it. */
  readonly caller?: boolean;
  /**
   * What stands before the second and further lines of a record: the whole prefix again, as the kernel and dmesg print them;
   * as many spaces, as crash prints them; or nothing, as drgn prints them.
   */
  readonly furtherLines?: 'prefixed' | 'indented' | 'bare';
  /** ` SUBSYSTEM=…` and ` DEVICE=…` on lines of their own after the record. */
  readonly dictionary?: boolean;
  /** Leave control characters as they are. By default they are shown as `\xNN`: any user can write to the log. */
  readonly unsafe?: boolean;
}

/**
 * `err,warn` or `notice+` (that and worse), as `dmesg --level`; numbers do too.
 * Throws EXH_USAGE for a word that is no level.
 */
export function parseLevels(words: string): Set<number> {
  const levels = new Set<number>();
  for (const word of words.split(',')) {
    const [, name, andWorse] = /^\s*([a-z]+|[0-7])(\+?)\s*$/.exec(word) ?? [];
    const level = LOG_LEVELS.findIndex((known, number) => known === name || String(number) === name);
    if (level < 0) {
      throw new ExhumeError('EXH_USAGE', `${word} is no log level: ${LOG_LEVELS.join(', ')}, or ${LOG_LEVELS[4]}+`, {
        found: word,
      });
    }
    for (let each = andWorse === '+' ? 0 : level; each <= level; each++) levels.add(each);
  }
  return levels;
}

/** The records that were asked for, oldest first. */
export function selectRecords(log: KernelLog, { levels, tail }: LogSelection): readonly LogRecord[] {
  const chosen = levels === undefined ? log.records : log.records.filter((record) => levels.has(record.level));
  return tail === undefined ? chosen : chosen.slice(Math.max(0, chosen.length - tail));
}

/** Lines, without line ends, of the whole log or of some of its records. */
export function* formatLog(
  log: KernelLog,
  options: LogFormatOptions = {},
  records: readonly LogRecord[] = log.records,
): Generator<string> {
  let line = '';
  let before: LogRecord | undefined;
  for (const record of records) {
    const adjacent = before !== undefined && follows(before, record);
    if (line !== '' && !adjacent) {
      yield line;
      line = '';
    }
    const { prefixed, ended } = log.joinsContinuations
      ? joining(adjacent ? (before?.flags ?? 0) : 0, record.flags)
      : { prefixed: true, ended: true };
    const lines = recordLines(record, options);
    for (const [i, { prefix, text }] of lines.entries()) {
      line += i > 0 || prefixed ? prefix + text : text;
      if (i < lines.length - 1 || ended) {
        yield line;
        line = '';
      }
    }
    if (options.dictionary === true) {
      for (const { key, value } of record.dictionary) yield ` ${shown(`${key}=${value}`, options)}`;
    }
    before = record;
  }
  if (line !== '') yield line;
}

/** What kernels up to 4.9 do with a record, by its flags and those of the one before (msg_print_text, kernel/printk/printk.c). */
function joining(previous: number, flags: number): { prefixed: boolean; ended: boolean } {
  const continued = (previous & LOG_CONT) !== 0;
  const fragment = (flags & LOG_CONT) !== 0;
  const open = continued && (previous & LOG_NEWLINE) === 0;
  return {
    prefixed: !(continued && (flags & LOG_PREFIX) === 0) && !(fragment && open),
    ended: !fragment || (flags & LOG_NEWLINE) !== 0,
  };
}

function follows(before: LogRecord, record: LogRecord): boolean {
  return before.sequence === undefined || record.sequence === undefined || record.sequence === before.sequence + 1;
}

function recordLines(record: LogRecord, options: LogFormatOptions): { prefix: string; text: string }[] {
  const prefix = linePrefix(record, options);
  const further = { prefixed: prefix, indented: ' '.repeat(prefix.length), bare: '' }[
    options.furtherLines ?? 'prefixed'
  ];
  return record.text.split('\n').map((text, i) => ({ prefix: i === 0 ? prefix : further, text: shown(text, options) }));
}

function linePrefix(record: LogRecord, options: LogFormatOptions): string {
  const priority = options.raw === true ? `<${record.facility * 8 + record.level}>` : '';
  const time = timeText(record, options);
  const caller =
    options.caller === true && record.caller !== undefined ? `[${callerName(record.caller).padStart(6)}]` : '';
  return `${priority}${time}${caller}${time === '' && caller === '' ? '' : ' '}`;
}

function timeText({ timeNanoseconds }: LogRecord, { time = 'seconds', bootTime }: LogFormatOptions): string {
  if (time === 'none' || timeNanoseconds === undefined) return '';
  if (time === 'seconds') return `[${secondsText(timeNanoseconds)}]`;
  if (bootTime === undefined) {
    throw new ExhumeError('EXH_USAGE', 'wall-clock times need the time of boot, and this dump does not tell it', {
      hint: 'leave out --ctime',
    });
  }
  return `[${ctime(Math.floor(bootTime + Number(timeNanoseconds / 1000n) / 1e6))}]`;
}

/** `    0.000000`: seconds since boot, in five columns at least, and microseconds cut off. */
export function secondsText(nanoseconds: bigint): string {
  const microseconds = nanoseconds / 1000n;
  const fraction = String(microseconds % 1_000_000n).padStart(6, '0');
  return `${String(microseconds / 1_000_000n).padStart(5)}.${fraction}`;
}

const DAYS = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat'];
const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];

/** `Fri Nov 20 11:59:24 2026`, in UTC; seconds since 1970. Dates that no calendar has are shown as a number. */
export function ctime(seconds: number): string {
  const date = new Date(seconds * 1000);
  if (Number.isNaN(date.getTime())) return `${seconds} s`;
  const two = (number: number) => String(number).padStart(2, '0');
  const clock = [date.getUTCHours(), date.getUTCMinutes(), date.getUTCSeconds()].map(two).join(':');
  const day = String(date.getUTCDate()).padStart(2);
  return `${DAYS[date.getUTCDay()]} ${MONTHS[date.getUTCMonth()]} ${day} ${clock} ${date.getUTCFullYear()}`;
}

/** Control characters, except the tab, as `\xNN`: they could steer the reader's terminal. */
function shown(text: string, { unsafe }: LogFormatOptions): string {
  if (unsafe === true) return text;
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  return text.replace(/[\u0000-\u0008\u000a-\u001f\u007f-\u009f]/g, (character) => {
    return `\\x${character.charCodeAt(0).toString(16).padStart(2, '0')}`;
  });
}
