import { hex, type VirtualAddress } from '../../bytes/address.js';
import { isExhumeError } from '../../bytes/errors.js';
import { viewOf } from '../../bytes/struct-table.js';
import type { Layouts } from '../layouts.js';
import {
  callerOf,
  type DictionaryEntry,
  decodeText,
  flagsAndLevel,
  gapsBetween,
  type KernelLog,
  type LogRecord,
} from './record.js';
import { Region } from './region.js';
import { badStructure, type LogSource, MOST_RECORDS, symbolAddress, Tally } from './source.js';

/** LOG_BUF_LEN_MAX. */
const LARGEST = 2 ** 31;
/** Records begin at multiples of this on x86-64; of 8 where unaligned words are slow (LOG_ALIGN). */
const ALIGN = 4;
const WIDEST_ALIGN = 8;
/** How far damaged records are searched for the next good one, in all. */
const MOST_SEARCHED = 1 << 24;

/**
 * Reads the record log of kernels 3.5 to 5.9 (kernel/printk/printk.c, `struct printk_log`; `struct log` before 3.11):
 * records of variable length, one after another, from `log_first_idx` to `log_next_idx`; a length of 0 wraps to the start.
 *
 * After a broken record the next good one is searched for; sequence numbers go on from the end then.
 * Throws EXH_BAD_STRUCTURE when the log's variables make no sense, and memory's errors when they cannot be read.
 * @param pointer the address of the variable `log_buf`, a pointer
 */
export function readLogBuf(source: LogSource, pointer: VirtualAddress): KernelLog {
  const buffer = readVariables(source, pointer);
  const headers = headerLayouts(source);
  const logs = headers.map((header) => new RecordWalk(source, buffer, header).read());
  // Where the dump does not tell the layout, the one whose records follow each other is the right one.
  const [best] = logs.sort((a, b) => a.damage.length - b.damage.length || b.records.length - a.records.length);
  if (best === undefined) throw badStructure('no record layout to read log_buf with', pointer, 0);
  return best;
}

interface Buffer {
  readonly address: VirtualAddress;
  /** In bytes. */
  readonly size: number;
  /** Offset of the oldest record. */
  readonly first: number;
  /** Offset after the newest record. */
  readonly next: number;
  readonly firstSequence: number | undefined;
  readonly nextSequence: number | undefined;
}

function readVariables(source: LogSource, pointer: VirtualAddress): Buffer {
  const { memory } = source;
  const at = (name: string): VirtualAddress => {
    const address = symbolAddress(source, name);
    if (address === undefined) throw badStructure(`log_buf without ${name}`, pointer, 0);
    return address;
  };
  const size = memory.u32(at('log_buf_len'));
  const first = memory.u32(at('log_first_idx'));
  const next = memory.u32(at('log_next_idx'));
  if (size < 64 || size > LARGEST) throw badStructure(`log_buf_len is ${size}`, pointer, size);
  if (first >= size) throw badStructure(`log_first_idx ${first} of a log of ${size} bytes`, pointer, first);
  if (next > size) throw badStructure(`log_next_idx ${next} of a log of ${size} bytes`, pointer, next);
  const firstSequence = sequenceAt(source, 'log_first_seq');
  const nextSequence = sequenceAt(source, 'log_next_seq');
  return { address: memory.pointer(pointer), size, first, next, firstSequence, nextSequence };
}

/** VMCOREINFO does not name the sequence numbers, only kallsyms does. */
function sequenceAt(source: LogSource, name: string): number | undefined {
  const address = symbolAddress(source, name);
  if (address === undefined) return undefined;
  try {
    const value = Number(source.memory.u64(address));
    return Number.isSafeInteger(value) ? value : undefined;
  } catch (error) {
    if (isExhumeError(error)) return undefined;
    throw error;
  }
}

interface HeaderLayout {
  readonly size: number;
  /** Records are padded to multiples of at most this. */
  readonly align: number;
  readonly time: number;
  readonly length: number;
  readonly textLength: number;
  readonly dictLength: number;
  readonly facility: number;
  readonly flags: number;
  readonly caller: number | undefined;
}

function headerLayouts(source: LogSource): HeaderLayout[] {
  const { layouts } = source;
  for (const struct of ['printk_log', 'log']) {
    const told = headerLayout(layouts, struct);
    if (told !== undefined) return [told];
  }
  // u64 ts_nsec; u16 len, text_len, dict_len; u8 facility; u8 flags:5, level:3; and u32 caller_id, padded or not.
  const sizes = [
    { size: 16, align: ALIGN },
    { size: 20, align: ALIGN },
    { size: 24, align: WIDEST_ALIGN },
    { size: 16, align: WIDEST_ALIGN },
  ];
  return sizes.map(({ size, align }) => ({
    size,
    align,
    time: 0,
    length: 8,
    textLength: 10,
    dictLength: 12,
    facility: 14,
    flags: 15,
    caller: size > 16 ? 16 : undefined,
  }));
}

function headerLayout(layouts: Layouts, struct: string): HeaderLayout | undefined {
  const size = layouts.size(struct);
  const time = layouts.offset(struct, 'ts_nsec');
  const length = layouts.offset(struct, 'len');
  const textLength = layouts.offset(struct, 'text_len');
  const dictLength = layouts.offset(struct, 'dict_len');
  if (size === undefined || time === undefined || length === undefined) return undefined;
  if (textLength === undefined || dictLength === undefined) return undefined;
  // VMCOREINFO leaves out the two bytes after dict_len: facility, and flags with level.
  const facility = layouts.offset(struct, 'facility') ?? dictLength + 2;
  const caller = layouts.offset(struct, 'caller_id');
  const header = {
    size,
    align: WIDEST_ALIGN,
    time,
    length,
    textLength,
    dictLength,
    facility,
    flags: facility + 1,
    caller,
  };
  const ends = [time + 8, length + 2, textLength + 2, dictLength + 2, facility + 2, (caller ?? 0) + 4];
  return size > 256 || ends.some((end) => end > size) ? undefined : header;
}

/** A run of records that follow each other without a break. */
type Run = Omit<LogRecord, 'sequence'>[];

class RecordWalk {
  private readonly tally = new Tally();
  private readonly region: Region;
  private readonly littleEndian: boolean;
  private readonly runs: Run[] = [[]];
  private searched = 0;
  private taken = 0;

  constructor(
    private readonly source: LogSource,
    private readonly buffer: Buffer,
    private readonly header: HeaderLayout,
  ) {
    this.region = new Region(source.memory, buffer.address, buffer.size);
    this.littleEndian = source.memory.littleEndian;
  }

  read(): KernelLog {
    const { first, next, size, address } = this.buffer;
    if (first <= next) {
      this.walk(first, next, false);
    } else {
      this.walk(first, size, true);
      this.walk(0, next, false);
    }
    this.tally.addRegion('log_buf', this.region);
    const records = this.numbered();
    const { joins } = joining(this.source);
    return {
      format: 'log_buf',
      source: `log_buf at ${hex(address)}: ${size} bytes, records with headers of ${this.header.size} bytes`,
      records,
      pending: [],
      lost: {
        atStart: this.buffer.firstSequence,
        gaps: gapsBetween(
          records.map(({ sequence }) => sequence),
          this.buffer.nextSequence,
        ),
      },
      joinsContinuations: joins,
      damage: this.tally.damage(),
    };
  }

  /** From one offset to another; `wraps`: the part ends before `end`, at a record of length 0. */
  private walk(start: number, end: number, wraps: boolean): void {
    let at = start;
    while (at < end) {
      if (this.taken >= MOST_RECORDS) {
        this.tally.add('EXH_BAD_STRUCTURE', `more than ${MOST_RECORDS} records: the rest was not read`, `offset ${at}`);
        return;
      }
      const header = this.region.bytes(at, Math.min(this.header.size, end - at));
      const view = header === undefined || header.length < this.header.size ? undefined : viewOf(header);
      if (wraps && (view === undefined ? at + this.header.size > end : this.u16(view, this.header.length) === 0))
        return;
      const length = view === undefined ? undefined : this.fits(view, at, end);
      if (view === undefined || length === undefined) {
        this.tally.add('EXH_BAD_STRUCTURE', 'a record is broken; the next good one was searched for', `offset ${at}`);
        at = this.search(at + ALIGN, end);
        this.runs.push([]);
      } else {
        this.take(view, at);
        at += length;
      }
    }
  }

  /** The length of the record at `at`, if all its lengths go together. */
  private fits(view: DataView, at: number, end: number): number | undefined {
    const length = this.u16(view, this.header.length);
    const used = this.header.size + this.u16(view, this.header.textLength) + this.u16(view, this.header.dictLength);
    return length % ALIGN === 0 && length >= used && length < used + this.header.align && at + length <= end
      ? length
      : undefined;
  }

  /** The offset of the next record that looks whole and is followed by another one that does; `end` when there is none. */
  private search(from: number, end: number): number {
    for (let at = from; at + this.header.size <= end; at += ALIGN) {
      this.searched += ALIGN;
      if (this.searched > MOST_SEARCHED) break;
      const length = this.wholeAt(at, end);
      if (length === undefined) continue;
      const after = at + length;
      if (after === end || this.wholeAt(after, end) !== undefined || this.lengthAt(after) === 0) return at;
    }
    return end;
  }

  private wholeAt(at: number, end: number): number | undefined {
    const bytes = this.region.bytes(at, this.header.size);
    return bytes === undefined ? undefined : this.fits(viewOf(bytes), at, end);
  }

  private lengthAt(at: number): number | undefined {
    const bytes = this.region.bytes(at, this.header.size);
    return bytes === undefined ? undefined : this.u16(viewOf(bytes), this.header.length);
  }

  private take(view: DataView, at: number): void {
    const { header } = this;
    const textLength = this.u16(view, header.textLength);
    const body = this.region.bytes(at + header.size, textLength + this.u16(view, header.dictLength));
    // The region counts its pages that cannot be read.
    if (body === undefined) {
      this.runs.push([]);
      return;
    }
    this.taken++;
    this.runs.at(-1)?.push({
      timeNanoseconds: view.getBigUint64(header.time, this.littleEndian),
      facility: view.getUint8(header.facility),
      ...flagsAndLevel(view.getUint8(header.flags), this.littleEndian),
      caller: header.caller === undefined ? undefined : callerOf(view.getUint32(header.caller, this.littleEndian)),
      execution: undefined,
      text: decodeText(body.subarray(0, textLength)),
      dictionary: dictionaryOf(body.subarray(textLength)),
    });
  }

  /** The first run counts from log_first_seq on, the last one back from log_next_seq; between breaks nothing is known. */
  private numbered(): LogRecord[] {
    const { firstSequence, nextSequence } = this.buffer;
    const [only, ...others] = this.runs;
    if (only === undefined) return [];
    const last = others.length > 0 ? others.pop() : undefined;
    const from = (run: Run, start: number | undefined): LogRecord[] =>
      run.map((record, i) => ({ ...record, sequence: start === undefined ? undefined : start + i }));
    const total = this.runs.reduce((sum, run) => sum + run.length, 0);
    if (firstSequence !== undefined && nextSequence !== undefined) {
      const told = nextSequence - firstSequence;
      const wrong = last === undefined ? told !== total : told < total;
      if (wrong) {
        this.tally.add(
          'EXH_BAD_STRUCTURE',
          'the sequence numbers tell another count of records',
          `${told} told, ${total} found`,
        );
        return this.runs.flatMap((run) => from(run, undefined));
      }
    }
    return [
      ...from(only, firstSequence),
      ...others.flatMap((run) => from(run, undefined)),
      ...(last === undefined ? [] : from(last, nextSequence === undefined ? undefined : nextSequence - last.length)),
    ];
  }

  private u16(view: DataView, at: number): number {
    return view.getUint16(at, this.littleEndian);
  }
}

/** `KEY=VALUE`, each ended by a NUL but the last. */
function dictionaryOf(bytes: Uint8Array): DictionaryEntry[] {
  if (bytes.length === 0) return [];
  return decodeText(bytes)
    .split('\0')
    .map((entry) => {
      const equals = entry.indexOf('=');
      return equals < 0 ? { key: entry, value: '' } : { key: entry.slice(0, equals), value: entry.slice(equals + 1) };
    })
    .filter(({ key }) => key !== '');
}

/**
 * Kernels up to 4.9 remember the flags of the record that they printed last, in `console_prev` and `syslog_prev`,
 * and go on with its line; later ones have no such variables and begin a line for each record.
 */
function joining(source: LogSource): { joins: boolean } {
  return { joins: ['console_prev', 'syslog_prev'].some((name) => source.symbols.address(name) !== undefined) };
}
