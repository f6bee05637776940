import { type ByteSource, MemorySource, readExactly, readUpTo, SliceSource } from '../../bytes/byte-source.js';
import { ExhumeError } from '../../bytes/errors.js';
import { viewOf } from '../../bytes/struct-table.js';
import type { Decoders } from '../../codecs/codec.js';
import { ELF32_SECTION_HEADER, ELF64_SECTION_HEADER, isElf, readElfHeader } from '../../dump/elf-header.js';
import { buildIdOf } from '../../dump/notes.js';

/** System V ABI; include/uapi/linux/elf.h. */
export const ET_REL = 1;
const SHT_RELA = 4;
const SHT_NOTE = 7;
const SHT_NOBITS = 8;
const SHF_COMPRESSED = 0x800n;
const ELFCOMPRESS_ZLIB = 1;
const ELFCOMPRESS_ZSTD = 2;

/** More than a module built with `-ffunction-sections` has. */
const MOST_SECTIONS = 200_000;
const LONGEST_NAME = 4096;
const LARGEST_NOTES = 1 << 20;
/** Debug sections shrink to a third or a fifth: one that says more than this is not believed. */
const MOST_GROWTH = 64;

/** A section of an ELF file; Elf64_Shdr. */
export interface ElfSection {
  readonly index: number;
  readonly name: string;
  readonly type: number;
  readonly flags: bigint;
  /** Where it is linked to; 0 in relocatable files. */
  readonly address: bigint;
  /** In the file, in bytes. */
  readonly offset: number;
  /** In the file, in bytes. */
  readonly size: number;
  /** `sh_link`: of relocations, the section with their symbols. */
  readonly link: number;
  /** `sh_info`: of relocations, the section that they change. */
  readonly info: number;
}

/** The sections of an ELF file: vmlinux, a module, or a file with the debug information of one. */
export class ElfSections {
  private readonly sections: readonly ElfSection[];

  /** Throws EXH_BAD_HEADER or EXH_TRUNCATED. Nothing but headers and section names is read. */
  constructor(
    private readonly source: ByteSource,
    private readonly decoders: Decoders,
  ) {
    if (!isElf(readUpTo(source, 0, 4))) throw this.broken('it is no ELF file');
    const header = readElfHeader(source);
    this.wordBits = header.wordBits;
    this.littleEndian = header.littleEndian;
    this.type = header.type;
    this.machine = header.machine;
    this.sections = this.readSections(header.sectionHeadersAt);
  }

  readonly wordBits: 32 | 64;
  readonly littleEndian: boolean;
  /** `e_type`. */
  readonly type: number;
  /** `e_machine`. */
  readonly machine: number;

  /** Its name in messages. */
  get name(): string {
    return this.source.name;
  }

  /** The first section of a name, that has bytes in this file. */
  find(name: string): ElfSection | undefined {
    return this.sections.find((section) => section.name === name && section.type !== SHT_NOBITS);
  }

  at(index: number): ElfSection | undefined {
    return this.sections[index];
  }

  /** The relocations with addends of a section. */
  relocationsOf({ index }: ElfSection): ElfSection | undefined {
    return this.sections.find(({ type, info }) => type === SHT_RELA && info === index);
  }

  /**
   * A section's bytes: a window of the file, or decompressed in memory (SHF_COMPRESSED with zlib or zstd).
   * Throws EXH_TRUNCATED for one that the file does not hold whole, EXH_CODEC, EXH_UNSUPPORTED_FORMAT for another compression.
   */
  open(section: ElfSection): ByteSource {
    const { name, offset, size, flags } = section;
    if (offset + size > this.source.size) {
      throw new ExhumeError('EXH_TRUNCATED', `${this.name}: section ${name} ends at ${offset + size}, after the file`, {
        file: this.name,
        offset,
        expected: offset + size,
        found: this.source.size,
      });
    }
    if ((flags & SHF_COMPRESSED) === 0n) return new SliceSource(this.source, offset, size);
    return new MemorySource(this.decompress(section), `${this.name}: ${name}`);
  }

  /** The GNU build id in hexadecimal digits; undefined without one. */
  get buildId(): string | undefined {
    for (const { type, offset, size } of this.sections) {
      if (type !== SHT_NOTE || size > LARGEST_NOTES) continue;
      const id = buildIdOf(readUpTo(this.source, offset, size), this.littleEndian);
      if (id !== undefined) return id;
    }
    return undefined;
  }

  /** Elf64_Chdr or Elf32_Chdr, then the stream. */
  private decompress({ name, offset, size }: ElfSection): Uint8Array {
    const headerSize = this.wordBits === 64 ? 24 : 12;
    const bytes = readExactly(this.source, offset, size, `section ${name}`);
    if (size < headerSize) throw this.broken(`section ${name} is too short to be compressed`);
    const view = viewOf(bytes);
    const method = view.getUint32(0, this.littleEndian);
    const made =
      this.wordBits === 64 ? Number(view.getBigUint64(8, this.littleEndian)) : view.getUint32(4, this.littleEndian);
    const stream = bytes.subarray(headerSize);
    if (made > stream.length * MOST_GROWTH) {
      throw this.broken(`section ${name} says that its ${stream.length} bytes become ${made}`);
    }
    const into = new Uint8Array(made);
    if (method === ELFCOMPRESS_ZLIB) this.decoders.zlib(stream, into);
    else if (method === ELFCOMPRESS_ZSTD) this.decoders.zstd(stream, into);
    else throw new ExhumeError('EXH_UNSUPPORTED_FORMAT', `${this.name}: section ${name}: compression ${method}`);
    return into;
  }

  /** Section 0 has the counts that do not fit the file header. */
  private readSections(at: number): ElfSection[] {
    const { source, littleEndian } = this;
    const table = this.wordBits === 64 ? ELF64_SECTION_HEADER : ELF32_SECTION_HEADER;
    const [countAt, namesAt] = this.wordBits === 64 ? [60, 62] : [48, 50];
    const head = viewOf(readExactly(source, 0, 64, 'ELF header'));
    if (at === 0) return [];
    const zero = table.read(viewOf(readExactly(source, at, table.size, 'section header 0')), 0, littleEndian);
    const count = head.getUint16(countAt, littleEndian) || Number(zero.sh_size);
    const names = head.getUint16(namesAt, littleEndian);
    if (count > MOST_SECTIONS) throw this.broken(`it says that it has ${count} sections`);
    const view = viewOf(readExactly(source, at, count * table.size, 'section headers'));
    const headers = Array.from({ length: count }, (_, index) => table.read(view, index * table.size, littleEndian));
    const strings = headers[names === SHN_XINDEX ? zero.sh_link : names];
    const texts = strings && new SliceSource(source, Number(strings.sh_offset), Number(strings.sh_size));
    return headers.map((header, index) => ({
      index,
      name: texts === undefined ? '' : stringAt(texts, header.sh_name),
      type: header.sh_type,
      flags: BigInt(header.sh_flags),
      address: BigInt(header.sh_addr),
      offset: Number(header.sh_offset),
      size: Number(header.sh_size),
      link: header.sh_link,
      info: header.sh_info,
    }));
  }

  private broken(problem: string): ExhumeError {
    return new ExhumeError('EXH_BAD_HEADER', `${this.name}: ${problem}`, { file: this.name });
  }
}

/** In e_shstrndx: the index is in sh_link of section header 0. */
const SHN_XINDEX = 0xffff;

const decoder = new TextDecoder();

/** A string of a string table, up to its NUL; empty outside of the table. */
export function stringAt(source: ByteSource, offset: number): string {
  const bytes = readUpTo(source, offset, Math.min(64, source.size - offset));
  const end = bytes.indexOf(0);
  if (end >= 0) return decoder.decode(bytes.subarray(0, end));
  const long = readUpTo(source, offset, LONGEST_NAME);
  const longEnd = long.indexOf(0);
  return decoder.decode(longEnd < 0 ? long : long.subarray(0, longEnd));
}
