import type { Pfn } from '../../bytes/address.js';
import { isExhumeError } from '../../bytes/errors.js';
import { portableDecoders } from '../../codecs/decoders.js';
import type { MissingState } from '../../dump/memory.js';
import type { KernelView } from '../kernel-view.js';
import type { Struct } from '../types/struct.js';
import { pageArrayBase } from './page-map.js';
import { SwapSlots } from './swap-slots.js';
import { Zram } from './zram.js';
import { Zsmalloc } from './zsmalloc.js';

/** MAX_SWAPFILES is below 1 << MAX_SWAPFILES_SHIFT. */
const MOST_AREAS = 32;

/** Pages in the swap areas of a kernel, where those lie in memory: zram, the swap cache. What is on a disk is lost. */
export class SwappedPages {
  private readonly areas = new Map<number, Struct | undefined>();
  private readonly disks = new Map<number, Zram | undefined>();
  private readonly slots: SwapSlots;

  constructor(private readonly view: KernelView) {
    this.slots = new SwapSlots(view);
  }

  /** @param type number of the swap area; `offset` the page in it */
  read(type: number, offset: number): Uint8Array | MissingState {
    try {
      if (!this.areas.has(type)) this.areas.set(type, this.open(type));
      const area = this.areas.get(type);
      if (area === undefined) return 'lost';
      const noted = this.slots.at(area, offset);
      const { physical } = this.view.memory;
      if (noted === 'zeros') return new Uint8Array(physical.pageSize);
      if (noted !== undefined) return physical.page(noted as Pfn);
      if (!this.disks.has(type)) this.disks.set(type, this.zramOf(area));
      return this.disks.get(type)?.read(offset) ?? 'lost';
    } catch (error) {
      if (!isExhumeError(error)) throw error;
      return error.code === 'EXH_PAGE_EXCLUDED' ? 'excluded' : 'lost';
    }
  }

  private open(type: number): Struct | undefined {
    const { view } = this;
    if (type >= MOST_AREAS) return undefined;
    const address = view.memory.pointer(view.address('swap_info') + BigInt(type * 8));
    return address === 0n ? undefined : view.struct('swap_info_struct', address);
  }

  /** The zram disk that an area is; undefined for one that is none, or not as a whole. */
  private zramOf(info: Struct): Zram | undefined {
    const { view } = this;
    const device = info.follow('bdev');
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
