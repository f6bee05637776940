import type { Pfn } from '../../bytes/address.js';
import type { ByteSink } from '../../bytes/byte-sink.js';
import type { WrittenNote } from '../../dump/description.js';
import { type LoadHeader, sizeOfElfHeaders, writeElfHeaders } from '../../dump/elf-headers.js';
import { IntervalIndex } from '../../dump/intervals.js';
import { type MissingState, type PageState, PhysicalMemory, type PhysicalRange } from '../../dump/memory.js';
import { serializeNotes } from '../../dump/notes.js';
import { AreaSet, wholePages } from '../area-set.js';
import type { MemoryArea } from '../model.js';
import { PAGE } from '../source-reader.js';
import type { Content } from './content.js';

/** Bytes that are written at once. */
const AT_ONCE = 1 << 20;

/** What stands where. */
export interface PlacedContent extends MemoryArea {
  readonly content: Content;
}

/**
 * Physical memory that a layout describes. Nothing of it is held here but what has to be: contents are asked for as they
 * are read, so that it may be larger than this machine's.
 */
export class Image extends PhysicalMemory {
  readonly pageSize = PAGE;
  /** Pages that the image has, and all that there are. */
  private readonly present: AreaSet;
  private readonly described: AreaSet;
  /** Of `placed`. */
  private readonly index: IntervalIndex;

  /**
   * @param placed ascending, none over another, none without bytes
   * @param ram memory that is there besides, and not in the image
   * @param patches bytes that go over everything else, the last over those before
   */
  constructor(
    private readonly placed: readonly PlacedContent[],
    ram: readonly MemoryArea[],
    private readonly patches: readonly PlacedContent[],
  ) {
    super();
    this.present = new AreaSet([...placed, ...patches].map(wholePages));
    this.described = new AreaSet([...this.present.areas(), ...ram.map(wholePages)]);
    this.index = IntervalIndex.of(placed.map(({ address, size }) => ({ start: address, end: address + size })));
  }

  ranges(): readonly PhysicalRange[] {
    return this.described.ranges;
  }

  override presentRanges(): readonly PhysicalRange[] {
    return this.present.ranges;
  }

  state(pfn: Pfn): PageState {
    const address = pfn * PAGE;
    if (this.present.covers(address)) return 'present';
    return this.described.covers(address) ? 'excluded' : 'absent';
  }

  page(pfn: Pfn): Uint8Array | MissingState {
    const state = this.state(pfn);
    if (state !== 'present') return state;
    const page = new Uint8Array(PAGE);
    this.fill(pfn * PAGE, page);
    return page;
  }

  private fill(address: number, into: Uint8Array): void {
    into.fill(0);
    for (const one of this.at(address, into.length)) copyInto(one, address, into);
  }

  /** Is there anything but zeros? */
  private hasBytes(address: number, size: number): boolean {
    for (const { content } of this.at(address, size)) if (typeof content !== 'string') return true;
    return false;
  }

  /** What stands there, in the order in which it goes over each other. */
  private *at(address: number, size: number): Generator<PlacedContent> {
    for (let index = this.index.at(address); ; index++) {
      const one = this.placed[index];
      if (one === undefined || one.address >= address + size) break;
      yield one;
    }
    for (const patch of this.patches) {
      if (patch.address < address + size && address < patch.address + patch.size) yield patch;
    }
  }

  /**
   * Writes it as an ELF core of x86-64: each stretch of pages a segment, with where it lies in p_paddr.
   * Throws as the sink does, and as the contents do when they are read.
   */
  writeElf(sink: ByteSink, notes: readonly WrittenNote[]): void {
    const loads = this.segments();
    const note = serializeNotes(notes).bytes;
    const noteAt = sizeOfElfHeaders(loads.length);
    const dataAt = Math.ceil((noteAt + note.length) / PAGE) * PAGE;
    const placed = loads.map((load) => ({ ...load, fileOffset: load.fileOffset + dataAt }));
    writeElfHeaders(sink, { fileOffset: noteAt, size: note.length }, loads.length, placed);
    sink.write(noteAt, note);
    const buffer = new Uint8Array(AT_ONCE);
    let end = dataAt;
    for (const { physical, fileOffset, fileSize } of placed) {
      end = Math.max(end, fileOffset + fileSize);
      for (let done = 0; done < fileSize; done += AT_ONCE) {
        const part = buffer.subarray(0, Math.min(AT_ONCE, fileSize - done));
        if (!this.hasBytes(physical + done, part.length)) {
          sink.zeros(fileOffset + done, part.length);
          continue;
        }
        this.fill(physical + done, part);
        sink.write(fileOffset + done, part);
      }
    }
    sink.extend(end);
  }

  /** File offsets count from the first page's bytes. */
  private segments(): LoadHeader[] {
    const loads: LoadHeader[] = [];
    let fileOffset = 0;
    const add = (start: number, end: number, inFile: boolean): void => {
      const size = end - start;
      if (size <= 0) return;
      loads.push({ virtual: 0n, physical: start, fileOffset, fileSize: inFile ? size : 0, memorySize: size });
      if (inFile) fileOffset += size;
    };
    const present = this.present.ranges;
    let index = 0;
    for (const { start, end } of this.described.ranges) {
      let at: number = start;
      for (let part = present[index]; part !== undefined && part.start < end; part = present[++index]) {
        add(at, part.start, false);
        add(part.start, part.end, true);
        at = part.end;
      }
      add(at, end, false);
    }
    return loads;
  }
}

/** Puts a content's part of `into` there, which stands at `address`. */
function copyInto({ address: start, size, content }: PlacedContent, address: number, into: Uint8Array): void {
  if (typeof content === 'string') return;
  const from = Math.max(start, address);
  const to = Math.min(start + size, address + into.length);
  const length = Math.min(to - from, content.size - (from - start));
  if (length > 0) content.read(from - start, into.subarray(from - address, from - address + length));
}
