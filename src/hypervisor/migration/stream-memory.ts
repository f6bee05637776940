import type { Pfn } from '../../bytes/address.js';
import { ExhumeError, isExhumeError } from '../../bytes/errors.js';
import { viewOf } from '../../bytes/struct-table.js';
import type { Decoder } from '../../codecs/codec.js';
import type { CachedSource } from '../../dump/cached-source.js';
import {
  joinRanges,
  type MissingState,
  type PageState,
  PhysicalMemory,
  type PhysicalRange,
} from '../../dump/memory.js';
import type { LaidOut } from '../memory-layout.js';
import type { StreamBlock, StreamPage } from './stream-blocks.js';

const PAGE = 4096;

/** A guest's memory out of a migration stream. A page that the stream does not have is excluded, or lost where it is cut off. */
export class StreamMemory extends PhysicalMemory {
  readonly pageSize = PAGE;
  private readonly filled = new Map<number, Uint8Array>();

  constructor(
    private readonly source: CachedSource,
    private readonly layout: readonly LaidOut<StreamBlock>[],
    private readonly inflate: Decoder,
    /** What a page is that the stream does not have. */
    private readonly missing: MissingState,
  ) {
    super();
  }

  ranges(): readonly PhysicalRange[] {
    return joinRanges(
      this.layout.map(({ physical, size }) => ({ start: physical, end: physical + size }) as PhysicalRange),
    );
  }

  state(pfn: Pfn): PageState {
    const found = this.find(pfn);
    return typeof found === 'string' ? found : 'present';
  }

  page(pfn: Pfn): Uint8Array | MissingState {
    const found = this.find(pfn);
    if (typeof found === 'string') return found;
    const { as, at } = found;
    if (as === 'filled') return this.filledWith(at);
    try {
      if (as === 'zlib') return this.inflated(at);
      const bytes = this.source.view(at, PAGE);
      return bytes.length === PAGE ? bytes : 'lost';
    } catch (error) {
      if (isExhumeError(error, 'EXH_IO', 'EXH_CODEC', 'EXH_BAD_STRUCTURE')) return 'lost';
      throw error;
    }
  }

  private find(pfn: Pfn): StreamPage | MissingState {
    const address = pfn * PAGE;
    const range = this.layout.find(({ physical, size }) => address >= physical && address < physical + size);
    if (range === undefined) return 'absent';
    const offset = address - range.physical + range.offset;
    const { mapped } = range.block;
    if (mapped === undefined) return range.block.get(offset) ?? this.missing;
    const index = offset / PAGE;
    const [bits] = this.source.peek(mapped.bitmapAt + Math.floor(index / 8), 1);
    if (bits === undefined) return 'lost';
    if (((bits >> (index % 8)) & 1) === 0) return { as: 'filled', at: 0 };
    return { as: 'raw', at: mapped.pagesAt + offset };
  }

  private filledWith(byte: number): Uint8Array {
    let page = this.filled.get(byte);
    if (page === undefined) {
      page = new Uint8Array(PAGE).fill(byte);
      this.filled.set(byte, page);
    }
    return page;
  }

  private inflated(at: number): Uint8Array {
    const head = this.source.view(at, 4);
    if (head.length < 4) throw new ExhumeError('EXH_CODEC', 'a compressed page behind the end of the stream');
    const page = new Uint8Array(PAGE);
    this.inflate(this.source.view(at + 4, viewOf(head).getUint32(0)), page);
    return page;
  }
}
