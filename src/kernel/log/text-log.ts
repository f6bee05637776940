import { hex, type VirtualAddress } from '../../bytes/address.js';
import { decodeText, type KernelLog, LOG_NEWLINE, type LogRecord } from './record.js';
import { Region } from './region.js';
import { badStructure, type LogSource, symbolAddress, Tally } from './source.js';

/** A longer text log was never built: CONFIG_LOG_BUF_SHIFT ends at 21, and log_buf_len= is for megabytes. */
const LARGEST = 1 << 28;
/** Lines without a prefix of their own have default_message_loglevel. */
const DEFAULT_LEVEL = 4;

/**
 * Reads the log of kernels before 3.5 (kernel/printk.c): a ring of text, in which each line begins with `<N>`,
 * facility times 8 plus level, and with a time `[    1.234567] ` where printk.time was on.
 * `log_end` counts all characters ever written, `logged_chars` those that are still there.
 *
 * Throws EXH_BAD_STRUCTURE when the log's variables make no sense, and memory's errors when they cannot be read.
 * @param pointer the address of the variable `log_buf`, a pointer
 */
export function readTextLog(source: LogSource, pointer: VirtualAddress): KernelLog {
  const { memory } = source;
  const variable = (name: string): number | undefined => {
    const address = symbolAddress(source, name);
    return address === undefined ? undefined : memory.u32(address);
  };
  const size = variable('log_buf_len') ?? 0;
  const end = variable('log_end') ?? 0;
  const length = Math.min(size, variable('logged_chars') ?? end);
  if (size < 64 || size > LARGEST || (size & (size - 1)) !== 0) {
    throw badStructure(`log_buf_len is ${size}`, pointer, size);
  }
  const address = memory.pointer(pointer);
  const region = new Region(memory, address, size);
  const tally = new Tally();
  const text = decodeText(ringBytes(region, (((end - length) % size) + size) % size, length));
  tally.addRegion('log_buf', region);
  return {
    format: 'text',
    source: `log_buf at ${hex(address)}: ${size} bytes of text`,
    records: parseTextLog(text, length === size),
    pending: [],
    lost: { atStart: undefined, gaps: [] },
    joinsContinuations: false,
    damage: tally.damage(),
  };
}

/** `length` bytes of a ring, page by page; what cannot be read is left out. */
function ringBytes(region: Region, start: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  let kept = 0;
  for (let done = 0; done < length; ) {
    const at = (start + done) % region.size;
    const step = Math.min(4096 - (at % 4096), length - done, region.size - at);
    const part = region.bytes(at, step);
    if (part !== undefined) {
      bytes.set(part, kept);
      kept += step;
    }
    done += step;
  }
  return bytes.subarray(0, kept);
}

/**
 * Lines as /proc/kmsg and pstore have them, one message each: `<6>[    1.234567][    T1] text`, the caller only where the
 * kernel prints it (CONFIG_PRINTK_CALLER).
 * @param cut the ring has wrapped, so the first line has lost its beginning
 */
export function parseTextLog(text: string, cut = false): LogRecord[] {
  const lines = text.split('\n');
  if (lines.at(-1) === '') lines.pop();
  if (cut) lines.shift();
  return lines.map((line, i) => {
    const [, priority, seconds, fraction, printer, number, message] =
      /^(?:<(\d{1,4})>)?(?:\[ *(\d{1,12})\.(\d{6})\](?:\[ *([CT])(\d{1,10})\])? )?([\s\S]*)$/.exec(line) ?? [];
    const level = priority === undefined ? DEFAULT_LEVEL : Number(priority);
    const whole = i < lines.length - 1 || text.endsWith('\n');
    return {
      sequence: undefined,
      timeNanoseconds:
        seconds === undefined ? undefined : BigInt(seconds) * 1_000_000_000n + BigInt(fraction ?? 0) * 1000n,
      level: level & 7,
      facility: level >> 3,
      flags: whole ? LOG_NEWLINE : 0,
      newline: whole,
      continuation: false,
      caller: printer === undefined ? undefined : { kind: printer === 'C' ? 'cpu' : 'task', id: Number(number) },
      execution: undefined,
      text: message ?? line,
      dictionary: [],
    };
  });
}
