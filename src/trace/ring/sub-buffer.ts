import { viewOf } from '../../bytes/struct-table.js';
import type { SubBuffer } from '../model.js';

/**
 * What one page of a ring buffer holds: events, each with a 32-bit header of a type (5 bits) and the time since the
 * one before (27 bits). Source: `include/linux/ring_buffer.h`, `kernel/trace/ring_buffer.c`.
 */

/** Types from here on are no event; those below, but 0, tell the event's length in words of 4 bytes. */
const PADDING = 29;
const TIME_EXTEND = 30;
const TIME_STAMP = 31;
const DELTA_BITS = 27;
const DELTA_RANGE = 2 ** DELTA_BITS;
const DELTA_MASK = DELTA_RANGE - 1;
/** An absolute time has 59 bits; the others are those of the time before it. */
const ABSOLUTE_BITS = 59n;
const ABSOLUTE_HIGH = 0xf8n << 56n;

/** Where the reading of a sub-buffer stopped, and why. */
export interface BrokenRecord {
  /** From the first record, in bytes. */
  readonly offset: number;
  readonly message: string;
}

/** Steps through the records of one sub-buffer after the other; one object serves a whole CPU. */
export class RecordCursor {
  /** Of the record, since the base. */
  time = 0;
  /** Where the record lies in `bytes`, without the ring buffer's own header; in bytes. */
  start = 0;
  length = 0;
  /** Of the record after this one. */
  position = 0;
  bytes: Uint8Array = new Uint8Array(0);
  view: DataView = viewOf(this.bytes);
  private end = 0;
  private spare: Uint8Array = new Uint8Array(0);
  private spareView: DataView = viewOf(this.spare);
  /** Why the records of this sub-buffer ended before its data did. */
  broken: BrokenRecord | undefined;

  constructor(
    /** What times count from, in units of the buffer's clock. */
    private readonly base: bigint,
    private readonly littleEndian = true,
  ) {}

  /**
   * Goes to the front of a sub-buffer's unread records. They are copied, into bytes other than `kept`: those may still
   * be looked at.
   */
  open({ timestamp, data, consumed }: SubBuffer, kept?: Uint8Array): void {
    if (kept === undefined || kept === this.bytes) this.swap();
    if (this.bytes.length < data.length) {
      this.bytes = new Uint8Array(data.length);
      this.view = viewOf(this.bytes);
    }
    this.bytes.set(data);
    this.end = data.length;
    this.time = Number(timestamp - this.base);
    this.position = 0;
    this.broken = undefined;
    while (this.position < consumed && this.next());
  }

  /** Goes to the next record; false at the end of the sub-buffer. */
  next(): boolean {
    const { view, littleEndian, end } = this;
    let at = this.position;
    while (at + 4 <= end) {
      const word = view.getUint32(at, littleEndian);
      const type = littleEndian ? word & 31 : word >>> DELTA_BITS;
      const delta = littleEndian ? word >>> 5 : word & DELTA_MASK;
      if (type > 0 && type < PADDING) {
        const length = type * 4;
        this.time += delta;
        if (at + 4 + length > end) return this.stop(at, `a record of ${length} bytes where ${end - at - 4} are left`);
        this.start = at + 4;
        this.length = length;
        this.position = at + 4 + length;
        return true;
      }
      // The rest of the page is empty.
      if (type === PADDING && delta === 0) break;
      if (at + 8 > end) return this.stop(at, 'a record begins within the last 4 bytes');
      const word1 = view.getUint32(at + 4, littleEndian);
      if (type === 0) {
        // The length counts its own word.
        const length = word1 - 4;
        this.time += delta;
        if (length < 0 || at + 4 + word1 > end) {
          return this.stop(at, `a record of ${length} bytes where ${end - at - 8} are left`);
        }
        this.start = at + 8;
        this.length = length;
        this.position = at + 4 + ((word1 + 3) & ~3);
        return true;
      }
      if (type === TIME_EXTEND) {
        this.time += word1 * DELTA_RANGE + delta;
        at += 8;
      } else if (type === TIME_STAMP) {
        this.time = this.absolute(word1, delta);
        at += 8;
      } else {
        // An event that was discarded. The kernel's readers take no time from it.
        if (at + 4 + word1 > end) return this.stop(at, `a discarded record of ${word1} bytes reaches past the end`);
        at += 4 + ((word1 + 3) & ~3);
      }
    }
    this.position = end;
    return false;
  }

  private swap(): void {
    const { bytes, view } = this;
    this.bytes = this.spare;
    this.view = this.spareView;
    this.spare = bytes;
    this.spareView = view;
  }

  private stop(offset: number, message: string): false {
    this.broken = { offset, message };
    this.position = this.end;
    return false;
  }

  private absolute(high: number, low: number): number {
    const told = (BigInt(high) << BigInt(DELTA_BITS)) | BigInt(low);
    const before = BigInt(Math.trunc(this.time)) + this.base;
    if ((before & ABSOLUTE_HIGH) === 0n) return Number(told - this.base);
    const whole = told | (before & ABSOLUTE_HIGH);
    return Number((whole < before ? whole + (1n << ABSOLUTE_BITS) : whole) - this.base);
  }
}
