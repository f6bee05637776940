import { type ByteSource, readExactly, readUpTo } from '../bytes/byte-source.js';
import { ExhumeError } from '../bytes/errors.js';
import { farOffset, raw, size64, structTable, u8, u16, u32, u64, viewOf } from '../bytes/struct-table.js';

/** Byte order: as EI_DATA says. Layouts: System V ABI, as in the kernel's include/uapi/linux/elf.h. */

const IDENT = { ei_mag: raw(0, 4), ei_class: u8(4), ei_data: u8(5), ei_version: u8(6), ei_osabi: u8(7) };

export const ELF64_HEADER = structTable('Elf64_Ehdr', 64, {
  ...IDENT,
  e_type: u16(16),
  e_machine: u16(18),
  e_version: u32(20),
  e_entry: u64(24),
  e_phoff: size64(32),
  e_shoff: size64(40),
  e_flags: u32(48),
  e_ehsize: u16(52),
  e_phentsize: u16(54),
  e_phnum: u16(56),
  e_shentsize: u16(58),
  e_shnum: u16(60),
  e_shstrndx: u16(62),
});

export const ELF32_HEADER = structTable('Elf32_Ehdr', 52, {
  ...IDENT,
  e_type: u16(16),
  e_machine: u16(18),
  e_version: u32(20),
  e_entry: u32(24),
  e_phoff: u32(28),
  e_shoff: u32(32),
  e_flags: u32(36),
  e_ehsize: u16(40),
  e_phentsize: u16(42),
  e_phnum: u16(44),
  e_shentsize: u16(46),
  e_shnum: u16(48),
  e_shstrndx: u16(50),
});

export const ELF64_PROGRAM_HEADER = structTable('Elf64_Phdr', 56, {
  p_type: u32(0),
  p_flags: u32(4),
  p_offset: farOffset(8),
  p_vaddr: u64(16),
  p_paddr: size64(24),
  p_filesz: size64(32),
  p_memsz: size64(40),
  p_align: u64(48),
});

export const ELF32_PROGRAM_HEADER = structTable('Elf32_Phdr', 32, {
  p_type: u32(0),
  p_offset: u32(4),
  p_vaddr: u32(8),
  p_paddr: u32(12),
  p_filesz: u32(16),
  p_memsz: u32(20),
  p_flags: u32(24),
  p_align: u32(28),
});

export const ELF64_SECTION_HEADER = structTable('Elf64_Shdr', 64, {
  sh_name: u32(0),
  sh_type: u32(4),
  sh_flags: u64(8),
  sh_addr: u64(16),
  sh_offset: u64(24),
  sh_size: u64(32),
  sh_link: u32(40),
  sh_info: u32(44),
  sh_addralign: u64(48),
  sh_entsize: u64(56),
});

export const ELF32_SECTION_HEADER = structTable('Elf32_Shdr', 40, {
  sh_name: u32(0),
  sh_type: u32(4),
  sh_flags: u32(8),
  sh_addr: u32(12),
  sh_offset: u32(16),
  sh_size: u32(20),
  sh_link: u32(24),
  sh_info: u32(28),
  sh_addralign: u32(32),
  sh_entsize: u32(36),
});

export const ET_CORE = 4;
export const PT_NULL = 0;
export const PT_LOAD = 1;
export const PT_NOTE = 4;
/** In e_phnum: the number of program headers is in sh_info of section header 0. */
export const PN_XNUM = 0xffff;
/** In e_flags: makedumpfile ran out of space (makedumpfile.h, DUMP_ELF_INCOMPLETE). */
export const ELF_INCOMPLETE = 0x1;

/** The ELF file header, with what follows from it. */
export interface ElfHeader {
  readonly wordBits: 32 | 64;
  readonly littleEndian: boolean;
  readonly type: number;
  readonly machine: number;
  readonly flags: number;
  /** File offset of the program headers, in bytes. */
  readonly programHeadersAt: number;
  /** Bytes from one program header to the next. */
  readonly programHeaderSize: number;
  /** How many there are; from section header 0 where e_phnum is PN_XNUM. */
  readonly programHeaders: number;
  readonly usesSectionZero: boolean;
  /** File offset of section header 0, in bytes. */
  readonly sectionHeadersAt: number;
}

/** Does it begin as an ELF file? */
export function isElf(head: Uint8Array): boolean {
  return head[0] === 0x7f && head[1] === 0x45 && head[2] === 0x4c && head[3] === 0x46;
}

/** Reads and checks the ELF header. Throws EXH_BAD_HEADER or EXH_TRUNCATED. */
export function readElfHeader(source: ByteSource): ElfHeader {
  const ident = readExactly(source, 0, 16, 'ELF identification');
  const wordBits = ident[4] === 2 ? 64 : ident[4] === 1 ? 32 : undefined;
  if (wordBits === undefined) throw badHeader(source, 'EI_CLASS', 4, '1 (32-bit) or 2 (64-bit)', ident[4] as number);
  if (ident[5] !== 1 && ident[5] !== 2) {
    throw badHeader(source, 'EI_DATA', 5, '1 (little-endian) or 2 (big-endian)', ident[5] as number);
  }
  const littleEndian = ident[5] === 1;
  const table = wordBits === 64 ? ELF64_HEADER : ELF32_HEADER;
  const header = table.read(viewOf(readExactly(source, 0, table.size, 'ELF header')), 0, littleEndian);
  const smallest = (wordBits === 64 ? ELF64_PROGRAM_HEADER : ELF32_PROGRAM_HEADER).size;
  let programHeaders = header.e_phnum;
  if (header.e_phnum === PN_XNUM) {
    const section = wordBits === 64 ? ELF64_SECTION_HEADER : ELF32_SECTION_HEADER;
    const bytes = readUpTo(source, header.e_shoff, section.size);
    if (header.e_shoff === 0 || bytes.length < section.size) {
      throw badHeader(
        source,
        'e_shoff',
        wordBits === 64 ? 40 : 32,
        'a section header (e_phnum is 0xffff)',
        header.e_shoff,
      );
    }
    programHeaders = section.read(viewOf(bytes), 0, littleEndian).sh_info;
  }
  if (programHeaders > 0 && header.e_phentsize < smallest) {
    throw badHeader(source, 'e_phentsize', wordBits === 64 ? 54 : 42, `at least ${smallest}`, header.e_phentsize);
  }
  return {
    wordBits,
    littleEndian,
    type: header.e_type,
    machine: header.e_machine,
    flags: header.e_flags,
    programHeadersAt: header.e_phoff,
    programHeaderSize: header.e_phentsize,
    programHeaders,
    usesSectionZero: header.e_phnum === PN_XNUM,
    sectionHeadersAt: header.e_shoff,
  };
}

function badHeader(source: ByteSource, field: string, offset: number, expected: string, found: number): ExhumeError {
  return new ExhumeError('EXH_BAD_HEADER', `${source.name}: ELF ${field} is ${found}, expected ${expected}`, {
    file: source.name,
    offset,
    expected,
    found,
  });
}

/** e_machine in the words of `uname -m`; undefined for one that exhume has no word for. */
export function elfMachineName(machine: number, wordBits: 32 | 64, littleEndian: boolean): string | undefined {
  switch (machine) {
    case 3:
      return 'i686';
    case 8:
      return wordBits === 64 ? 'mips64' : 'mips';
    case 20:
      return 'ppc';
    case 21:
      return littleEndian ? 'ppc64le' : 'ppc64';
    case 22:
      return wordBits === 64 ? 's390x' : 's390';
    case 40:
      return littleEndian ? 'armv7l' : 'armv7b';
    case 43:
      return 'sparc64';
    case 50:
      return 'ia64';
    case 62:
      return 'x86_64';
    case 183:
      return littleEndian ? 'aarch64' : 'aarch64_be';
    case 243:
      return wordBits === 64 ? 'riscv64' : 'riscv32';
    case 258:
      return wordBits === 64 ? 'loongarch64' : 'loongarch32';
    default:
      return undefined;
  }
}
