import type { Damage } from '../../bytes/errors.js';

/** Where a message came from: a task's code, or an interrupt on a CPU (`printk_caller_id`, kernel/printk/printk.c). */
export interface LogCaller {
  readonly kind: 'task' | 'cpu';
  /** The thread id or the CPU number. */
  readonly id: number;
}

/** Who ran when the message was printed; kernels with CONFIG_PRINTK_EXECUTION_CTX keep all three. */
export interface LogExecution {
  readonly pid: number;
  readonly cpu: number;
  readonly comm: string;
}

/** One `KEY=VALUE` that a driver attached to its message: `SUBSYSTEM=pci`, `DEVICE=+pci:0000:00:01.0`. */
export interface DictionaryEntry {
  readonly key: string;
  readonly value: string;
}

/** One message of the kernel log, however the kernel kept it. */
export interface LogRecord {
  /** Counts from boot, 0 the first; undefined where the kernel does not tell (plain-text logs, `log_first_seq` not known). */
  readonly sequence: number | undefined;
  /** Nanoseconds since boot; undefined in a plain-text log printed without times. */
  readonly timeNanoseconds: bigint | undefined;
  /** 0 emergency … 7 debug. */
  readonly level: number;
  /** syslog facility: 0 the kernel, 1 user (written to /dev/kmsg), 3 daemons … */
  readonly facility: number;
  /** The record's five flag bits as they stood. */
  readonly flags: number;
  /** Flag 2, LOG_NEWLINE: the message ended its line. */
  readonly newline: boolean;
  /** Flag 8, LOG_CONT: a fragment of a line that could not be merged with the record before it. */
  readonly continuation: boolean;
  readonly caller: LogCaller | undefined;
  readonly execution: LogExecution | undefined;
  /** Without the final newline; may hold newlines. UTF-8; bytes that are not stand as `\xNN`. */
  readonly text: string;
  readonly dictionary: readonly DictionaryEntry[];
}

/** A message that some CPU was writing when the kernel stopped: reserved, not committed. The kernel itself never shows it. */
export interface PendingRecord extends LogRecord {
  /** How many of the records of the log come before it. */
  readonly after: number;
}

/** A hole in the sequence numbers. */
export interface LogGap {
  /** The sequence number of the last record before the hole. */
  readonly after: number;
  /** How many messages are missing. */
  readonly count: number;
}

/** Messages that the kernel printed and that are not in the log. */
export interface LostRecords {
  /** Before the first record: overwritten, as the log is a ring, or cleared away. Undefined where sequence numbers are. */
  readonly atStart: number | undefined;
  /** Between records, and after the last one: damaged, or never stored for want of room. Pending messages are not lost. */
  readonly gaps: readonly LogGap[];
}

export type LogFormat =
  /** 5.10 and later: descriptors, infos and a text ring. */
  | 'printk_ringbuffer'
  /** 3.5 to 5.9: records of variable length in one buffer. */
  | 'log_buf'
  /** Before 3.5: a ring of text. */
  | 'text';

/** The kernel log as it stood in memory. */
export interface KernelLog {
  readonly format: LogFormat;
  /** Where it lay, in words: `prb at 0xffffffff8264f2c0, 8192 descriptors, 262144 bytes of text`. */
  readonly source: string;
  /** Oldest first. */
  readonly records: readonly LogRecord[];
  readonly pending: readonly PendingRecord[];
  readonly lost: LostRecords;
  /**
   * This kernel printed continuation records on the line of the record before (up to 4.9).
   * Later ones give each record a line of its own.
   */
  readonly joinsContinuations: boolean;
  readonly damage: readonly Damage[];
}

/** `T123` for task 123, `C1` for CPU 1, as printk names callers. */
export function callerName(caller: LogCaller): string {
  return `${caller.kind === 'cpu' ? 'C' : 'T'}${caller.id}`;
}

const CPU_CALLER = 0x80000000;

/** Decodes `caller_id`: bit 31 set, a CPU number; clear, a thread id. */
export function callerOf(id: number): LogCaller {
  return id >= CPU_CALLER ? { kind: 'cpu', id: id - CPU_CALLER } : { kind: 'task', id };
}

/** `enum log_flags` (kernel/printk/printk.c), `enum printk_info_flags` (kernel/printk/internal.h). */
export const LOG_NEWLINE = 2;
/** The text came with a level of its own; kernels up to 4.9. */
export const LOG_PREFIX = 4;
export const LOG_CONT = 8;

/**
 * The holes in sequence numbers that are in order.
 * @param end the number after the last message that was printed, where it is known
 */
export function gapsBetween(sequences: readonly (number | undefined)[], end?: number): LogGap[] {
  const gaps: LogGap[] = [];
  let before: number | undefined;
  for (const sequence of [...sequences, end]) {
    if (sequence === undefined) continue;
    if (before !== undefined && sequence > before + 1) gaps.push({ after: before, count: sequence - before - 1 });
    before = sequence;
  }
  return gaps;
}

/** The byte that holds `flags:5` and `level:3`; which end comes first follows the byte order. */
export function flagsAndLevel(
  byte: number,
  littleEndian: boolean,
): Pick<LogRecord, 'level' | 'flags' | 'newline' | 'continuation'> {
  const flags = littleEndian ? byte & 31 : byte >> 3;
  const level = littleEndian ? byte >> 5 : byte & 7;
  return { level, flags, newline: (flags & LOG_NEWLINE) !== 0, continuation: (flags & LOG_CONT) !== 0 };
}

const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** UTF-8 to text; each byte that is not part of valid UTF-8 becomes `\xNN`, so that nothing is lost from sight. */
export function decodeText(bytes: Uint8Array): string {
  try {
    return strict.decode(bytes);
  } catch {
    return decodePiecewise(bytes);
  }
}

function decodePiecewise(bytes: Uint8Array): string {
  const parts: string[] = [];
  let at = 0;
  while (at < bytes.length) {
    const length = sequenceLength(bytes, at);
    if (length > 0) parts.push(strict.decode(bytes.subarray(at, at + length)));
    else parts.push(`\\x${(bytes[at] ?? 0).toString(16).padStart(2, '0')}`);
    at += Math.max(1, length);
  }
  return parts.join('');
}

/** The length of the valid UTF-8 sequence at `at`; 0 when there is none. */
function sequenceLength(bytes: Uint8Array, at: number): number {
  const first = bytes[at] ?? 0;
  const length = first < 0x80 ? 1 : first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf5 ? 4 : 0;
  if (length < 2) return length;
  if (at + length > bytes.length) return 0;
  for (let i = 1; i < length; i++) {
    if (((bytes[at + i] ?? 0) & 0xc0) !== 0x80) return 0;
  }
  const second = bytes[at + 1] ?? 0;
  // Overlong forms, surrogates, and what lies beyond U+10FFFF.
  const wrong =
    (first === 0xe0 && second < 0xa0) ||
    (first === 0xed && second > 0x9f) ||
    (first === 0xf0 && second < 0x90) ||
    (first === 0xf4 && second > 0x8f);
  return wrong ? 0 : length;
}
