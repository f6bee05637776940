import { BITS_IN_BYTE } from './bitmap.js';

/** 2^52 bytes of physical memory in pages of 4 KiB are 2^40; a bitmap of more than this is a mistake. */
const MOST_BITS = 2 ** 36;

/**
 * A set of page frame numbers in memory, laid out as in a kdump file: bit `pfn & 7` of byte `pfn >> 3`.
 * 32 MiB for 1 TiB of memory in pages of 4 KiB.
 */
export class PageBitmap {
  /**
   * @param bits the bytes; shared with other threads, if they lie in a SharedArrayBuffer
   * @param length how many pages it can hold: pfns are below this
   */
  constructor(
    readonly bits: Uint8Array,
    readonly length: number,
  ) {}

  /** An empty one for pfns below `length`. Throws RangeError for more than 2^36 of them. */
  static empty(length: number): PageBitmap {
    if (length > MOST_BITS) throw new RangeError(`${length} pages are too many`);
    return new PageBitmap(new Uint8Array(Math.ceil(length / 8)), length);
  }

  has(pfn: number): boolean {
    return pfn < this.length && ((this.bits[Math.floor(pfn / 8)] as number) & (1 << (pfn % 8))) !== 0;
  }

  add(pfn: number): void {
    this.addRange(pfn, pfn + 1);
  }

  delete(pfn: number): void {
    if (pfn >= this.length) return;
    const byte = Math.floor(pfn / 8);
    this.bits[byte] = (this.bits[byte] as number) & ~(1 << (pfn % 8));
  }

  /** Adds the pfns from `from` to before `to`; those past `length` are left out. */
  addRange(from: number, to: number): void {
    const { bits } = this;
    const end = Math.min(to, this.length);
    let pfn = from;
    for (; pfn < end && pfn % 8 !== 0; pfn++) {
      bits[Math.floor(pfn / 8)] = (bits[Math.floor(pfn / 8)] as number) | (1 << (pfn % 8));
    }
    const whole = Math.floor((end - pfn) / 8) * 8;
    if (whole > 0) {
      bits.fill(0xff, pfn / 8, (pfn + whole) / 8);
      pfn += whole;
    }
    for (; pfn < end; pfn++) {
      bits[Math.floor(pfn / 8)] = (bits[Math.floor(pfn / 8)] as number) | (1 << (pfn % 8));
    }
  }

  /** How many pfns from `from` to before `to` are in it. */
  count(from = 0, to = this.length): number {
    const end = Math.min(to, this.length);
    let count = 0;
    let pfn = from;
    for (; pfn < end && pfn % 8 !== 0; pfn++) if (this.has(pfn)) count++;
    for (; pfn + 8 <= end; pfn += 8) count += BITS_IN_BYTE[this.bits[pfn / 8] as number] as number;
    for (; pfn < end; pfn++) if (this.has(pfn)) count++;
    return count;
  }

  /** The first pfn from `from` on that is in it (or, with `set` false, is not); `length` when there is none. */
  next(from: number, set = true): number {
    const { bits, length } = this;
    const skip = set ? 0 : 0xff;
    let pfn = from;
    while (pfn < length) {
      const byte = bits[Math.floor(pfn / 8)] as number;
      if (byte === skip) {
        pfn = (Math.floor(pfn / 8) + 1) * 8;
        continue;
      }
      if (((byte & (1 << (pfn % 8))) !== 0) === set) return pfn;
      pfn++;
    }
    return length;
  }

  /** The runs of pfns that are in it, ascending: first one, and first one after. */
  *runs(from = 0, to = this.length): Generator<readonly [start: number, end: number]> {
    const limit = Math.min(to, this.length);
    for (let start = this.next(from); start < limit; ) {
      const end = Math.min(this.next(start, false), limit);
      yield [start, end];
      start = this.next(end);
    }
  }
}
