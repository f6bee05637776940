import type { ByteSource } from '../../bytes/byte-source.js';
import { CachedSource } from '../../dump/cached-source.js';
import { type MemoryPieces, SegmentMemory } from '../../dump/segment-memory.js';
import type { GuestRange } from './flat-view.js';
import { fileAt, type ProcessCore } from './process-core.js';
import type { RamBlock } from './ram-blocks.js';

/** A file that has guest memory, beside the core, and where it lies in the bytes of both together. */
export interface BackingFile {
  readonly name: string;
  /** Where its first byte is in the joined source. */
  readonly at: number;
  readonly size: number;
}

/** A block of which the core lacks a part. */
export interface MissingBlock {
  readonly block: RamBlock;
  /** In bytes. */
  readonly missing: number;
  /** The file that has it; undefined: it was anonymous memory. */
  readonly file: string | undefined;
}

const PAGE = 4096;

/** The guest's memory as pieces of the core and of backing files, and what neither has. */
export function guestMemory(
  core: ProcessCore,
  source: ByteSource,
  ranges: readonly GuestRange[],
  backing: readonly BackingFile[],
  cacheBytes: number,
): { readonly memory: SegmentMemory; readonly missing: readonly MissingBlock[] } {
  const physical: number[] = [];
  const fileOffset: number[] = [];
  const fileSize: number[] = [];
  const memorySize: number[] = [];
  const missing = new Map<RamBlock, number>();
  for (const { block, offset, physical: at, size } of ranges) {
    for (const part of partsOf(core, block.host + offset, size, backing)) {
      physical.push(at + part.from);
      fileOffset.push(part.at);
      fileSize.push(part.present);
      memorySize.push(part.size);
      if (part.present < part.size) missing.set(block, (missing.get(block) ?? 0) + part.size - part.present);
    }
  }
  const pieces: MemoryPieces = {
    physical: Float64Array.from(physical),
    fileOffset: Float64Array.from(fileOffset),
    fileSize: Float64Array.from(fileSize),
    memorySize: Float64Array.from(memorySize),
  };
  return {
    memory: new SegmentMemory(new CachedSource(source, cacheBytes), pieces, PAGE),
    missing: [...missing].map(([block, bytes]) => ({
      block,
      missing: bytes,
      file: fileAt(core.files, block.host)?.path,
    })),
  };
}

interface Part {
  /** From the beginning of what was asked for, in bytes. */
  readonly from: number;
  readonly size: number;
  /** Where in the joined source it lies, and how much of it is there, from its beginning on. */
  readonly at: number;
  readonly present: number;
}

/** Where some of the process's memory lies: in its core, else in the file that it was mapped from. */
function partsOf(core: ProcessCore, host: number, size: number, backing: readonly BackingFile[]): Part[] {
  const parts: Part[] = [];
  const end = host + size;
  for (let at = host; at < end; ) {
    const span = core.memory.at(at);
    // What the core does not even name goes up to what it names next.
    const stop = Math.min(end, span?.end ?? core.memory.after(at));
    const inSpan = span === undefined ? 0 : at - span.start;
    const present = span === undefined ? 0 : Math.max(0, Math.min(stop - at, span.fileSize - inSpan));
    if (present > 0 && span !== undefined) {
      parts.push({ from: at - host, size: present, at: span.fileOffset + inSpan, present });
    }
    if (present < stop - at) {
      const from = at + present;
      const file = fileAt(core.files, from);
      const other = file && backing.find(({ name }) => baseName(name) === baseName(file.path));
      const offset = file === undefined ? 0 : from - file.start + file.offset;
      const inFile = other === undefined ? 0 : Math.max(0, Math.min(stop - from, other.size - offset));
      parts.push({ from: from - host, size: stop - from, at: (other?.at ?? 0) + offset, present: inFile });
    }
    at = stop;
  }
  return parts;
}

/** A file's name without its directories: it may have been moved since. */
function baseName(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1).replace(/ \(deleted\)$/, '');
}
