import { type ByteSource, MemorySource, readExactly } from '../../bytes/byte-source.js';
import { ExhumeError } from '../../bytes/errors.js';
import { viewOf } from '../../bytes/struct-table.js';
import type { ElfSection, ElfSections } from './elf-sections.js';

/** Where the sections of a relocatable file are in memory, by their names; undefined for those that are not there. */
export type SectionAddress = (name: string) => bigint | undefined;

const EM_X86_64 = 62;
const R_X86_64_64 = 1;
const R_X86_64_32 = 10;
const ENTRY_SIZE = 24;
const SYMBOL_SIZE = 24;

/**
 * A section of a relocatable file (`.ko`) with its relocations applied, as far as debug sections have them on x86-64
 * (System V ABI, AMD64 supplement: R_X86_64_64 and R_X86_64_32).
 * What belongs to a section that is not in memory becomes address 0: `.init.text` after a module was loaded.
 * Throws EXH_UNSUPPORTED_FORMAT for another machine or kind of file, EXH_TRUNCATED.
 */
export function relocated(elf: ElfSections, section: ElfSection, addressOf: SectionAddress): ByteSource {
  const relocations = elf.relocationsOf(section);
  const opened = elf.open(section);
  if (relocations === undefined) return opened;
  if (elf.machine !== EM_X86_64 || elf.wordBits !== 64 || !elf.littleEndian) {
    throw new ExhumeError('EXH_UNSUPPORTED_FORMAT', `${elf.name}: relocations of machine ${elf.machine}`, {
      file: elf.name,
      expected: EM_X86_64,
      found: elf.machine,
    });
  }
  const bytes = readExactly(opened, 0, opened.size, `section ${section.name}`);
  const entries = elf.open(relocations);
  const list = viewOf(readExactly(entries, 0, entries.size, `section ${relocations.name}`));
  const symbols = new Symbols(elf, relocations.link, addressOf);
  const view = viewOf(bytes);
  for (let at = 0; at + ENTRY_SIZE <= list.byteLength; at += ENTRY_SIZE) {
    const offset = Number(list.getBigUint64(at, true));
    const type = list.getUint32(at + 8, true);
    const width = type === R_X86_64_64 ? 8 : type === R_X86_64_32 ? 4 : 0;
    if (width === 0 || offset + width > bytes.length) continue;
    const base = symbols.value(list.getUint32(at + 12, true));
    const value = base === undefined ? 0n : base + list.getBigInt64(at + 16, true);
    if (width === 8) view.setBigUint64(offset, BigInt.asUintN(64, value), true);
    else view.setUint32(offset, Number(BigInt.asUintN(32, value)), true);
  }
  return new MemorySource(bytes, `${elf.name}: ${section.name}`);
}

/** Values of symbols in memory; Elf64_Sym. */
class Symbols {
  private readonly table: DataView | undefined;
  private readonly bases = new Map<number, bigint | undefined>();

  constructor(
    private readonly elf: ElfSections,
    link: number,
    private readonly addressOf: SectionAddress,
  ) {
    const section = elf.at(link);
    if (section === undefined) return;
    const source = elf.open(section);
    this.table = viewOf(readExactly(source, 0, source.size, 'symbol table'));
  }

  /** undefined for what is not in memory. */
  value(index: number): bigint | undefined {
    const at = index * SYMBOL_SIZE;
    if (this.table === undefined || at + SYMBOL_SIZE > this.table.byteLength) return undefined;
    const base = this.base(this.table.getUint16(at + 6, true));
    return base === undefined ? undefined : base + this.table.getBigUint64(at + 8, true);
  }

  /** Sections of the file alone (`.debug_line_str`) count from their own beginning. */
  private base(index: number): bigint | undefined {
    if (!this.bases.has(index)) {
      const section = this.elf.at(index);
      const inMemory = section !== undefined && (section.flags & SHF_ALLOC) !== 0n;
      this.bases.set(index, section === undefined ? undefined : inMemory ? this.addressOf(section.name) : 0n);
    }
    return this.bases.get(index);
  }
}

const SHF_ALLOC = 0x2n;
