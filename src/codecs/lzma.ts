import { ExhumeError } from '../bytes/errors.js';

/**
 * LZMA, as the `lzma` files of before xz and the chunks of LZMA2 hold it (lzma-specification.txt of the LZMA SDK).
 * The output itself is the dictionary, so whatever a stream says takes no memory but the probabilities (28 KiB at most).
 */
export class LzmaDecoder {
  private probabilities = new Uint16Array(0);
  /** The range coder's range and code: words, as its arithmetic is modulo 2^32. */
  private readonly coder = new Uint32Array(2);
  private literalContextBits = 0;
  private literalPositionMask = 0;
  private positionMask = 0;
  private state = 0;
  /** Distances used last, the newest first; each minus 1. */
  private readonly distances = new Uint32Array(4);
  private input: Uint8Array = new Uint8Array(0);
  private at = 0;
  private end = 0;
  private ended = false;
  /** Where the next byte goes. */
  written = 0;
  /** Copies reach back to here at the farthest. */
  private dictionaryStart = 0;

  constructor(private readonly into: Uint8Array) {}

  /** Sets `lc`, `lp` and `pb` from a properties byte, and starts anew. Throws EXH_CODEC for one that says nonsense. */
  setProperties(byte: number): void {
    const literalContext = byte % 9;
    const literalPosition = Math.floor(byte / 9) % 5;
    const position = Math.floor(byte / 45);
    if (position > 4 || literalContext + literalPosition > 8) throw lzmaError(`properties ${byte}`);
    this.literalContextBits = literalContext;
    this.literalPositionMask = (1 << literalPosition) - 1;
    this.positionMask = (1 << position) - 1;
    this.probabilities = new Uint16Array(LITERALS + (0x300 << (literalContext + literalPosition)));
    this.resetState();
  }

  resetState(): void {
    this.probabilities.fill(1024);
    this.state = 0;
    this.distances.fill(0);
  }

  resetDictionary(): void {
    this.dictionaryStart = this.written;
  }

  /** Stored bytes of an LZMA2 chunk. Throws EXH_CODEC when they do not fit. */
  copyPlain(bytes: Uint8Array): void {
    if (bytes.length > this.into.length - this.written) throw lzmaError(`more than ${this.into.length} bytes`);
    this.into.set(bytes, this.written);
    this.written += bytes.length;
  }

  /**
   * Decodes from `input[start … end)` until `target` bytes are written in all, or an end mark stands there.
   * Gives where the input went on. Throws EXH_CODEC.
   */
  decode(input: Uint8Array, start: number, end: number, target: number): number {
    if (target > this.into.length) throw lzmaError(`more than ${this.into.length} bytes`);
    if (this.probabilities.length === 0) throw lzmaError('no properties');
    this.input = input;
    this.at = start + 5;
    this.end = end;
    if (this.at > end) throw lzmaError('the data ends inside its first bytes');
    if (input[start] !== 0) throw lzmaError('the first byte is not 0');
    this.coder[0] = 0xffffffff;
    this.coder[1] = 0;
    for (let i = 1; i < 5; i++) this.coder[1] = ((this.coder[1] as number) << 8) | (input[start + i] as number);
    while (this.written < target) {
      if (!this.symbol(target)) {
        this.ended = true;
        break;
      }
      if (this.at > end) throw lzmaError('the data ends too soon');
    }
    return this.at;
  }

  /** Was an end mark met, or does one stand where decoding stopped? */
  isAtEnd(): boolean {
    const positionState = this.written & this.positionMask;
    this.ended ||=
      this.bit(IS_MATCH + (this.state << 4) + positionState) === 1 &&
      this.bit(IS_REP + this.state) === 0 &&
      this.distance(this.length(MATCH_LENGTH, positionState)) === 0xffffffff;
    return this.ended;
  }

  /** One literal or copy; false for the end mark. */
  private symbol(target: number): boolean {
    const { into, distances } = this;
    const positionState = this.written & this.positionMask;
    const { state } = this;
    if (this.bit(IS_MATCH + (state << 4) + positionState) === 0) {
      into[this.written] = this.literal();
      this.written++;
      this.state = state < 4 ? 0 : state < 10 ? state - 3 : state - 6;
      return true;
    }
    let length: number;
    if (this.bit(IS_REP + state) === 0) {
      length = this.length(MATCH_LENGTH, positionState);
      const distance = this.distance(length);
      if (distance === 0xffffffff) return false;
      distances.copyWithin(1, 0, 3);
      distances[0] = distance;
      this.state = state < 7 ? 7 : 10;
    } else {
      let short = false;
      if (this.bit(IS_REP_0 + state) === 0) {
        short = this.bit(IS_REP_0_LONG + (state << 4) + positionState) === 0;
      } else {
        const which = this.bit(IS_REP_1 + state) === 0 ? 1 : this.bit(IS_REP_2 + state) === 0 ? 2 : 3;
        const distance = distances[which] as number;
        distances.copyWithin(1, 0, which);
        distances[0] = distance;
      }
      length = short ? -1 : this.length(REP_LENGTH, positionState);
      this.state = short ? (state < 7 ? 9 : 11) : state < 7 ? 8 : 11;
    }
    // Lengths are counted from 2; a short one copies one byte.
    const count = length + 2;
    const back = (distances[0] as number) + 1;
    if (back > this.written - this.dictionaryStart) throw lzmaError('a copy reaches before the first byte');
    if (count > target - this.written) throw lzmaError('a copy reaches past the end');
    let { written } = this;
    for (const stop = written + count; written < stop; written++) into[written] = into[written - back] as number;
    this.written = written;
    return true;
  }

  private literal(): number {
    const { into, written } = this;
    const before = written > this.dictionaryStart ? (into[written - 1] as number) : 0;
    const context =
      ((written & this.literalPositionMask) << this.literalContextBits) + (before >> (8 - this.literalContextBits));
    const base = LITERALS + 0x300 * context;
    let symbol = 1;
    if (this.state >= 7) {
      const back = (this.distances[0] as number) + 1;
      if (back > written - this.dictionaryStart) throw lzmaError('a literal refers to before the first byte');
      let match = into[written - back] as number;
      while (symbol < 0x100) {
        const expected = (match >> 7) & 1;
        match <<= 1;
        const bit = this.bit(base + ((1 + expected) << 8) + symbol);
        symbol = (symbol << 1) | bit;
        if (bit !== expected) break;
      }
    }
    while (symbol < 0x100) symbol = (symbol << 1) | this.bit(base + symbol);
    return symbol & 0xff;
  }

  private length(base: number, positionState: number): number {
    if (this.bit(base) === 0) return this.tree(base + 2 + (positionState << 3), 3);
    if (this.bit(base + 1) === 0) return 8 + this.tree(base + 130 + (positionState << 3), 3);
    return 16 + this.tree(base + 258, 8);
  }

  /** Minus 1; 0xffffffff is the end mark. */
  private distance(length: number): number {
    const slot = this.tree(SLOTS + (Math.min(length, 3) << 6), 6);
    if (slot < 4) return slot;
    const bits = (slot >> 1) - 1;
    const high = ((2 | (slot & 1)) << bits) >>> 0;
    if (slot < 14) return high + this.reverseTree(SPECIAL + high - slot, bits);
    return (high + this.direct(bits - 4) * 16 + this.reverseTree(ALIGN, 4)) >>> 0;
  }

  private tree(base: number, bits: number): number {
    let symbol = 1;
    for (let left = bits; left > 0; left--) symbol = (symbol << 1) | this.bit(base + symbol);
    return symbol - (1 << bits);
  }

  private reverseTree(base: number, bits: number): number {
    let symbol = 1;
    let value = 0;
    for (let i = 0; i < bits; i++) {
      const bit = this.bit(base + symbol);
      symbol = (symbol << 1) | bit;
      value |= bit << i;
    }
    return value;
  }

  /** Bits of equal probability. */
  private direct(bits: number): number {
    const { coder } = this;
    let value = 0;
    for (let left = bits; left > 0; left--) {
      const range = (coder[0] as number) >>> 1;
      const above = (coder[1] as number) >= range;
      if (above) coder[1] = (coder[1] as number) - range;
      coder[0] = range;
      if (range < 0x1000000) this.refill();
      value = value * 2 + (above ? 1 : 0);
    }
    return value;
  }

  private bit(index: number): 0 | 1 {
    const { coder, probabilities } = this;
    const probability = probabilities[index] as number;
    const range = coder[0] as number;
    const bound = Math.imul(range >>> 11, probability) >>> 0;
    if ((coder[1] as number) < bound) {
      coder[0] = bound;
      probabilities[index] = probability + ((2048 - probability) >> 5);
      if (bound < 0x1000000) this.refill();
      return 0;
    }
    coder[0] = range - bound;
    coder[1] = (coder[1] as number) - bound;
    probabilities[index] = probability - (probability >> 5);
    if (range - bound < 0x1000000) this.refill();
    return 1;
  }

  /** Past the end there are zeros; `at` is then past it too, and checked after each symbol. */
  private refill(): void {
    const { coder } = this;
    coder[0] = (coder[0] as number) << 8;
    coder[1] = ((coder[1] as number) << 8) | (this.at < this.end ? (this.input[this.at] as number) : 0);
    this.at++;
  }
}

/** Where each kind of probability begins. */
const IS_MATCH = 0;
const IS_REP = IS_MATCH + 12 * 16;
const IS_REP_0 = IS_REP + 12;
const IS_REP_1 = IS_REP_0 + 12;
const IS_REP_2 = IS_REP_1 + 12;
const IS_REP_0_LONG = IS_REP_2 + 12;
const SLOTS = IS_REP_0_LONG + 12 * 16;
const SPECIAL = SLOTS + 4 * 64;
const ALIGN = SPECIAL + 115;
/** Two choices, 16 trees for lengths from 2 on, 16 from 10 on, one from 18 on. */
const MATCH_LENGTH = ALIGN + 16;
const REP_LENGTH = MATCH_LENGTH + 2 + 128 + 128 + 256;
const LITERALS = REP_LENGTH + 2 + 128 + 128 + 256;

function lzmaError(problem: string): ExhumeError {
  return new ExhumeError('EXH_CODEC', `lzma: ${problem}`);
}

/**
 * An `.lzma` file: properties, size of the dictionary (u32), size of the content (u64; all ones: an end mark ends it),
 * then LZMA. Gives how many bytes it made, at most as many as `into` has room for. Throws EXH_CODEC.
 */
export function decodeLzmaFile(compressed: Uint8Array, into: Uint8Array): number {
  if (compressed.length < 18) throw lzmaError(`${compressed.length} bytes are too few for a file`);
  const sizes = new DataView(compressed.buffer, compressed.byteOffset, compressed.length);
  const low = sizes.getUint32(5, true);
  const high = sizes.getUint32(9, true);
  const told = low === 0xffffffff && high === 0xffffffff ? undefined : high * 2 ** 32 + low;
  if (told !== undefined && told > into.length) throw lzmaError(`says ${told} bytes, expected ${into.length}`);
  const decoder = new LzmaDecoder(into);
  decoder.setProperties(compressed[0] as number);
  decoder.decode(compressed, 13, compressed.length, told ?? into.length);
  if (told === undefined && !decoder.isAtEnd()) throw lzmaError(`more than ${into.length} bytes`);
  if (told !== undefined && decoder.written !== told) throw lzmaError(`${decoder.written} bytes instead of ${told}`);
  return decoder.written;
}
