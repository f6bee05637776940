import type { ByteSink } from '../bytes/byte-sink.js';
import { viewOf } from '../bytes/struct-table.js';
import {
  ELF64_HEADER,
  ELF64_PROGRAM_HEADER,
  ELF64_SECTION_HEADER,
  ET_CORE,
  PN_XNUM,
  PT_LOAD,
  PT_NOTE,
} from './elf-header.js';

const EM_X86_64 = 62;
/** PF_R, PF_W, PF_X: as the kernel writes them. */
const RIGHTS = 7;
/** Program headers are made in batches of this many. */
const BATCH = 4096;

/** A segment of memory; all but the addresses in bytes. */
export interface LoadHeader {
  /** p_vaddr */
  readonly virtual: bigint;
  /** p_paddr */
  readonly physical: number;
  readonly fileOffset: number;
  readonly fileSize: number;
  readonly memorySize: number;
}

/** A segment of notes, in bytes. */
export interface NoteHeader {
  readonly fileOffset: number;
  readonly size: number;
}

/** How long the headers are for so many segments of memory and one of notes, in bytes. */
export function sizeOfElfHeaders(loads: number): number {
  return sectionHeaderAt(loads + 1) + (loads + 1 >= PN_XNUM ? ELF64_SECTION_HEADER.size : 0);
}

/**
 * Writes the headers of an ELF64 core of x86-64: the ELF header and, right behind it, the program headers (makedumpfile
 * looks for them nowhere else): the notes' first, then those of memory. Where e_phnum cannot count them, section header
 * 0 does, behind them.
 * @param count how many `loads` there are
 * @param flags e_flags
 */
export function writeElfHeaders(
  sink: ByteSink,
  note: NoteHeader,
  count: number,
  loads: Iterable<LoadHeader>,
  flags = 0,
): void {
  const headers = count + 1;
  const extended = headers >= PN_XNUM;
  const header = new Uint8Array(ELF64_HEADER.size);
  ELF64_HEADER.write(viewOf(header), 0, {
    ei_mag: Uint8Array.of(0x7f, 0x45, 0x4c, 0x46),
    ei_class: 2,
    ei_data: 1,
    ei_version: 1,
    e_type: ET_CORE,
    e_machine: EM_X86_64,
    e_version: 1,
    e_phoff: ELF64_HEADER.size,
    e_shoff: extended ? sectionHeaderAt(headers) : 0,
    e_flags: flags,
    e_ehsize: ELF64_HEADER.size,
    e_phentsize: ELF64_PROGRAM_HEADER.size,
    e_phnum: extended ? PN_XNUM : headers,
    e_shentsize: extended ? ELF64_SECTION_HEADER.size : 0,
    e_shnum: extended ? 1 : 0,
  });
  sink.write(0, header);
  writeProgramHeaders(sink, note, loads);
  if (extended) {
    const section = new Uint8Array(ELF64_SECTION_HEADER.size);
    ELF64_SECTION_HEADER.write(viewOf(section), 0, { sh_size: 1n, sh_info: headers });
    sink.write(sectionHeaderAt(headers), section);
  }
}

function sectionHeaderAt(headers: number): number {
  return ELF64_HEADER.size + headers * ELF64_PROGRAM_HEADER.size;
}

function writeProgramHeaders(sink: ByteSink, note: NoteHeader, loads: Iterable<LoadHeader>): void {
  const bytes = new Uint8Array(BATCH * ELF64_PROGRAM_HEADER.size);
  const view = viewOf(bytes);
  ELF64_PROGRAM_HEADER.write(view, 0, {
    p_type: PT_NOTE,
    p_offset: note.fileOffset,
    p_filesz: note.size,
    p_memsz: note.size,
  });
  let at = ELF64_HEADER.size;
  let used = ELF64_PROGRAM_HEADER.size;
  const flush = () => {
    sink.write(at, bytes.subarray(0, used));
    at += used;
    used = 0;
  };
  for (const { virtual, physical, fileOffset, fileSize, memorySize } of loads) {
    if (used === bytes.length) flush();
    ELF64_PROGRAM_HEADER.write(view, used, {
      p_type: PT_LOAD,
      p_flags: RIGHTS,
      p_offset: fileOffset,
      p_vaddr: BigInt.asUintN(64, virtual),
      p_paddr: physical,
      p_filesz: fileSize,
      p_memsz: memorySize,
      // As in /proc/vmcore: crash takes an aligned segment with another value for one of netdump's files.
      p_align: 0n,
    });
    used += ELF64_PROGRAM_HEADER.size;
  }
  flush();
}
