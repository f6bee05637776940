/** The line that the kernel writes before each part of its log: `Panic#2 Part1` (pstore_dump, fs/pstore/platform.c). */
export interface DumpHeader {
  /** Panic, Oops, Emergency, Shutdown, Unknown (kmsg_dump_reason_str); Restart, Halt, Poweroff before 5.8. */
  readonly reason: string;
  /** Counts the dumps of one boot, from 1. */
  readonly count: number;
  /** Counts from the end of the log: part 1 is the newest. */
  readonly part: number;
  /** Bytes of the line with its newline. */
  readonly length: number;
}

const LONGEST = 64;

/** Reads the line at the start of a record's text; undefined where there is none. */
export function parseDumpHeader(text: Uint8Array): DumpHeader | undefined {
  const start = String.fromCharCode(...text.subarray(0, LONGEST));
  const [line, reason, count, part] = /^([A-Za-z][A-Za-z ]{0,23})#(\d{1,9}) Part(\d{1,9})\n/.exec(start) ?? [];
  if (line === undefined || reason === undefined) return undefined;
  return { reason, count: Number(count), part: Number(part), length: line.length };
}
