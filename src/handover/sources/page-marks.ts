import { isExhumeError } from '../../bytes/errors.js';
import type { Kernel } from '../../kernel/kernel.js';
import { KernelView } from '../../kernel/kernel-view.js';
import { PageArray } from '../../kernel/memory/pages.js';
import { PAGE } from '../source-reader.js';

/** `KHO_PAGE_MAGIC`: "KHOP". */
const MAGIC = 0x4b484f50n;
/** More than any order that there is. */
const MOST_ORDER = 52n;

/** The order of the preserved block that begins at a physical address, as the kernel that was given it noted it. */
export type NotedOrder = (address: number) => number | undefined;

/**
 * Of a kernel that took a handover: for each preserved block it notes the order in `private` of the first page's
 * `struct page` (`union kho_page_info` of kernel/liveupdate/kexec_handover.c: u32 order, u32 magic), and clears it when the
 * block's owner asks for it. Undefined where the kernel's `struct page`s cannot be read.
 */
export function notedOrders(kernel: Kernel): NotedOrder | undefined {
  let pages: PageArray;
  try {
    pages = new PageArray(new KernelView(kernel));
  } catch (error) {
    if (isExhumeError(error)) return undefined;
    throw error;
  }
  return (address) => {
    try {
      const note = pages.page(BigInt(address / PAGE)).big('private');
      const order = note & 0xffffffffn;
      return note >> 32n === MAGIC && order <= MOST_ORDER ? Number(order) : undefined;
    } catch (error) {
      if (isExhumeError(error)) return undefined;
      throw error;
    }
  };
}
