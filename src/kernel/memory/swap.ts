import type { VirtualAddress } from '../../bytes/address.js';
import type { Damage } from '../../bytes/errors.js';
import { attempt } from '../collect.js';
import { PathBuilder, pathText } from '../filesystems/paths.js';
import type { KernelView } from '../kernel-view.js';

/** A swap device or file; include/linux/swap.h. */
export interface SwapArea {
  /** Its `struct swap_info_struct`. */
  readonly address: VirtualAddress;
  readonly kind: 'PARTITION' | 'FILE';
  /** In pages, without the header. */
  readonly pages: number;
  readonly used: number;
  readonly priority: number;
  readonly path: string;
}

/** MAX_SWAPFILES is below 1 << MAX_SWAPFILES_SHIFT. */
const MOST_AREAS = 32;
const SWP_USED = 1;
/** Since 6.10 the count's upper bit says that the area is off the list of those with room. */
const USAGE_MASK = (1n << 62n) - 1n;
const S_IFBLK = 6;

/** The swap areas in use, in the order of `swapon`. */
export function readSwapAreas(view: KernelView, damage: Damage[]): SwapArea[] {
  const part = 'swap areas';
  const areas: SwapArea[] = [];
  attempt(damage, part, () => {
    const table = view.address('swap_info');
    const count = Math.min(view.memory.u32(view.address('nr_swapfiles')), MOST_AREAS);
    for (let index = 0; index < count; index++) {
      attempt(damage, part, () => {
        const address = view.memory.pointer(table + BigInt(index * 8));
        if (address === 0n) return;
        const info = view.struct('swap_info_struct', address);
        if ((info.int('flags') & SWP_USED) === 0) return;
        const paths = new PathBuilder(view);
        const file = info.follow('swap_file');
        const place = file === undefined ? undefined : paths.place(file, 'f_path');
        const used = info.has('inuse_pages.counter') ? info.big('inuse_pages.counter') : info.big('inuse_pages');
        const mode = file?.follow('f_inode')?.int('i_mode') ?? 0;
        areas.push({
          address: info.address,
          kind: mode >>> 12 === S_IFBLK ? 'PARTITION' : 'FILE',
          pages: info.int('pages'),
          used: Number(used & USAGE_MASK),
          priority: info.int('prio'),
          path: place === undefined ? '?' : pathText(paths.name(place)),
        });
      });
    }
  });
  return areas;
}
