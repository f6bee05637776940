import { ExhumeError } from '../bytes/errors.js';
import { viewOf } from '../bytes/struct-table.js';
import { FLATTENED_HEADER_SIZE, FLATTENED_RECORD } from '../dump/flattened.js';

/** Records far behind what was received so far are broken: a dump is at most so many times, and so much, longer. */
const MOST_TIMES = 16;
const MOST_BEYOND = 256 * 1024 * 1024;
/** A writer goes back and forth between a few places, so its records make a few extents. */
const MOST_EXTENTS = 65_536;
const END = -1n;

/** Undoes makedumpfile's flattened form while it is received: every record goes to its place. Memory is bounded. */
export class RecordPlacer {
  /** Bytes to skip before the next record. */
  private skip = FLATTENED_HEADER_SIZE;
  /** The header of a record, as far as it was received. */
  private readonly header = new Uint8Array(FLATTENED_RECORD.size);
  private readonly view = viewOf(this.header);
  private headerLength = 0;
  /** The record that is being received: where its next byte goes, and how many follow. */
  private at = 0;
  private left = 0;
  private received = 0;
  private ended = false;
  private extents = new Extents();

  /** @param name of the input, for messages */
  constructor(
    private readonly name: string,
    private readonly write: (offset: number, bytes: Uint8Array) => void,
  ) {}

  /** The next bytes of the flattened form, however they are cut. Throws EXH_BAD_HEADER, and what `write` throws. */
  take(bytes: Uint8Array): void {
    this.received += bytes.length;
    for (let from = 0; from < bytes.length && !this.ended; ) {
      if (this.skip > 0) {
        const length = Math.min(this.skip, bytes.length - from);
        this.skip -= length;
        from += length;
      } else if (this.left > 0) {
        const part = bytes.subarray(from, from + this.left);
        this.write(this.at, part);
        this.extents.add(this.at, this.at + part.length);
        this.at += part.length;
        this.left -= part.length;
        from += part.length;
      } else {
        const part = bytes.subarray(from, from + this.header.length - this.headerLength);
        this.header.set(part, this.headerLength);
        this.headerLength += part.length;
        from += part.length;
        if (this.headerLength === this.header.length) this.beginRecord();
      }
    }
  }

  /** Which extents were received, first byte and first one after by turns; undefined: all of it, the end was seen. */
  finish(): Float64Array | undefined {
    return this.ended ? undefined : this.extents.toArray();
  }

  private beginRecord(): void {
    this.headerLength = 0;
    const offset = this.view.getBigInt64(0);
    const size = this.view.getBigInt64(8);
    if (offset === END && size === END) {
      this.ended = true;
      return;
    }
    const end = offset + size;
    if (offset < 0n || size < 0n || end > BigInt(this.received) * BigInt(MOST_TIMES) + BigInt(MOST_BEYOND)) {
      throw new ExhumeError('EXH_BAD_HEADER', `${this.name}: a flattened record says offset ${offset}, size ${size}`, {
        file: this.name,
        found: offset,
      });
    }
    if (this.extents.count > MOST_EXTENTS) {
      throw new ExhumeError(
        'EXH_BAD_HEADER',
        `${this.name}: its flattened records leave more than ${MOST_EXTENTS} gaps`,
      );
    }
    this.at = Number(offset);
    this.left = Number(size);
  }
}

/** Ascending extents that neither touch nor overlap, of what is added mostly at the ends of a few of them. */
class Extents {
  private starts: number[] = [];
  private ends: number[] = [];
  private last = 0;

  get count(): number {
    return this.starts.length;
  }

  add(start: number, end: number): void {
    const { starts, ends } = this;
    if (ends[this.last] !== start || (starts[this.last + 1] ?? Number.POSITIVE_INFINITY) <= end) {
      this.insert(start, end);
      return;
    }
    ends[this.last] = end;
  }

  toArray(): Float64Array {
    return Float64Array.from(this.starts.flatMap((start, i) => [start, this.ends[i] as number]));
  }

  private insert(start: number, end: number): void {
    const { starts, ends } = this;
    let low = 0;
    let high = starts.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((ends[middle] as number) >= start) high = middle;
      else low = middle + 1;
    }
    let after = low;
    let from = start;
    let to = end;
    while (after < starts.length && (starts[after] as number) <= end) {
      from = Math.min(from, starts[after] as number);
      to = Math.max(to, ends[after] as number);
      after++;
    }
    starts.splice(low, after - low, from);
    ends.splice(low, after - low, to);
    this.last = low;
  }
}
