import { ExhumeError } from '../../bytes/errors.js';
import type { Decoders } from '../../codecs/codec.js';
import { decodeLz4 } from '../../codecs/lz4.js';
import { decodeLzoRle } from '../../codecs/lzo1x.js';
import { decodeDeflate } from '../../codecs/zlib.js';
import type { KernelView } from '../kernel-view.js';
import { noLayout } from '../types/kernel-types.js';
import { Struct } from '../types/struct.js';
import type { Zsmalloc } from './zsmalloc.js';

/** A zram disk: a block device whose blocks are compressed in memory (drivers/block/zram/zram_drv.h). */
export class Zram {
  private readonly flags: ReadonlyMap<string, bigint>;
  private readonly sizeMask: bigint;

  /** @param zram its `struct zram`. Throws EXH_NO_LAYOUT where the module's types are not there */
  constructor(
    private readonly view: KernelView,
    private readonly zram: Struct,
    private readonly objects: Zsmalloc,
    private readonly decoders: Decoders,
  ) {
    const flags = view.types.enumeration('zram_pageflags');
    if (flags === undefined) throw noLayout('enum zram_pageflags');
    this.flags = flags;
    // Below the flags is the size (ZRAM_FLAG_SHIFT).
    const lowest = [...flags.values()].reduce((least, value) => (value < least ? value : least), 63n);
    this.sizeMask = (1n << lowest) - 1n;
  }

  /**
   * The contents of a page, by its number on the disk; undefined for one that was never written, or was written back to
   * another disk. Throws EXH_BAD_STRUCTURE, EXH_CODEC, EXH_UNSUPPORTED_FORMAT, and memory's errors.
   */
  read(index: number): Uint8Array | undefined {
    const { view, zram } = this;
    const { pageSize } = view.memory.physical;
    if (index >= Number(zram.big('disksize') / BigInt(pageSize))) return undefined;
    const type = view.types.requireStruct('zram_table_entry');
    const entry = new Struct(
      view.memory,
      type,
      (zram.pointer('table') + BigInt(index * type.size)) as Struct['address'],
    );
    const flags = entry.big(entry.has('flags') ? 'flags' : 'attr.flags');
    const handle = entry.big('handle');
    const has = (name: string): boolean => {
      const bit = this.flags.get(name);
      return bit !== undefined && ((flags >> bit) & 1n) === 1n;
    };
    if (has('ZRAM_WB')) return undefined;
    const page = new Uint8Array(pageSize);
    if (has('ZRAM_SAME')) {
      new BigUint64Array(page.buffer).fill(handle);
      return page;
    }
    if (handle === 0n) return undefined;
    const size = Number(flags & this.sizeMask);
    if (size === 0 || size > pageSize) {
      throw new ExhumeError('EXH_BAD_STRUCTURE', `a page of zram would be ${size} bytes`, { address: entry.address });
    }
    const bytes = this.objects.read(zram.pointer('mem_pool'), handle, size);
    if (size === pageSize) return bytes;
    this.decode(bytes, page, has);
    return page;
  }

  private decode(bytes: Uint8Array, into: Uint8Array, has: (flag: string) => boolean): void {
    const method = this.method(Number(has('ZRAM_COMP_PRIORITY_BIT1')) + 2 * Number(has('ZRAM_COMP_PRIORITY_BIT2')));
    switch (method) {
      case 'lzo':
      case 'lzo-rle':
        decodeLzoRle(bytes, into);
        return;
      case 'lz4':
      case 'lz4hc':
        decodeLz4(bytes, into);
        return;
      case 'deflate':
        decodeDeflate(bytes, into);
        return;
      case 'zstd':
        this.decoders.zstd(bytes, into);
        return;
      default:
        throw new ExhumeError('EXH_UNSUPPORTED_FORMAT', `zram compresses with ${method}, which exhume does not read`);
    }
  }

  /** One name until 6.1, one for each priority since. */
  private method(priority: number): string {
    const { view, zram } = this;
    if (zram.has('compressor')) return zram.string('compressor', 64);
    const name = view.memory.pointer(zram.addressOf('comp_algs') + BigInt(priority * 8));
    return name === 0n ? '?' : view.memory.string(name, 64);
  }
}
