import { orUndefined } from '../../bytes/errors.js';
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
  const pages = orUndefined(() => new PageArray(new KernelView(kernel)));
  if (pages === undefined) return undefined;
  return (address) => {
    const note = orUndefined(() => pages.page(BigInt(address / PAGE)).big('private'));
    if (note === undefined || note >> 32n !== MAGIC) return undefined;
    const order = note & 0xffffffffn;
    return order <= MOST_ORDER ? Number(order) : undefined;
  };
}
