import type { CachedSource } from './cached-source.js';

/** Bytes of the bitmap for which one count is kept: 4096 pages, so 512 KiB of counts for 1 TiB of memory. */
const CHUNK = 512;
/** The bitmap is read in pieces of this many bytes when it is counted or walked through. */
const PIECE = 256 * 1024;

/** How many bits are set in a byte. */
export const BITS_IN_BYTE = Uint8Array.from({ length: 256 }, (_, byte) => popcount(byte));

/**
 * A bitmap of page frame numbers in a file, bit `pfn & 7` of byte `pfn >> 3`, least significant first.
 * It is never held in memory: bits are read on demand; how many bits are set below each chunk is counted
 * once, as far as was asked for.
 */
export class FileBitmap {
  private counts = new Float64Array(64);
  /** Chunks whose predecessors are counted: `counts[i]` is valid up to and with this one. */
  private counted = 0;
  /** How many bits it has: those that are in the file. */
  readonly length: number;

  /**
   * @param offset where it begins in the file, in bytes
   * @param length how many bits it should have
   */
  constructor(
    private readonly source: CachedSource,
    private readonly offset: number,
    length: number,
  ) {
    this.length = Math.max(0, Math.min(length, (source.size - offset) * 8));
  }

  has(bit: number): boolean {
    if (bit >= this.length) return false;
    const byte = this.source.peek(this.offset + Math.floor(bit / 8), 1)[0] ?? 0;
    return (byte & (1 << (bit % 8))) !== 0;
  }

  /** How many bits are set below `bit`. */
  rank(bit: number): number {
    const within = Math.min(bit, this.length);
    const chunk = Math.floor(within / (CHUNK * 8));
    if (chunk > this.counted) this.countTo(chunk);
    const byte = Math.floor(within / 8);
    const bytes = this.source.peek(this.offset + chunk * CHUNK, byte - chunk * CHUNK + 1);
    let rank = this.counts[chunk] as number;
    const whole = Math.min(byte - chunk * CHUNK, bytes.length);
    for (let i = 0; i < whole; i++) rank += BITS_IN_BYTE[bytes[i] as number] as number;
    const last = bytes[byte - chunk * CHUNK] ?? 0;
    return rank + (BITS_IN_BYTE[last & ((1 << (within % 8)) - 1)] as number);
  }

  /** Calls back for each run of set bits, ascending: first bit, and first bit after. Stops when told to by `false`. */
  eachRun(callback: (start: number, end: number) => boolean): void {
    const piece = new Uint8Array(PIECE);
    const words = new Uint32Array(piece.buffer);
    const bytes = Math.ceil(this.length / 8);
    let start = -1;
    for (let at = 0; at < bytes; at += PIECE) {
      this.load(piece, at, bytes);
      for (let word = 0; word < words.length; word++) {
        const bits = words[word] as number;
        if (bits === (start < 0 ? 0 : 0xffffffff)) continue;
        for (let i = 0; i < 32; i++) {
          const bit = (at + word * 4) * 8 + i;
          const set = ((piece[word * 4 + (i >> 3)] as number) & (1 << (i & 7))) !== 0 && bit < this.length;
          if (set === start >= 0) continue;
          if (set) start = bit;
          else {
            if (!callback(start, bit)) return;
            start = -1;
          }
        }
      }
    }
    if (start >= 0) callback(start, this.length);
  }

  /** Writes `value` into each element of `into` whose bit is set, the first standing for bit `from`. */
  mark(from: number, into: Uint8Array, value: number): void {
    const first = Math.floor(from / 8);
    const end = Math.min(from + into.length, this.length);
    if (end <= from) return;
    const bytes = new Uint8Array(Math.ceil(end / 8) - first);
    bytes.fill(0, this.source.readUncached(this.offset + first, bytes));
    for (let byte = 0; byte < bytes.length; byte++) {
      const bits = bytes[byte] as number;
      if (bits === 0) continue;
      const at = (first + byte) * 8 - from;
      if (bits === 0xff && at >= 0 && at + 8 <= end - from) {
        into.fill(value, at, at + 8);
        continue;
      }
      for (let bit = Math.max(0, -at); bit < 8 && at + bit < end - from; bit++) {
        if ((bits & (1 << bit)) !== 0) into[at + bit] = value;
      }
    }
  }

  private countTo(chunk: number): void {
    while (this.counts.length <= chunk) {
      const bigger = new Float64Array(this.counts.length * 2);
      bigger.set(this.counts);
      this.counts = bigger;
    }
    const piece = new Uint8Array(PIECE);
    const words = new Uint32Array(piece.buffer);
    while (this.counted < chunk) {
      this.load(piece, this.counted * CHUNK, Math.ceil(this.length / 8));
      const chunks = Math.min(chunk - this.counted, PIECE / CHUNK);
      for (let i = 0; i < chunks; i++) {
        let count = this.counts[this.counted] as number;
        for (let word = (i * CHUNK) / 4; word < ((i + 1) * CHUNK) / 4; word++) count += popcount(words[word] as number);
        this.counts[++this.counted] = count;
      }
    }
  }

  /** Fills `piece` from byte `at` of the bitmap on; zeros behind its end. */
  private load(piece: Uint8Array, at: number, bytes: number): void {
    const wanted = Math.max(0, Math.min(PIECE, bytes - at));
    const got = wanted === 0 ? 0 : this.source.readUncached(this.offset + at, piece.subarray(0, wanted));
    piece.fill(0, got);
  }
}

function popcount(word: number): number {
  word -= (word >>> 1) & 0x55555555;
  word = (word & 0x33333333) + ((word >>> 2) & 0x33333333);
  return Math.imul((word + (word >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
}
