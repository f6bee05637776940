import { MemorySink } from '../bytes/byte-sink.js';
import { type ByteSource, readExactly, readUpTo } from '../bytes/byte-source.js';
import { ExhumeError } from '../bytes/errors.js';
import { viewOf } from '../bytes/struct-table.js';
import { DamageLog } from './damage-log.js';
import type { DumpDescription } from './description.js';
import {
  type DiskdumpHeader,
  diskdumpSignature,
  HEADER_64,
  readDiskdumpHeader,
  SUB_HEADER_64,
} from './diskdump-header.js';
import { isElf, readElfHeader } from './elf-header.js';
import { type LoadHeader, sizeOfElfHeaders, writeElfHeaders } from './elf-headers.js';
import { readProgramHeaders, type Segments } from './elf-segments.js';
import { kdumpHeaders } from './kdump-headers.js';
import { serializeNotes } from './notes.js';
import { PageBitmap } from './page-bitmap.js';

/** What to write into a copy of a dump, so that its headers are right; all else stays where it is. */
export interface HeaderFix {
  readonly writes: readonly { readonly offset: number; readonly bytes: Uint8Array }[];
}

/** The beginning of a file, enough to tell what it is. */
const HEAD = 64;
/** Notes are put at such an offset when they go to the end of the file, and the file ends at one: makedumpfile reads past them. */
const END_GRAIN = 4096;

/**
 * Works out new headers for a dump: kdump-compressed, or an ELF core, of 64 bits, little-endian, not flattened, one file.
 * Pages and their descriptors stay where they are, but for a few that make room. A kdump file's notes go to the end of the
 * file when they have no room before the bitmaps.
 * Throws EXH_USAGE for a file whose headers cannot be made right like this, and what reading its headers throws.
 * @param memoryEnd the first page frame that the kernel has no page struct for, if that is known
 */
export function fixHeaders(source: ByteSource, description: DumpDescription, memoryEnd: number | undefined): HeaderFix {
  const head = readUpTo(source, 0, HEAD);
  if (diskdumpSignature(head) === 'KDUMP   ') return fixKdump(source, description, memoryEnd);
  if (isElf(head)) return fixElf(source, description);
  throw notFixable(source, 'is neither a kdump file nor an ELF core');
}

function fixKdump(source: ByteSource, description: DumpDescription, memoryEnd: number | undefined): HeaderFix {
  const header = readDiskdumpHeader(source);
  if (header.wordBits !== 64 || !header.littleEndian)
    throw notFixable(source, 'is not of a 64-bit little-endian machine');
  const { blockSize, bitmapBlocks, subHeaderBlocks, sub } = header;
  const bitmaps = sub.split === 0 ? bitmapsBelow(source, header, memoryEnd) : undefined;
  // Smaller bitmaps go right before the descriptors, which stay: the sub header's blocks grow by what is free then.
  const newBlocks = bitmaps === undefined ? bitmapBlocks : 2 * bitmaps.blocks;
  const newSubHeaderBlocks = subHeaderBlocks + bitmapBlocks - newBlocks;
  const notes = serializeNotes(description.notes).bytes;
  const notesAt = blockSize + SUB_HEADER_64.size;
  const fits = notesAt + notes.length <= (1 + newSubHeaderBlocks) * blockSize;
  const place = {
    maxMapnr: bitmaps?.maxMapnr ?? header.maxMapnr,
    subHeaderBlocks: newSubHeaderBlocks,
    bitmapBlocks: newBlocks,
    notesAt: fits ? notesAt : roundUp(source.size),
  };
  const split = { start: sub.start_pfn_64 || sub.start_pfn, end: sub.end_pfn_64 || sub.end_pfn };
  const numbers = [split.start, split.end, header.maxMapnr, sub.offset_eraseinfo, sub.size_eraseinfo];
  if (!numbers.every(Number.isFinite)) throw notFixable(source, 'has impossible numbers in its sub header');
  const bytes = kdumpHeaders(description, place, { compression: undefined, ...(sub.split !== 0 && { split }) });
  const view = viewOf(bytes);
  // What the file's pages are is not for the kernel to say.
  HEADER_64.write(view, 0, { status: header.status });
  SUB_HEADER_64.write(view, blockSize, {
    dump_level: sub.dump_level,
    offset_eraseinfo: sub.offset_eraseinfo,
    size_eraseinfo: sub.size_eraseinfo,
  });
  const writes = [
    { offset: 0, bytes },
    { offset: place.notesAt, bytes: fits ? notes : padded(notes) },
  ];
  const bitmapsAt = (1 + newSubHeaderBlocks) * blockSize;
  bitmaps?.halves.forEach((half, i) => {
    writes.push({ offset: bitmapsAt + i * half.length, bytes: half });
  });
  return { writes };
}

/** Both bitmaps up to a pfn; undefined when they need not be smaller than they are, or the file has one only. */
function bitmapsBelow(
  source: ByteSource,
  header: DiskdumpHeader,
  memoryEnd: number | undefined,
): { readonly maxMapnr: number; readonly blocks: number; readonly halves: readonly Uint8Array[] } | undefined {
  if (memoryEnd === undefined || memoryEnd >= header.maxMapnr) return undefined;
  const { blockSize, bitmapBlocks } = header;
  const blocksFor = (pages: number) => Math.ceil(Math.ceil(pages / 8) / blockSize);
  const blocks = blocksFor(memoryEnd);
  if (bitmapBlocks < 2 * blocksFor(header.maxMapnr) || 2 * blocks >= bitmapBlocks) return undefined;
  const bitmapsAt = (1 + header.subHeaderBlocks) * blockSize;
  if (bitmapsAt + bitmapBlocks * blockSize > source.size) return undefined;
  const halves = [0, 1].map((half) => {
    const bits = new PageBitmap(new Uint8Array(blocks * blockSize), memoryEnd);
    source.read(bitmapsAt + (half * bitmapBlocks * blockSize) / 2, bits.bits);
    for (let pfn = memoryEnd; pfn < bits.bits.length * 8; pfn++) bits.bits[pfn >> 3] = 0;
    return bits;
  });
  let maxMapnr = 0;
  for (const [, end] of halves[0]?.runs() ?? []) maxMapnr = end;
  return maxMapnr === 0 ? undefined : { maxMapnr, blocks, halves: halves.map(({ bits }) => bits) };
}

/** crash wants the notes before the memory: where they have no room there, the first pages of memory go to the end. */
function fixElf(source: ByteSource, description: DumpDescription): HeaderFix {
  const header = readElfHeader(source);
  if (header.wordBits !== 64 || !header.littleEndian)
    throw notFixable(source, 'is not of a 64-bit little-endian machine');
  const damage = new DamageLog();
  const { loads } = readProgramHeaders(source, header, damage);
  if (damage.entries.length > 0) throw notFixable(source, 'ends before its own program headers do');
  if (
    ![loads.physical, loads.fileOffset, loads.fileSize, loads.memorySize].every((all) => all.every(Number.isFinite))
  ) {
    throw notFixable(source, 'has segments without a physical address, or impossible ones');
  }
  const notes = serializeNotes(description.notes).bytes;
  const writes: { offset: number; bytes: Uint8Array }[] = [];
  let end = roundUp(source.size);
  let memory = loadsOf(loads, description);
  for (let moves = 0; ; moves++) {
    const segments = [...imageOf(memory, description), ...memory];
    const notesAt = sizeOfElfHeaders(segments.length);
    const first = firstInFile(memory);
    const missing = notesAt + notes.length - (first?.fileOffset ?? Number.POSITIVE_INFINITY);
    if (first === undefined || missing <= 0) {
      const sink = new MemorySink();
      writeElfHeaders(sink, { fileOffset: notesAt, size: notes.length }, segments.length, segments, header.flags);
      sink.write(notesAt, notes);
      return { writes: [...writes, { offset: 0, bytes: sink.bytes }] };
    }
    if (moves === MOST_MOVES) throw notFixable(source, 'has no room for its headers');
    const size = Math.min(first.fileSize, roundUp(missing + SLACK));
    const bytes = readExactly(source, first.fileOffset, size, 'first pages of memory');
    writes.push({ offset: end, bytes });
    memory = memory.flatMap((load) => (load === first ? movedTo(end, load, size) : [load]));
    const shared = memory.some(
      ({ fileOffset }) => fileOffset >= first.fileOffset && fileOffset < first.fileOffset + size,
    );
    if (shared) throw notFixable(source, 'has segments that share their bytes where its headers need room');
    end += roundUp(size);
  }
}

/** Segments that are shorter than the room that is needed may have to go, one after another; more than a few are odd. */
const MOST_MOVES = 64;
/** What one more program header takes, and some. */
const SLACK = 256;

/** A segment of which the first bytes stand elsewhere in the file. */
function movedTo(offset: number, load: LoadHeader, size: number): LoadHeader[] {
  if (size === load.fileSize) return [{ ...load, fileOffset: offset }];
  const rest = {
    virtual: load.virtual + BigInt(size),
    physical: load.physical + size,
    fileOffset: load.fileOffset + size,
    fileSize: load.fileSize - size,
    memorySize: load.memorySize - size,
  };
  return [{ ...load, fileOffset: offset, fileSize: size, memorySize: size }, rest];
}

/** The segment whose bytes come first in the file. */
function firstInFile(loads: readonly LoadHeader[]): LoadHeader | undefined {
  let first: LoadHeader | undefined;
  for (const load of loads) {
    if (load.fileSize > 0 && (first === undefined || load.fileOffset < first.fileOffset)) first = load;
  }
  return first;
}

/** The segments as they are, but with the direct map's addresses, unless they are the kernel's image in its own map. */
function loadsOf(loads: Segments, { directMap, kernelText }: DumpDescription): LoadHeader[] {
  return Array.from({ length: loads.count }, (_, i) => {
    const physical = loads.physical[i] as number;
    const virtual = loads.virtual[i] as bigint;
    const inImage = kernelText !== undefined && virtual - kernelText.virtual === BigInt(physical - kernelText.physical);
    return {
      virtual: directMap === undefined || inImage ? virtual : directMap + BigInt(physical),
      physical,
      fileOffset: loads.fileOffset[i] as number,
      fileSize: loads.fileSize[i] as number,
      memorySize: loads.memorySize[i] as number,
    };
  });
}

/** The kernel's image in its own map, over the bytes of the RAM that it is; none where the file has such segments. */
function imageOf(loads: readonly LoadHeader[], { kernelText }: DumpDescription): LoadHeader[] {
  if (kernelText === undefined) return [];
  const shift = kernelText.virtual - BigInt(kernelText.physical);
  if (loads.some(({ virtual, physical }) => virtual - BigInt(physical) === shift)) return [];
  return loads.flatMap(({ physical, fileOffset, fileSize }) => {
    const start = Math.max(physical, kernelText.physical);
    const size = Math.min(physical + fileSize, kernelText.physical + kernelText.size) - start;
    if (size <= 0) return [];
    const at = fileOffset + (start - physical);
    return [{ virtual: shift + BigInt(start), physical: start, fileOffset: at, fileSize: size, memorySize: size }];
  });
}

function roundUp(size: number): number {
  return Math.ceil(size / END_GRAIN) * END_GRAIN;
}

function padded(bytes: Uint8Array): Uint8Array {
  const longer = new Uint8Array(roundUp(bytes.length));
  longer.set(bytes);
  return longer;
}

function notFixable(source: ByteSource, why: string): ExhumeError {
  return new ExhumeError('EXH_USAGE', `${source.name} ${why}: its headers cannot be fixed alone`, {
    file: source.name,
    hint: 'convert it as a whole, without --fix-only',
  });
}
