import type { ByteSource } from '../bytes/byte-source.js';
import { bytesOf, matches } from '../bytes/search.js';
import { i64, structTable, text, viewOf } from '../bytes/struct-table.js';
import type { DamageLog } from './damage-log.js';
import type { GappedSource } from './gaps.js';
import { IntervalIndex } from './intervals.js';

/**
 * makedumpfile's flattened form (makedumpfile.h): a dump written to a pipe, as records of offset and data.
 * All numbers are big-endian, whatever the dump's machine.
 */
export const FLATTENED_HEADER = structTable('makedumpfile_header', 32, {
  signature: text(0, 16),
  type: i64(16),
  version: i64(24),
});

export const FLATTENED_RECORD = structTable('makedumpfile_data_header', 16, {
  offset: i64(0),
  buf_size: i64(8),
});

const SIGNATURE = bytesOf('makedumpfile\0\0\0\0');
/** The header is padded to this (MAX_SIZE_MDF_HEADER). */
export const FLATTENED_HEADER_SIZE = 4096;
/** Record headers are looked for in windows of this size, as long as records are shorter. */
const WINDOW = 64 * 1024;
/** Writers' records have some kilobytes: a file may have this many, and more only while they have 256 bytes on average. */
const MANY_RECORDS = 1_000_000;
const END = -1n;
/** A writer leaves hardly any holes: what claims to be longer than this many times the file, and this much, is broken. */
const MOST_TIMES = 16;
const MOST_BEYOND = 256 * 1024 * 1024;

/** Is it the flattened form, going by its first bytes? */
export function isFlattened(head: Uint8Array): boolean {
  return matches(head, 0, SIGNATURE);
}

/** What the records of a flattened file hold: columns, in the order of the file. */
interface Records {
  readonly count: number;
  /** Where the data belongs, in bytes. */
  readonly starts: Float64Array;
  readonly ends: Float64Array;
  /** Where the data lies in the flattened file, in bytes. */
  readonly data: Float64Array;
  /** The end record was found. */
  readonly ended: boolean;
}

/**
 * A flattened file seen as the file that it holds, without a copy.
 * Records may come in any order and overlap: the later one wins.
 * Where no record has anything, it reads as zeros, as the file that makedumpfile -R makes;
 * in a file without its end record those bytes count as missing (`has`).
 */
export class FlattenedSource implements GappedSource {
  readonly name: string;
  readonly size: number;

  private constructor(
    private readonly source: ByteSource,
    private readonly index: IntervalIndex,
    private readonly data: Float64Array,
    private readonly starts: Float64Array,
    /** How many records with data it has. */
    readonly records: number,
    /** It has its end record; without, it was cut off. */
    readonly complete: boolean,
    /** Records wrote over each other. */
    readonly overlapping: boolean,
  ) {
    this.name = source.name;
    this.size = index.length > 0 ? (index.ends[index.length - 1] as number) : 0;
  }

  /** Indexes the records in one pass over their headers. What is wrong with them is recorded as damage. */
  static open(source: ByteSource, damage: DamageLog): FlattenedSource {
    const records = readRecords(source, damage);
    const index = IntervalIndex.build(records.starts, records.ends, (record) => record);
    return new FlattenedSource(
      source,
      index,
      records.data,
      records.starts,
      records.count,
      records.ended,
      index.overlapping,
    );
  }

  read(offset: number, into: Uint8Array): number {
    const wanted = Math.max(0, Math.min(into.length, this.size - offset));
    let done = 0;
    let at = this.index.at(offset);
    while (done < wanted) {
      const position = offset + done;
      const start = this.index.starts[at] as number;
      if (start > position) {
        const gap = Math.min(wanted - done, start - position);
        into.fill(0, done, done + gap);
        done += gap;
        continue;
      }
      const owner = this.index.owners[at] as number;
      const length = Math.min(wanted - done, (this.index.ends[at] as number) - position);
      const from = (this.data[owner] as number) + (position - (this.starts[owner] as number));
      const got = this.source.read(from, into.subarray(done, done + length));
      if (got < length) return done + got;
      done += length;
      at++;
    }
    return wanted;
  }

  has(offset: number, length: number): boolean {
    if (offset + length > this.size) return false;
    if (this.complete) return true;
    let position = offset;
    for (let at = this.index.at(offset); position < offset + length; at++) {
      if (at >= this.index.length || (this.index.starts[at] as number) > position) return false;
      position = this.index.ends[at] as number;
    }
    return true;
  }
}

function readRecords(source: ByteSource, damage: DamageLog): Records {
  const columns = new RecordColumns();
  const header = new Uint8Array(WINDOW);
  const view = viewOf(header);
  let windowAt = 0;
  let windowLength = 0;
  let at = FLATTENED_HEADER_SIZE;
  let ended = false;
  const highest = BigInt(source.size) * BigInt(MOST_TIMES) + BigInt(MOST_BEYOND);
  const most = Math.max(MANY_RECORDS, Math.floor(source.size / 256));
  while (at + FLATTENED_RECORD.size <= source.size) {
    if (at < windowAt || at + FLATTENED_RECORD.size > windowAt + windowLength) {
      const short = columns.count === 0 || (at - FLATTENED_HEADER_SIZE) / columns.count < WINDOW / 2;
      windowAt = at;
      windowLength = source.read(at, header.subarray(0, short ? WINDOW : FLATTENED_RECORD.size));
      if (windowLength < FLATTENED_RECORD.size) break;
    }
    const offset = view.getBigInt64(at - windowAt);
    const size = view.getBigInt64(at - windowAt + 8);
    if (offset === END && size === END) {
      ended = true;
      break;
    }
    at += FLATTENED_RECORD.size;
    if (offset < 0n || size < 0n || offset + size > highest) {
      damage.add(
        'EXH_BAD_HEADER',
        'flattened records',
        `${source.name}: the record at ${at - FLATTENED_RECORD.size} says offset ${offset}, size ${size}: what follows is not read`,
      );
      return columns.done(false);
    }
    const length = Math.min(Number(size), source.size - at);
    if (length > 0) {
      if (columns.count === most) {
        damage.add(
          'EXH_BAD_HEADER',
          'flattened records',
          `${source.name}: more than ${most} records: the rest is not read`,
        );
        return columns.done(false);
      }
      columns.add(Number(offset), length, at);
    }
    if (length < Number(size)) break;
    at += length;
  }
  if (!ended) {
    damage.add('EXH_TRUNCATED', 'flattened records', `${source.name}: the end record is missing: the file was cut off`);
  }
  return columns.done(ended);
}

/** Three growing columns. */
class RecordColumns {
  count = 0;
  private starts = new Float64Array(1024);
  private ends = new Float64Array(1024);
  private data = new Float64Array(1024);

  add(offset: number, length: number, at: number): void {
    if (this.count === this.starts.length) {
      this.starts = grown(this.starts);
      this.ends = grown(this.ends);
      this.data = grown(this.data);
    }
    this.starts[this.count] = offset;
    this.ends[this.count] = offset + length;
    this.data[this.count] = at;
    this.count++;
  }

  done(ended: boolean): Records {
    const { count } = this;
    return {
      count,
      starts: this.starts.subarray(0, count),
      ends: this.ends.subarray(0, count),
      data: this.data.subarray(0, count),
      ended,
    };
  }
}

function grown(column: Float64Array): Float64Array<ArrayBuffer> {
  const bigger = new Float64Array(column.length * 2);
  bigger.set(column);
  return bigger;
}
