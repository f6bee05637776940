import type { Pfn } from '../bytes/address.js';
import { type MissingState, type PageState, PhysicalMemory, type PhysicalRange } from '../dump/memory.js';

/** Another memory with some of its pages replaced or gone: what a damaged dump of the same machine would hold. */
export class PatchedMemory extends PhysicalMemory {
  readonly pageSize: number;
  private readonly patches = new Map<number, Uint8Array | MissingState>();

  constructor(private readonly under: PhysicalMemory) {
    super();
    this.pageSize = under.pageSize;
  }

  /** Replaces a page by other bytes, or takes it away. */
  patch(pfn: number, content: Uint8Array | MissingState): void {
    this.patches.set(pfn, content);
  }

  /** Makes all pages what they are underneath. */
  restore(): void {
    this.patches.clear();
  }

  /** Writes bytes at a physical address, over what is there. */
  write(address: number, bytes: Uint8Array): void {
    let done = 0;
    while (done < bytes.length) {
      const within = (address + done) % this.pageSize;
      const pfn = Math.floor((address + done) / this.pageSize);
      const old = this.page(pfn as Pfn);
      const page = typeof old === 'string' ? new Uint8Array(this.pageSize) : old.slice();
      const length = Math.min(this.pageSize - within, bytes.length - done);
      page.set(bytes.subarray(done, done + length), within);
      this.patch(pfn, page);
      done += length;
    }
  }

  ranges(): readonly PhysicalRange[] {
    return this.under.ranges();
  }

  state(pfn: Pfn): PageState {
    const patch = this.patches.get(pfn);
    return patch === undefined ? this.under.state(pfn) : typeof patch === 'string' ? patch : 'present';
  }

  page(pfn: Pfn): Uint8Array | MissingState {
    return this.patches.get(pfn) ?? this.under.page(pfn);
  }
}
