import type { TraceEvent } from '../model.js';

const DELTA_RANGE = 2 ** 27;
/** A record of up to so many bytes tells its length in the header's type. */
const MOST_SMALL = 28 * 4;
const TIME_EXTEND = 30;
/** Flags in `commit`, of copies of a sub-buffer: events were lost before it; their number stands behind the data. */
const MISSED_EVENTS = 2 ** 31;
const MISSED_STORED = 2 ** 30;

/**
 * Puts events into sub-buffers as the kernel's ring buffer has them (`struct buffer_data_page`), and passes each one on when it is full.
 * Source: kernel/trace/ring_buffer.c.
 */
export class SubBufferWriter {
  private readonly page: Uint8Array;
  private readonly view: DataView;
  private readonly headerSize: number;
  /** Behind the header. */
  private at = 0;
  private last = 0;
  private first = 0;
  private lost = 0;

  /**
   * @param size of a sub-buffer, in bytes
   * @param base what the events' times count from
   * @param full what becomes of a sub-buffer; it is used again once this returns
   */
  constructor(
    size: number,
    private readonly base: bigint,
    private readonly longSize: 4 | 8,
    private readonly littleEndian: boolean,
    private readonly full: (page: Uint8Array) => void,
  ) {
    this.page = new Uint8Array(size);
    this.view = new DataView(this.page.buffer);
    this.headerSize = 8 + longSize;
  }

  /** Events must come in the order of their times. One that is larger than a sub-buffer is left out: false. */
  add({ time, bytes, start, length, lost }: TraceEvent): boolean {
    const padded = (length + 3) & ~3;
    const record = (padded > MOST_SMALL || padded !== length ? 8 : 4) + padded;
    if (this.headerSize + record > this.page.length) return false;
    let delta = time - this.last;
    const extend = delta >= DELTA_RANGE ? 8 : 0;
    if (this.at === 0 || lost !== 0 || delta < 0 || this.headerSize + this.at + extend + record > this.page.length) {
      this.flush();
      this.first = time;
      this.lost = lost;
      delta = 0;
    } else if (extend > 0) {
      this.word(TIME_EXTEND, delta % DELTA_RANGE);
      this.put32(Math.floor(delta / DELTA_RANGE));
      delta = 0;
    }
    this.last = time;
    if (record === padded + 4) {
      this.word(padded / 4, delta);
    } else {
      this.word(0, delta);
      this.put32(length + 4);
    }
    this.page.set(bytes.subarray(start, start + length), this.headerSize + this.at);
    this.at += padded;
    return true;
  }

  /** Passes on what is there. */
  flush(): void {
    if (this.at === 0) return;
    const { view, littleEndian, headerSize, longSize, page } = this;
    let commit = this.at;
    page.fill(0, headerSize + this.at);
    if (this.lost !== 0) {
      commit += MISSED_EVENTS;
      const fits = headerSize + this.at + longSize <= page.length;
      if (this.lost > 0 && fits) {
        commit += MISSED_STORED;
        const at = headerSize + this.at;
        if (longSize === 8) view.setBigUint64(at, BigInt(this.lost), littleEndian);
        else view.setUint32(at, this.lost, littleEndian);
      }
    }
    view.setBigUint64(0, this.base + BigInt(this.first), littleEndian);
    if (longSize === 8) view.setBigUint64(8, BigInt(commit), littleEndian);
    else view.setUint32(8, commit, littleEndian);
    this.full(page);
    this.at = 0;
    this.lost = 0;
  }

  private word(type: number, delta: number): void {
    this.put32(this.littleEndian ? ((delta << 5) | type) >>> 0 : ((type << 27) | delta) >>> 0);
  }

  private put32(value: number): void {
    this.view.setUint32(this.headerSize + this.at, value, this.littleEndian);
    this.at += 4;
  }
}
