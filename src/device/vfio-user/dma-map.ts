/** A stretch of guest memory that the client has mapped: guest physical addresses. */
export interface Mapping {
  readonly address: number;
  readonly size: number;
  /** DMA_READABLE and DMA_WRITABLE. */
  readonly access: number;
}

/** The most mappings that a client may have. */
const MOST_MAPPINGS = 65535;

/** What is memory for the device. Mappings do not overlap, and are sorted by address. */
export class DmaMap {
  private mappings: Mapping[] = [];

  /** Whether it could be added: `overlap` and `full` say why not. */
  add(mapping: Mapping): 'added' | 'overlap' | 'full' {
    if (this.mappings.length >= MOST_MAPPINGS) return 'full';
    const at = this.after(mapping.address);
    const before = this.mappings[at - 1];
    const next = this.mappings[at];
    if (before && before.address + before.size > mapping.address) return 'overlap';
    if (next && mapping.address + mapping.size > next.address) return 'overlap';
    this.mappings.splice(at, 0, mapping);
    return 'added';
  }

  /** Takes away the mappings that lie wholly in a range. Answers how many did. */
  remove(address: number, size: number): number {
    const before = this.mappings.length;
    this.mappings = this.mappings.filter((one) => one.address < address || one.address + one.size > address + size);
    return before - this.mappings.length;
  }

  /** Whether every byte of a range is mapped with this access; mappings may follow one another in it. */
  allows(address: number, length: number, access: number): boolean {
    const end = address + length;
    let index = this.after(address) - 1;
    for (let at = address; at < end; index++) {
      const mapping = this.mappings[index];
      if (!mapping || mapping.address > at || mapping.address + mapping.size <= at) return false;
      if ((mapping.access & access) !== access) return false;
      at = mapping.address + mapping.size;
    }
    return true;
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
