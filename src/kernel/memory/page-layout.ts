import { ExhumeError } from '../../bytes/errors.js';
import type { Kernel } from '../kernel.js';
import { noLayout } from '../types/kernel-types.js';

/** Is `(word & mask) === value`, of the 32-bit word at `offset` from the start of a `struct page`? */
export interface WordTest {
  readonly offset: number;
  readonly mask: number;
  readonly value: number;
}

/**
 * What of `struct page` tells the class of a page frame. Plain data: it can be handed to another thread.
 *
 * Where members lie and which bits mean what is the dead kernel's own word, from VMCOREINFO or BTF. What is asked of
 * them is in include/linux/page-flags.h and include/linux/mm.h; which of several forms a kernel has follows from what
 * it names.
 */
export interface PageLayout {
  readonly littleEndian: boolean;
  /** `sizeof(struct page)`, in bytes. */
  readonly size: number;
  /** Offset of `compound_head`, in 7.2 `compound_info`: 64 bits. */
  readonly compound: number;
  /** It is a part of a compound page, but not its head: bit 0 of that. */
  readonly tail: WordTest;
  readonly head: WordTest;
  /** Offset from the head of the byte that holds the order of a compound page: in the first tail page. */
  readonly compoundOrder: number;
  /** The head of a page of hugetlbfs, in use or in its pool. */
  readonly huge: WordTest;
  readonly slab: WordTest;
  /** The first page of a free block. */
  readonly buddy: WordTest;
  /** The first page of a block that a confidential guest has not accepted from its host: free, of the highest order. */
  readonly unaccepted: WordTest;
  /** Offset of `private`, 64 bits: the order of a free block. */
  readonly buddyOrder: number;
  /** How many orders free blocks have: MAX_PAGE_ORDER + 1. */
  readonly buddyOrders: number;
  readonly lru: WordTest;
  /** In the swap cache: PG_swapcache counts only beside PG_swapbacked, as owners of pages without it use the bit otherwise. */
  readonly swapCache: WordTest;
  /** A filesystem keeps something of its own in `private`: buffer heads. */
  readonly private: WordTest;
  /** PAGE_MAPPING_ANON in `mapping`. Means nothing in a slab page. */
  readonly anonymous: WordTest;
  readonly poisoned: WordTest;
  /** Given up by a balloon or by memory hotplug. */
  readonly offline: WordTest;
  /** Which of these this kernel should tell and does not: their pages are kept. */
  readonly untold: readonly ('free' | 'huge' | 'offline')[];
}

/** No word passes it. */
const NEVER: WordTest = { offset: 0, mask: 0, value: 1 };

/**
 * Reads the layout from VMCOREINFO and BTF.
 * Throws EXH_NO_LAYOUT where `struct page` or its flags are unknown; what else is missing is in `untold`.
 */
export function readPageLayout(kernel: Kernel): PageLayout {
  const { layouts } = kernel;
  const { littleEndian } = kernel.memory;
  const size = required(layouts.size('page'), 'struct page');
  const offsetOf = (member: string): number => required(layouts.offset('page', member), `page.${member}`);
  /** The low half of a `long`. */
  const low = (offset: number): number => offset + (littleEndian ? 0 : 4);
  const flags = low(offsetOf('flags'));
  const type = offsetOf('_mapcount');

  const all = (offset: number, mask: number): WordTest => ({ offset, mask: mask | 0, value: mask | 0 });
  const bitOf = (name: string): number | undefined => {
    const bit = layouts.number(name);
    return bit !== undefined && bit >= 0n && bit < 32n ? Number(bit) : undefined;
  };
  const flag = (name: string): WordTest | undefined => {
    const bit = bitOf(name);
    return bit === undefined ? undefined : all(flags, 1 << bit);
  };

  /**
   * A page type. Since 6.12 it is the top byte of the word; before, types are bits that are cleared in a word with its
   * top bit set. VMCOREINFO has the value of the whole word, BTF the number, or (6.10 and 6.11) the bit.
   */
  const pageType = (name: string): WordTest | undefined => {
    const number = layouts.number(`PGTY_${name}`);
    const bit = layouts.number(`PG_${name}`);
    const word =
      layouts.number(`PAGE_${name.toUpperCase()}_MAPCOUNT_VALUE`) ??
      (number === undefined ? undefined : number << 24n) ??
      (bit === undefined || bit < 32n ? undefined : ~bit);
    if (word === undefined) return undefined;
    const value = Number(BigInt.asIntN(32, word));
    if ((value & 0x00ff_ffff) === 0) return { offset: type, mask: 0xff00_0000 | 0, value };
    return { offset: type, mask: 0x8000_0000 | ~value, value: 0x8000_0000 | 0 };
  };

  const compound = layouts.offset('page', 'compound_info') ?? offsetOf('compound_head');
  const swapCache = bitOf('PG_swapcache');
  const swapBacked = bitOf('PG_swapbacked');
  const buddy = pageType('buddy');
  const offline = pageType('offline');
  const huge = pageType('hugetlb') ?? hugeByTail(kernel, size, flags);
  return checked({
    littleEndian,
    size,
    compound,
    tail: all(low(compound), 1),
    head: required(flag('PG_head') ?? headMask(kernel, flags), 'PG_head'),
    compoundOrder: compoundByte(kernel, 'order', size) ?? size + flags + (littleEndian ? 0 : 3),
    huge: huge ?? NEVER,
    slab: pageType('slab') ?? required(flag('PG_slab'), 'PG_slab'),
    buddy: buddy ?? NEVER,
    unaccepted: pageType('unaccepted') ?? NEVER,
    buddyOrder: offsetOf('private'),
    buddyOrders: buddyOrders(kernel),
    lru: required(flag('PG_lru'), 'PG_lru'),
    swapCache:
      swapCache === undefined ? NEVER : all(flags, (1 << swapCache) | (swapBacked === undefined ? 0 : 1 << swapBacked)),
    private: flag('PG_private') ?? NEVER,
    anonymous: all(low(offsetOf('mapping')), 1),
    // Only kernels with CONFIG_MEMORY_FAILURE have it.
    poisoned: flag('PG_hwpoison') ?? NEVER,
    offline: offline ?? NEVER,
    untold: [
      ...(buddy === undefined ? (['free'] as const) : []),
      ...(huge === undefined ? (['huge'] as const) : []),
      ...(offline === undefined ? (['offline'] as const) : []),
    ],
  });
}

/** The kernel's is 64 bytes, on some configurations 56 or 80. */
const LARGEST = 4096;

/** Everything that is looked at lies in a page's structure or in the one after. Throws EXH_BAD_STRUCTURE. */
function checked(layout: PageLayout): PageLayout {
  const { size, compound, compoundOrder, buddyOrder } = layout;
  const words = Object.values(layout).flatMap((value) => (isTest(value) ? [value.offset + 4] : []));
  const end = Math.max(...words, compound + 8, compoundOrder + 1, buddyOrder + 8);
  if (!(size >= 8 && size <= LARGEST && end <= 2 * size)) {
    throw new ExhumeError('EXH_BAD_STRUCTURE', `struct page of ${size} bytes has a member that ends at ${end}`, {
      expected: 2 * size,
      found: end,
    });
  }
  return layout;
}

function isTest(value: PageLayout[keyof PageLayout]): value is WordTest {
  return typeof value === 'object' && 'mask' in value;
}

/** A kernel that has no BTF tells the mask and not the bit. */
function headMask({ layouts }: Kernel, flags: number): WordTest | undefined {
  const mask = layouts.number('PG_head_mask');
  if (mask === undefined || mask <= 0n || mask >= 1n << 32n) return undefined;
  return { offset: flags, mask: Number(mask) | 0, value: Number(mask) | 0 };
}

/**
 * hugetlbfs pages before 6.9, by the first tail page: the number of their destructor, or (6.6 to 6.8) a flag there.
 * Undefined also for a kernel without hugetlbfs.
 */
function hugeByTail(kernel: Kernel, size: number, flags: number): WordTest | undefined {
  const number = kernel.layouts.number('HUGETLB_PAGE_DTOR');
  const byte = compoundByte(kernel, 'dtor', size);
  if (number !== undefined && byte !== undefined) {
    const shift = kernel.memory.littleEndian ? 0 : 24;
    return { offset: byte, mask: 0xff << shift, value: Number(number) << shift };
  }
  const bit = kernel.layouts.number('PG_hugetlb');
  if (bit === undefined || bit < 0n || bit >= 32n) return undefined;
  return { offset: size + flags, mask: 1 << Number(bit), value: 1 << Number(bit) };
}

/** `compound_order` or `compound_dtor`, in the first tail page; of folios 6.3 to 6.5, counted from the head. */
function compoundByte({ layouts }: Kernel, what: 'order' | 'dtor', size: number): number | undefined {
  const ofPage = layouts.offset('page', `compound_${what}`);
  return ofPage === undefined ? layouts.offset('folio', `_folio_${what}`) : size + ofPage;
}

function buddyOrders({ layouts, vmcoreinfo }: Kernel): number {
  const told = vmcoreinfo?.length('zone.free_area');
  if (told !== undefined) return told;
  const all = required(layouts.memberSize('zone', 'free_area'), 'zone.free_area');
  return Math.floor(all / required(layouts.size('free_area'), 'struct free_area'));
}

function required<T>(found: T | undefined, what: string): T {
  if (found === undefined) throw noLayout(what);
  return found;
}
