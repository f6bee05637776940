import type { ByteSource } from '../../bytes/byte-source.js';
import { type Damage, damageOf } from '../../bytes/errors.js';
import type { Decoders } from '../../codecs/codec.js';
import { DamageLog } from '../../dump/damage-log.js';
import { ElfSections, ET_REL } from './elf-sections.js';
import { fileNames } from './file-names.js';
import { runLineProgram, WantedAddresses } from './line-program.js';
import { lineUnits } from './line-units.js';
import { relocated, type SectionAddress } from './relocations.js';

/** A line of source. */
export interface SourceLine {
  readonly file: string;
  /** From 1; 0 for code that the compiler could give to no line. */
  readonly line: number;
}

export interface LinesFound {
  readonly lines: ReadonlyMap<bigint, SourceLine>;
  readonly damage: readonly Damage[];
}

/** An ELF file with debug information: vmlinux, a module (`.ko`), or what was split off from one (`.debug`). */
export class DebugFile {
  private readonly elf: ElfSections;

  /** Throws EXH_BAD_HEADER or EXH_TRUNCATED for what is no whole ELF file. */
  constructor(source: ByteSource, decoders: Decoders) {
    this.elf = new ElfSections(source, decoders);
  }

  get name(): string {
    return this.elf.name;
  }

  /** In hexadecimal digits; undefined without one. */
  get buildId(): string | undefined {
    return this.elf.buildId;
  }

  get hasLines(): boolean {
    return this.elf.find('.debug_line') !== undefined;
  }

  /**
   * The lines of addresses, in one pass over `.debug_line`, with one of its units in memory at a time.
   * @param addresses as the file is linked; of a relocatable file, as it is loaded
   * @param sectionAddress where a relocatable file's sections were loaded
   * Throws EXH_TRUNCATED, EXH_CODEC, EXH_UNSUPPORTED_FORMAT; a broken unit is damage, and the others are read.
   */
  lines(addresses: Iterable<bigint>, sectionAddress: SectionAddress): LinesFound {
    const section = this.elf.find('.debug_line');
    const lines = new Map<bigint, SourceLine>();
    const damage = new DamageLog();
    const sorted = [...new Set(addresses)].sort((a, b) => (a < b ? -1 : 1));
    if (section === undefined || sorted.length === 0) return { lines, damage: damage.entries };
    const program = this.elf.type === ET_REL ? relocated(this.elf, section, sectionAddress) : this.elf.open(section);
    const strings = { lineStrings: this.open('.debug_line_str'), strings: this.open('.debug_str') };
    const wanted = new WantedAddresses(sorted);
    const skipped = (offset: number, error: unknown): void => {
      const { code, message } = damageOf('', error);
      damage.add(code, `line table of ${this.name}`, `at ${offset}: ${message}`);
    };
    let unitNumber = 0;
    for (const unit of lineUnits(program, this.elf.littleEndian, skipped)) {
      unitNumber++;
      try {
        const { hits, files } = runLineProgram(unit, wanted);
        if (hits.length === 0) continue;
        const nameOf = fileNames(unit, strings, files);
        for (const { index, file, line } of hits) {
          const address = sorted[index];
          const name = nameOf(file);
          if (address !== undefined && name !== undefined && !lines.has(address))
            lines.set(address, { file: name, line });
        }
      } catch (error) {
        const { code, message } = damageOf('', error);
        damage.add(code, `line table of ${this.name}`, `unit ${unitNumber}: ${message}`);
      }
    }
    return { lines, damage: damage.entries };
  }

  private open(name: string): ByteSource | undefined {
    const section = this.elf.find(name);
    return section === undefined ? undefined : this.elf.open(section);
  }
}
