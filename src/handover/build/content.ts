import { type ByteSource, MemorySource } from '../../bytes/byte-source.js';

/**
 * What stands in a piece of memory: bytes (zeros behind them, where they end before the piece does), or zeros alone; or
 * nothing: `excluded`: RAM that the image does not hold; `absent`: no RAM.
 */
export type Content = ByteSource | 'zeros' | 'excluded' | 'absent';

/** Some bytes over and over. */
export class PatternSource implements ByteSource {
  readonly name = 'a pattern';
  readonly size = Number.MAX_SAFE_INTEGER;

  /** @param pattern at least one byte */
  constructor(private readonly pattern: Uint8Array) {}

  read(offset: number, into: Uint8Array): number {
    const { pattern } = this;
    let done = 0;
    for (let from = offset % pattern.length; done < into.length; from = 0) {
      const part = pattern.subarray(from, from + into.length - done);
      into.set(part, done);
      done += part.length;
    }
    return done;
  }
}

/** Bytes without a pattern, that a seed and their place decide: the same in every build. */
export class RandomSource implements ByteSource {
  readonly name = 'random bytes';
  readonly size = Number.MAX_SAFE_INTEGER;

  constructor(private readonly seed: number) {}

  read(offset: number, into: Uint8Array): number {
    for (let index = 0; index < into.length; index++) {
      const at = offset + index;
      into[index] = this.word(Math.floor(at / 4)) >>> ((at % 4) * 8);
    }
    return into.length;
  }

  /** A word's number mixed until every bit of it has touched every other. */
  private word(index: number): number {
    let mixed = (index ^ Math.imul(this.seed + Math.floor(index / 2 ** 32), 0x9e3779b1)) >>> 0;
    for (const shift of [16, 15, 16]) mixed = Math.imul(mixed ^ (mixed >>> shift), 0x85ebca6b);
    return mixed ^ (mixed >>> 13);
  }
}

/** The part of a content that begins at an offset; it ends where the content does. */
export function contentFrom(content: Content, start: number): Content {
  if (typeof content === 'string' || start === 0) return content;
  return {
    name: content.name,
    size: Math.max(0, content.size - start),
    read: (offset, into) => content.read(start + offset, into),
  };
}

export function bytesContent(bytes: Uint8Array): Content {
  return new MemorySource(bytes);
}
