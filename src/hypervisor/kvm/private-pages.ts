import { isExhumeError } from '../../bytes/errors.js';
import type { KernelView } from '../../kernel/kernel-view.js';
import type { Struct } from '../../kernel/types/struct.js';
import { xarrayEntries, xarrayValue } from '../../kernel/types/xarray.js';
import { FileCache } from './file-pages.js';
import { PAGE, type ProcessPages } from './process-pages.js';
import type { MemorySlot } from './slots.js';

/** KVM_MEMORY_ATTRIBUTE_PRIVATE, include/uapi/linux/kvm.h. */
const PRIVATE = 8n;

/**
 * The pages of a slot with a `guest_memfd`: those that the guest made private are in that file, which no process maps; all
 * others are in the process as everywhere. Pages are counted as the guest does (virt/kvm/guest_memfd.c).
 */
export class PrivatePages {
  private cache: FileCache | undefined;

  constructor(
    private readonly view: KernelView,
    private readonly kvm: Struct,
    private readonly slot: MemorySlot,
    private readonly process: ProcessPages,
  ) {}

  at(gfn: number): number {
    const { slot, process } = this;
    const shared = process.at(slot.processPage + gfn - slot.first);
    if (slot.privateFile === undefined) return shared;
    try {
      // A guest_memfd that the process has mapped holds all of the slot, shared or not.
      if (!this.isPrivate(gfn)) return shared;
      this.cache ??= new FileCache(this.view);
      const { mapping, offset } = slot.privateFile;
      return this.cache.at(mapping, gfn - slot.first + offset) ?? PAGE.untouched;
    } catch (error) {
      if (!isExhumeError(error)) throw error;
      return PAGE.lost;
    }
  }

  /** Asked of chunks of process pages, which private pages have nothing to do with. */
  isUntouched(): boolean {
    return false;
  }

  private isPrivate(gfn: number): boolean {
    const { view, kvm } = this;
    if (!kvm.has('mem_attr_array')) return false;
    const range = { from: BigInt(gfn), to: BigInt(gfn + 1) };
    for (const { entry } of xarrayEntries(view.memory, view.types, kvm.addressOf('mem_attr_array'), range)) {
      return ((xarrayValue(entry) ?? 0n) & PRIVATE) !== 0n;
    }
    return false;
  }
}
