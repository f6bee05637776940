import type { ByteSource } from '../../bytes/byte-source.js';
import type { GappedSource } from '../../dump/gaps.js';

/** A file of which only some extents were received; the rest of it are holes. */
export class PartialFile implements GappedSource {
  readonly name: string;
  readonly size: number;

  /** @param extents first byte and first one after by turns, ascending, neither touching nor overlapping */
  constructor(
    private readonly file: ByteSource,
    private readonly extents: Float64Array,
  ) {
    this.name = file.name;
    this.size = file.size;
  }

  read(offset: number, into: Uint8Array): number {
    return this.file.read(offset, into);
  }

  has(offset: number, length: number): boolean {
    const { extents } = this;
    let low = 0;
    let high = extents.length / 2;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((extents[middle * 2 + 1] as number) > offset) high = middle;
      else low = middle + 1;
    }
    const start = extents[low * 2];
    return start !== undefined && start <= offset && (extents[low * 2 + 1] as number) >= offset + length;
  }
}
