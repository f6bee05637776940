import { type ByteSource, readUpTo } from '../bytes/byte-source.js';
import { LruCache } from '../bytes/lru.js';
import { type GappedSource, hasBytes } from './gaps.js';

/** Big enough that a scan seldom asks the system, small enough that a jump does not cost much: about 10 µs. */
const BLOCK_SIZE = 64 * 1024;

/** Another source through a cache of aligned blocks with a budget in bytes. */
export class CachedSource implements GappedSource {
  readonly name: string;
  readonly size: number;
  private readonly blocks: LruCache<Uint8Array>;
  private lastIndex = -1;
  private lastBlock: Uint8Array = new Uint8Array();

  /** @param budget bytes to keep; 0 keeps nothing, for memory that changes while it is read */
  constructor(
    private readonly source: ByteSource,
    private readonly budget: number,
  ) {
    this.name = source.name;
    this.size = source.size;
    this.blocks = new LruCache(budget);
  }

  /**
   * Up to `length` bytes, fewer where the source ends.
   * The array may be a part of the cache: it must not be written to.
   */
  view(offset: number, length: number): Uint8Array {
    if (this.budget === 0) return readUpTo(this.source, offset, length);
    const index = Math.floor(offset / BLOCK_SIZE);
    const within = offset - index * BLOCK_SIZE;
    if (within + length <= BLOCK_SIZE) return this.block(index).subarray(within, within + length);
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
      const part = this.block(index).subarray(within, within + wanted - done);
      if (part.length === 0) break;
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

  private block(index: number): Uint8Array {
    if (index === this.lastIndex) return this.lastBlock;
    let block = this.blocks.get(index);
    if (block === undefined) {
      block = readUpTo(this.source, index * BLOCK_SIZE, BLOCK_SIZE);
      this.blocks.set(index, block, BLOCK_SIZE);
    }
    this.lastIndex = index;
    this.lastBlock = block;
    return block;
  }
}
