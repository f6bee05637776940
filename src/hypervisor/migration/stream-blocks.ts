import { hex } from '../../bytes/address.js';
import { ExhumeError } from '../../bytes/errors.js';
import type { StreamReader } from './stream-reader.js';

const PAGE = 4096;
/** Pages of a block are put down in pieces of so many, so that a block costs what the stream has of it. */
const PIECE = 4096;
const MAX_BLOCKS = 1024;

/** How a stream has a page. */
export type StoredAs = 'raw' | 'zlib' | 'filled';

/** A page in a stream: where its bytes are and how many, or the byte that it is filled with. */
export interface StreamPage {
  readonly as: StoredAs;
  /** In the source, in bytes; for `filled` the byte. */
  readonly at: number;
}

/** A block of guest memory in a stream, and where its pages are. Pages that come twice count as they were last. */
export class StreamBlock {
  private readonly pieces = new Map<number, Float64Array>();
  /** With mapped-ram: where the pages lie one behind the other, and a bit for each that is there; the others are zeros. */
  mapped: { readonly pagesAt: number; readonly bitmapAt: number } | undefined;

  constructor(
    readonly name: string,
    /** In bytes. */
    readonly size: number,
  ) {}

  put(offset: number, page: StreamPage): void {
    if (offset % PAGE !== 0 || offset >= this.size) {
      throw new ExhumeError(
        'EXH_BAD_STRUCTURE',
        `the stream has a page at ${offset} of ${this.name}, which ends before`,
      );
    }
    const index = offset / PAGE;
    const key = Math.floor(index / PIECE);
    let piece = this.pieces.get(key);
    if (piece === undefined) {
      piece = new Float64Array(PIECE);
      this.pieces.set(key, piece);
    }
    // 0: nothing; -1 … -256: a byte; else the place, twice, and 1 more where it is compressed.
    piece[index % PIECE] = page.as === 'filled' ? -1 - page.at : 2 * page.at + (page.as === 'zlib' ? 1 : 0);
  }

  /** The page at an offset; undefined: the stream does not have it. */
  get(offset: number): StreamPage | undefined {
    const index = Math.floor(offset / PAGE);
    const entry = this.pieces.get(Math.floor(index / PIECE))?.[index % PIECE] ?? 0;
    if (entry === 0) return undefined;
    if (entry < 0) return { as: 'filled', at: -1 - entry };
    return { as: entry % 2 === 1 ? 'zlib' : 'raw', at: Math.floor(entry / 2) };
  }
}

/** RAM_SAVE_FLAG_*; QEMU migration/ram.c. */
const FLAG = {
  zero: 0x02,
  sizes: 0x04,
  page: 0x08,
  end: 0x10,
  same: 0x20,
  xbzrle: 0x40,
  compressed: 0x100,
  flush: 0x200,
} as const;
/** `struct MappedRamHeader`: version, page_size, bitmap_offset, pages_offset. */
const MAPPED_RAM_VERSION = 1;

/** What a stream's sections of RAM tell, one after the other. */
export class RamSections {
  readonly blocks: StreamBlock[] = [];
  private current: StreamBlock | undefined;
  /** Pages that are only there as the difference to what they were before. */
  differences = 0;

  /** Reads a section up to its end. Throws EXH_TRUNCATED and EXH_BAD_STRUCTURE. */
  read(reader: StreamReader, mappedRam: boolean): void {
    for (;;) {
      const word = reader.u64();
      const flags = word % PAGE;
      const address = word - flags;
      if (!Number.isFinite(word)) throw this.broken(reader, 'an address of more than 53 bits');
      if ((flags & FLAG.sizes) !== 0) {
        this.readSizes(reader, address, mappedRam);
        continue;
      }
      if ((flags & FLAG.end) !== 0) return;
      if ((flags & (FLAG.zero | FLAG.page | FLAG.compressed | FLAG.xbzrle)) === 0) {
        if (flags === FLAG.flush) continue;
        throw this.broken(reader, `a record with flags ${hex(flags)}`);
      }
      this.readPage(reader, flags, address);
    }
  }

  private readPage(reader: StreamReader, flags: number, address: number): void {
    if ((flags & FLAG.same) === 0) {
      const name = reader.string();
      this.current = this.blocks.find((block) => block.name === name);
    }
    const block = this.current;
    if (block === undefined) throw this.broken(reader, 'a page of an unknown block');
    if ((flags & FLAG.zero) !== 0) {
      block.put(address, { as: 'filled', at: reader.u8() });
    } else if ((flags & FLAG.page) !== 0) {
      block.put(address, { as: 'raw', at: reader.position });
      reader.skip(PAGE);
    } else if ((flags & FLAG.compressed) !== 0) {
      // The length is read again with the page.
      block.put(address, { as: 'zlib', at: reader.position });
      const length = reader.u32();
      if (length > 2 * PAGE) throw this.broken(reader, `a compressed page of ${length} bytes`);
      reader.skip(length);
    } else {
      // ENCODING_FLAG_XBZRLE, length, data.
      reader.skip(1);
      reader.skip(reader.u16());
      this.differences++;
    }
  }

  private readSizes(reader: StreamReader, total: number, mappedRam: boolean): void {
    for (let left = total; left > 0; ) {
      const name = reader.string();
      const size = reader.u64();
      const plausible = /^[\x21-\x7e]+$/.test(name) && size > 0 && size % PAGE === 0 && size <= left;
      if (!plausible || this.blocks.length === MAX_BLOCKS) throw this.broken(reader, 'a block of impossible size');
      left -= size;
      const block = new StreamBlock(name, size);
      this.blocks.push(block);
      if (mappedRam) this.readMapped(reader, block);
    }
  }

  private readMapped(reader: StreamReader, block: StreamBlock): void {
    const version = reader.u32();
    const pageSize = reader.u64();
    const bitmap = reader.u64();
    const pages = reader.u64();
    if (version !== MAPPED_RAM_VERSION || pageSize !== PAGE || bitmap < reader.position - PAGE || pages < bitmap) {
      throw this.broken(reader, 'no header of mapped RAM');
    }
    block.mapped = { pagesAt: pages, bitmapAt: bitmap };
    reader.skip(pages + block.size - reader.position);
  }

  private broken(reader: StreamReader, what: string): ExhumeError {
    return new ExhumeError('EXH_BAD_STRUCTURE', `the stream's memory is broken: ${what} before ${reader.position}`, {
      offset: reader.position,
    });
  }
}
