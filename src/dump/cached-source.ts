import { type ByteSource, readUpTo } from '../bytes/byte-source.js';
import { LruCache } from '../bytes/lru.js';
import { type GappedSource, hasBytes } from './gaps.js';

/** Big enough that a scan seldom asks the system, small enough that a jump does not cost much: about 10 µs. */
const BLOCK_SIZE = 64 * 1024;

interface Block {
  readonly bytes: Uint8Array;
  /** How many of them the source has. */
  readonly length: number;
  /** A part of it was given away to keep. */
  kept: boolean;
}

/**
 * Another source through a cache of aligned blocks with a budget in bytes.
 * The array of a block that has to go takes the next one in, unless a part of it is kept by somebody: the garbage
 * collector lets twice the budget of dropped arrays gather before it is moved to act.
 */
export class CachedSource implements GappedSource {
  readonly name: string;
  readonly size: number;
  private readonly blocks: LruCache<Block>;
  private lastIndex = -1;
  private lastBlock: Block = { bytes: new Uint8Array(), length: 0, kept: false };
  private spare: Uint8Array | undefined;

  /** @param budget bytes to keep; 0 keeps nothing, for memory that changes while it is read */
  constructor(
    private readonly source: ByteSource,
    private readonly budget: number,
  ) {
    this.name = source.name;
    this.size = source.size;
    this.blocks = new LruCache(budget, ({ bytes, kept }) => {
      if (!kept) this.spare = bytes;
    });
  }

  /**
   * Up to `length` bytes, fewer where the source ends.
   * The array may be a part of the cache: it must not be written to.
   */
  view(offset: number, length: number): Uint8Array {
    return this.look(offset, length, true);
  }

  /** As `view`, but only good until something else is read. */
  peek(offset: number, length: number): Uint8Array {
    return this.look(offset, length, false);
  }

  private look(offset: number, length: number, keep: boolean): Uint8Array {
    if (this.budget === 0) return readUpTo(this.source, offset, length);
    const index = Math.floor(offset / BLOCK_SIZE);
    const within = offset - index * BLOCK_SIZE;
    if (within + length <= BLOCK_SIZE) {
      const block = this.block(index);
      if (keep) block.kept = true;
      return block.bytes.subarray(within, Math.max(within, Math.min(within + length, block.length)));
    }
    const bytes = new Uint8Array(Math.max(0, Math.min(length, this.size - offset)));
    return bytes.subarray(0, this.read(offset, bytes));
  }

  read(offset: number, into: Uint8Array): number {
    if (this.budget === 0) return this.source.read(offset, into);
    const wanted = Math.max(0, Math.min(into.length, this.size - offset));
    let done = 0;
    while (done < wanted) {
      const index = Math.floor((offset + done) / BLOCK_SIZE);
      const within = offset + done - index * BLOCK_SIZE;
      const { bytes, length } = this.block(index);
      if (within >= length) break;
      const part = bytes.subarray(within, Math.min(length, within + wanted - done));
      into.set(part, done);
      done += part.length;
    }
    return done;
  }

  /** As `read`, but past the cache: for one pass over much. */
  readUncached(offset: number, into: Uint8Array): number {
    return this.source.read(offset, into);
  }

  has(offset: number, length: number): boolean {
    return hasBytes(this.source, offset, length);
  }

  private block(index: number): Block {
    if (index === this.lastIndex) return this.lastBlock;
    let block = this.blocks.get(index);
    if (block === undefined) {
      const bytes = this.spare ?? new Uint8Array(BLOCK_SIZE);
      this.spare = undefined;
      block = { bytes, length: this.source.read(index * BLOCK_SIZE, bytes), kept: false };
      this.blocks.set(index, block, BLOCK_SIZE);
    }
    this.lastIndex = index;
    this.lastBlock = block;
    return block;
  }
}
