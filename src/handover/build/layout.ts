import { hex } from '../../bytes/address.js';
import { ExhumeError } from '../../bytes/errors.js';
import { AreaSet, wholePages } from '../area-set.js';
import type { MemoryArea, PreservedBlock } from '../model.js';
import { PAGE } from '../source-reader.js';
import { bytesContent, type Content } from './content.js';
import { Image, type PlacedContent } from './image.js';

/** Physical addresses end here. */
const HIGHEST = 2 ** 52;

/**
 * How memory is to be preserved: `pages` as kho_preserve_pages does, in blocks as large as they lie; `folio` as
 * kho_preserve_folio does, in one block that is large enough; `bytes` as the series of 2023/24, whose map has bytes; `no`: not
 * at all.
 */
export type Preservation = 'pages' | 'folio' | 'bytes' | 'no';

/** Memory that something is to stand in. */
export interface Wanted {
  /** For people: `struct luo_ser`. */
  readonly what: string;
  /** Where in the description it was asked for: `users[0].luo`. */
  readonly path: string;
  /** In bytes. */
  readonly size: number;
  /** In bytes; a page when it is not given. Only of an address that is not given. */
  readonly align?: number | undefined;
  /** Physical. Undefined: wherever there is room. */
  readonly address?: number | undefined;
  /** Is to lie as high as possible in this area: what kexec loads lies in scratch memory. */
  readonly within?: MemoryArea | undefined;
  readonly preserve: Preservation;
  /** A function is asked when all addresses are settled. */
  readonly content: Content | (() => Uint8Array);
}

/** Something in a build that is possible, and wrong. */
export interface BuildWarning {
  /** In the description. */
  readonly path: string;
  readonly message: string;
}

/** A piece of memory; where it lies is known once the layout is settled. */
export class Piece implements MemoryArea {
  private at: number | undefined;

  constructor(readonly wanted: Wanted) {
    this.at = wanted.address;
  }

  get size(): number {
    return this.wanted.size;
  }

  get settled(): boolean {
    return this.at !== undefined;
  }

  get address(): number {
    if (this.at === undefined) throw new Error(`${this.wanted.what} has no address yet`);
    return this.at;
  }

  settle(address: number): void {
    this.at = address;
  }
}

interface Preserved {
  readonly area: MemoryArea;
  readonly how: Exclude<Preservation, 'no'>;
  readonly path: string;
}

/**
 * Lays out a handover in physical memory: pieces at addresses that are given, all others where there is room, outside of
 * scratch memory, in the order in which they are placed. Two phases, since pieces hold each other's addresses: `place` all
 * of them, then `settle`, then their contents are made. More can be placed and settled after that: the map of preserved
 * memory, which depends on where all else lies.
 */
export class Layout {
  readonly warnings: BuildWarning[] = [];
  private readonly pieces: Piece[] = [];
  private readonly reserved: MemoryArea[] = [];
  private readonly preservations: Preserved[] = [];
  private unsettled: Piece[] = [];
  /** What is not given is put behind this address. */
  private next: number;

  /**
   * @param from the lowest address for what is put where there is room
   * @param scratch memory in which nothing is put that is not said to be there
   */
  constructor(
    from: number,
    readonly scratch: readonly MemoryArea[],
  ) {
    this.next = from;
  }

  /** Throws EXH_USAGE when a given address leads out of physical memory. */
  place(wanted: Wanted): Piece {
    const { path, what, size, address, preserve } = wanted;
    if (address !== undefined) checkRange(path, what, { address, size });
    const piece = new Piece(wanted);
    this.pieces.push(piece);
    if (!piece.settled) this.unsettled.push(piece);
    if (preserve !== 'no') this.preserve(piece, preserve, path);
    return piece;
  }

  /** Memory into which nothing is put that is not said to be there. */
  reserve(area: MemoryArea): void {
    this.reserved.push(area);
  }

  /** Has memory stand in the map. Its address need not be known yet. */
  preserve(area: MemoryArea, how: Exclude<Preservation, 'no'>, path: string): void {
    this.preservations.push({ area, how, path });
  }

  warn(path: string, message: string): void {
    this.warnings.push({ path, message });
  }

  /** Gives every piece its address. Throws EXH_USAGE when there is no room. */
  settle(): void {
    const settled = this.pieces.filter((piece) => piece.settled);
    const taken = new AreaSet([...this.scratch, ...this.reserved, ...settled.map(wholePages)]);
    const high: MemoryArea[] = [];
    for (const piece of this.unsettled) {
      const { path, what, size, within, align = this.alignOf(piece.wanted) } = piece.wanted;
      const room = Math.max(1, Math.ceil(size / PAGE)) * PAGE;
      const address =
        within === undefined ? this.free(taken, room, align) : highest(within, room, align, [...settled, ...high]);
      if (address === undefined) throw usage(path, `there is no room for ${what}, ${size} bytes`);
      checkRange(path, what, { address, size });
      piece.settle(address);
      if (within === undefined) this.next = address + room;
      else high.push({ address, size: room });
    }
    this.unsettled = [];
  }

  private alignOf({ preserve, size }: Wanted): number {
    return preserve === 'folio' ? folioSize(size) : PAGE;
  }

  private free(taken: AreaSet, size: number, align: number): number {
    for (let at = Math.ceil(this.next / align) * align; ; ) {
      const [clash] = taken.within({ address: at, size });
      if (clash === undefined) return at;
      at = Math.ceil(taken.endOf(clash.address) / align) * align;
    }
  }

  /**
   * What stands in the map, in the order in which it was preserved. Warns of blocks that overlap, that begin amid a page or
   * a block, and that lie in scratch memory. To be asked once.
   */
  blocks(): PlannedBlock[] {
    const blocks: PlannedBlock[] = [];
    const seen = new Set<string>();
    const free = new AreaSet(this.scratch);
    for (const { area, how, path } of this.preservations) {
      if (how !== 'bytes' && area.address % PAGE !== 0) {
        this.warn(path, `${hex(area.address)} is no multiple of ${PAGE}: the pages around it are preserved`);
      }
      const pages = wholePages(area);
      if ([...free.within(pages)].length > 0) {
        this.warn(path, `lies in scratch memory, where the next kernel writes: ${hex(pages.address)}`);
      }
      if (how === 'folio' && pages.address % folioSize(pages.size) !== 0) {
        this.warn(path, `${hex(pages.address)} is no place for a folio of ${folioSize(pages.size)} bytes`);
      }
      for (const block of how === 'folio' ? [folioBlock(pages)] : pageBlocks(pages)) {
        const key = `${block.address} ${block.order}`;
        if (!seen.has(key)) blocks.push({ ...block, path });
        seen.add(key);
      }
    }
    this.tellOverlaps(blocks);
    return blocks;
  }

  private tellOverlaps(blocks: readonly PlannedBlock[]): void {
    const sorted = [...blocks].sort((a, b) => a.address - b.address || b.size - a.size);
    let widest: PlannedBlock | undefined;
    for (const block of sorted) {
      if (widest !== undefined && block.address < widest.address + widest.size) {
        this.warn(block.path, `the preserved block at ${hex(block.address)} overlaps that of ${widest.path}`);
      }
      if (widest === undefined || block.address + block.size > widest.address + widest.size) widest = block;
    }
  }

  /**
   * The memory as it is laid out.
   * Throws EXH_USAGE when two pieces have different bytes for one place.
   * @param ram memory that is there besides, of which the image has nothing
   * @param patches bytes that go over everything else
   */
  image(ram: readonly MemoryArea[] = [], patches: readonly PlacedContent[] = []): Image {
    const placed: PlacedContent[] = [];
    const owners: Wanted[] = [];
    const bare: MemoryArea[] = [...this.scratch, ...ram];
    const sorted = this.pieces.filter(({ size }) => size > 0).sort((a, b) => a.address - b.address);
    for (const { address, size, wanted } of sorted) {
      const { content } = wanted;
      if (content === 'excluded') bare.push({ address, size });
      if (content === 'excluded' || content === 'absent') continue;
      const last = placed.at(-1);
      const owner = owners.at(-1);
      if (last !== undefined && owner !== undefined && address < last.address + last.size) {
        throw usage(
          wanted.path,
          `${wanted.what} at ${hex(address)} lies where ${owner.what} does (${owner.path}): ${hex(last.address)} to ${hex(last.address + last.size)}`,
        );
      }
      placed.push({ address, size, content: typeof content === 'function' ? bytesContent(content()) : content });
      owners.push(wanted);
    }
    return new Image(placed, bare, patches);
  }
}

/** A block of the map, and who asked for it. */
export interface PlannedBlock extends PreservedBlock {
  readonly path: string;
}

/** As large as a folio for so many bytes is: 2^order pages. */
export function folioSize(size: number): number {
  let room = PAGE;
  while (room < size) room *= 2;
  return room;
}

function folioBlock({ address, size }: MemoryArea): PreservedBlock {
  const room = folioSize(size);
  return { address, size: room, order: Math.log2(room / PAGE) };
}

/** As kho_preserve_pages splits pages that lie together: each block as large as its place and what is left allow. */
export function pageBlocks({ address, size }: MemoryArea): PreservedBlock[] {
  const blocks: PreservedBlock[] = [];
  const end = address + size;
  for (let at = address; at < end; ) {
    let room = PAGE;
    let order = 0;
    while (at % (room * 2) === 0 && at + room * 2 <= end) {
      room *= 2;
      order++;
    }
    blocks.push({ address: at, size: room, order });
    at += room;
  }
  return blocks;
}

/** The highest place for so many bytes in an area. */
function highest({ address, size }: MemoryArea, room: number, align: number, taken: readonly MemoryArea[]) {
  let at = Math.floor((address + size - room) / align) * align;
  while (at >= address) {
    const start = at;
    const clash = taken.find((one) => one.address < start + room && start < one.address + one.size);
    if (clash === undefined) return at;
    at = Math.floor((clash.address - room) / align) * align;
  }
  return undefined;
}

function checkRange(path: string, what: string, { address, size }: MemoryArea): void {
  if (Number.isSafeInteger(address + size) && address >= 0 && address + size <= HIGHEST) return;
  throw usage(path, `${what} at ${hex(address)}, ${size} bytes: physical addresses end at ${hex(HIGHEST)}`);
}

/** An error in the description. */
export function usage(path: string, message: string): ExhumeError {
  return new ExhumeError('EXH_USAGE', `${path}: ${message}`);
}
