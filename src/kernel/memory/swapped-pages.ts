import { isExhumeError } from '../../bytes/errors.js';
import { portableDecoders } from '../../codecs/decoders.js';
import type { MissingState } from '../../dump/memory.js';
import type { KernelView } from '../kernel-view.js';
import { pageArrayBase } from './page-map.js';
import { Zram } from './zram.js';
import { Zsmalloc } from './zsmalloc.js';

/** MAX_SWAPFILES is below 1 << MAX_SWAPFILES_SHIFT. */
const MOST_AREAS = 32;

/** Pages in the swap areas of a kernel, where those lie in memory: zram. What is on a disk is lost. */
export class SwappedPages {
  private readonly areas = new Map<number, Zram | undefined>();

  constructor(private readonly view: KernelView) {}

  /** @param type number of the swap area; `offset` the page in it */
  read(type: number, offset: number): Uint8Array | MissingState {
    try {
      if (!this.areas.has(type)) this.areas.set(type, this.open(type));
      return this.areas.get(type)?.read(offset) ?? 'lost';
    } catch (error) {
      if (!isExhumeError(error)) throw error;
      return error.code === 'EXH_PAGE_EXCLUDED' ? 'excluded' : 'lost';
    }
  }

  /** Undefined for an area that is no zram disk as a whole. */
  private open(type: number): Zram | undefined {
    const { view } = this;
    if (type >= MOST_AREAS) return undefined;
    const address = view.memory.pointer(view.address('swap_info') + BigInt(type * 8));
    const device = address === 0n ? undefined : view.struct('swap_info_struct', address).follow('bdev');
    const disk = device?.follow('bd_disk');
    if (device === undefined || disk === undefined || !/^zram\d+$/.test(disk.string('disk_name', 32))) return undefined;
    if (device.has('bd_start_sect') && device.big('bd_start_sect') !== 0n) return undefined;
    const size = view.types.requireStruct('page').size;
    const base = pageArrayBase(view.kernel, size);
    if (base === undefined) return undefined;
    const zram = view.struct('zram', disk.pointer('private_data'));
    return new Zram(view, zram, new Zsmalloc(view, { base, size }), portableDecoders);
  }
}
