import { type Pfn, virtualAddress } from '../../bytes/address.js';
import { isExhumeError } from '../../bytes/errors.js';
import type { MissingState } from '../../dump/memory.js';
import type { KernelView } from '../../kernel/kernel-view.js';
import { SwappedPages } from '../../kernel/memory/swapped-pages.js';
import { FileCache } from './file-pages.js';
import type { SwapReader } from './slot-memory.js';

/** Pages of an area that share a `struct address_space` (SWAP_ADDRESS_SPACE_SHIFT is 14). */
const SPACE_PAGES = 2 ** 14;
const MOST_AREAS = 32;

/**
 * A host's swap, as far as it is in memory: pages on their way out or in again (the swap cache, `swapper_spaces`), and
 * those on a zram disk.
 */
export class HostSwap implements SwapReader {
  private readonly areas: SwappedPages;
  private cache: FileCache | undefined;

  constructor(private readonly view: KernelView) {
    this.areas = new SwappedPages(view);
  }

  read(type: number, offset: number): Uint8Array | MissingState {
    const frame = this.cached(type, offset);
    return frame === undefined ? this.areas.read(type, offset) : this.view.memory.physical.page(frame as Pfn);
  }

  private cached(type: number, offset: number): number | undefined {
    const { view } = this;
    const spaces = view.kernel.symbols.address('swapper_spaces');
    if (spaces === undefined || type >= MOST_AREAS) return undefined;
    try {
      const first = view.memory.pointer(spaces + BigInt(type * 8));
      if (first === 0n) return undefined;
      this.cache ??= new FileCache(view);
      const { size } = view.types.requireStruct('address_space');
      const space = virtualAddress(first + BigInt(Math.floor(offset / SPACE_PAGES) * size));
      // The index counted from the area's start until 6.12, and counts from the space's since.
      const found = [offset, offset % SPACE_PAGES].map((index) => this.cache?.at(space, index));
      return found.find((frame) => frame !== undefined && frame >= 0 && this.cache?.isUptodate(frame));
    } catch (error) {
      if (!isExhumeError(error)) throw error;
      return undefined;
    }
  }
}
