import type { RamFile } from '../ram-file.js';

/** A stretch of guest memory that the client has mapped: guest physical addresses. */
export interface Mapping {
  readonly address: number;
  readonly size: number;
  /** DMA_READABLE and DMA_WRITABLE. */
  readonly access: number;
  /** The file that was passed for it, and where in that file it begins. */
  readonly file?: RamFile;
  readonly offset?: number;
}

/** A stretch of memory within one mapping. */
export interface MappedPiece {
  readonly mapping: Mapping;
  readonly address: number;
  readonly length: number;
}

/** The most mappings that a client may have. */
const MOST_MAPPINGS = 65535;

/** What is memory for the device. Mappings do not overlap, and are sorted by address. */
export class DmaMap {
  private mappings: readonly Mapping[] = [];

  /** Whether it can be added: `overlap` and `full` say why not. */
  fits({ address, size }: Pick<Mapping, 'address' | 'size'>): 'fits' | 'overlap' | 'full' {
    if (this.mappings.length >= MOST_MAPPINGS) return 'full';
    const at = this.after(address);
    const before = this.mappings[at - 1];
    const next = this.mappings[at];
    if (before && before.address + before.size > address) return 'overlap';
    return next && address + size > next.address ? 'overlap' : 'fits';
  }

  /** Adds one that fits. */
  add(mapping: Mapping): void {
    this.mappings = this.mappings.toSpliced(this.after(mapping.address), 0, mapping);
  }

  /** Takes away the mappings that lie wholly in a range. */
  remove(address: number, size: number): readonly Mapping[] {
    const inside = (one: Mapping) => one.address >= address && one.address + one.size <= address + size;
    const removed = this.mappings.filter(inside);
    this.mappings = this.mappings.filter((one) => !inside(one));
    return removed;
  }

  /** The pieces that a range lies in, in order: undefined unless every byte of it is mapped with this access. */
  pieces(address: number, length: number, access: number): readonly MappedPiece[] | undefined {
    const end = address + length;
    const pieces: MappedPiece[] = [];
    let index = this.after(address) - 1;
    for (let at = address; at < end; index++) {
      const mapping = this.mappings[index];
      if (!mapping || mapping.address > at || mapping.address + mapping.size <= at) return undefined;
      if ((mapping.access & access) !== access) return undefined;
      const next = Math.min(end, mapping.address + mapping.size);
      pieces.push({ mapping, address: at, length: next - at });
      at = next;
    }
    return pieces;
  }

  /** The index of the first mapping that begins after an address. */
  private after(address: number): number {
    let low = 0;
    let high = this.mappings.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.mappings[middle]?.address ?? 0) <= address) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
