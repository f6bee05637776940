import { type ByteSource, readUpTo } from '../../bytes/byte-source.js';
import { viewOf } from '../../bytes/struct-table.js';
import { CachedSource } from '../../dump/cached-source.js';
import type { Note } from '../../dump/container.js';
import { DamageLog } from '../../dump/damage-log.js';
import { isProcessCore, readElfNotes } from '../../dump/elf-core.js';
import { type ElfHeader, ET_CORE, isElf, readElfHeader } from '../../dump/elf-header.js';
import { readProgramHeaders } from '../../dump/elf-segments.js';
import { ProcessMemory } from './process-memory.js';

/** A file that a process had mapped, from NT_FILE. */
export interface MappedFile {
  /** In the process's memory, in bytes; `end` is the first byte after. */
  readonly start: number;
  readonly end: number;
  /** Where in the file, in bytes. */
  readonly offset: number;
  readonly path: string;
}

/** A process as its core shows it, before anything is known of what it did. */
export interface ProcessCore {
  readonly header: ElfHeader;
  readonly memory: ProcessMemory;
  readonly notes: readonly Note[];
  /** In the order of their addresses. */
  readonly files: readonly MappedFile[];
  readonly damage: DamageLog;
  /** First byte after the last that a segment has in the file. */
  readonly endOfData: number;
}

const NT_FILE = 0x46494c45;
/** vm.max_map_count is 65530 unless raised. */
const MAX_FILES = 1_000_000;

/**
 * Opens an ELF file as the core of an x86-64 process; undefined when it is none.
 * Throws EXH_BAD_HEADER and EXH_TRUNCATED as any ELF file.
 */
export function openProcessCore(source: ByteSource, cacheBytes: number): ProcessCore | undefined {
  if (!isElf(readUpTo(source, 0, 4))) return undefined;
  const header = readElfHeader(source);
  if (header.type !== ET_CORE || header.wordBits !== 64 || !header.littleEndian || header.programHeaders === 0) {
    return undefined;
  }
  const damage = new DamageLog();
  const { loads, notes: segments } = readProgramHeaders(source, header, damage);
  const notes = readElfNotes(source, segments, header.littleEndian, damage);
  if (!isProcessCore(loads, notes)) return undefined;
  let endOfData = 0;
  for (let i = 0; i < loads.count; i++) {
    if (loads.fileSize[i] === 0) continue;
    endOfData = Math.max(endOfData, (loads.fileOffset[i] as number) + (loads.fileSize[i] as number));
  }
  return {
    header,
    memory: new ProcessMemory(new CachedSource(source, cacheBytes), loads),
    notes,
    files: mappedFiles(notes),
    damage,
    endOfData,
  };
}

/** NT_FILE: a count, the unit of the offsets, then start, end and offset of each, then their names (fs/binfmt_elf.c). */
export function mappedFiles(notes: readonly Note[]): MappedFile[] {
  const description = notes.find((note) => note.name === 'CORE' && note.type === NT_FILE)?.description;
  if (description === undefined || description.length < 16) return [];
  const view = viewOf(description);
  const word = (at: number): number => Number(view.getBigUint64(at, true));
  const room = Math.floor((description.length - 16) / 24);
  const count = Math.min(word(0), room, MAX_FILES);
  const unit = word(8);
  const names = decoder.decode(description.subarray(16 + 24 * count)).split('\0', count);
  return names.flatMap((path, i) => {
    const at = 16 + 24 * i;
    const [start, end, offset] = [word(at), word(at + 8), word(at + 16) * unit];
    return Number.isSafeInteger(start) && Number.isSafeInteger(end) && start < end
      ? [{ start, end, offset, path }]
      : [];
  });
}

/** The file that an address is in. */
export function fileAt(files: readonly MappedFile[], address: number): MappedFile | undefined {
  return files.find(({ start, end }) => address >= start && address < end);
}

const decoder = new TextDecoder();

/** A note's description, by the name and the type that tell it. */
export function noteOf(notes: readonly Note[], type: number, name = 'CORE'): Uint8Array | undefined {
  return notes.find((note) => note.name === name && note.type === type)?.description;
}
