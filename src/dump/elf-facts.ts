import { hex } from '../bytes/address.js';
import { type ByteSource, readUpTo } from '../bytes/byte-source.js';
import { type DecodedStruct, viewOf } from '../bytes/struct-table.js';
import type { HeaderFact } from './container.js';
import {
  ELF_INCOMPLETE,
  ELF32_HEADER,
  ELF32_PROGRAM_HEADER,
  ELF32_SECTION_HEADER,
  ELF64_HEADER,
  ELF64_PROGRAM_HEADER,
  ELF64_SECTION_HEADER,
  type ElfHeader,
  elfMachineName,
  PN_XNUM,
} from './elf-header.js';
import type { ProgramHeaders } from './elf-segments.js';

/** Of so many program headers each field is listed; the rest is counted. */
const LISTED = 1000;
/** Of so many program headers there is a line of `info`. */
const LINES = 64;

const SEGMENT_TYPES: Readonly<Record<number, string>> = { 0: 'PT_NULL', 1: 'PT_LOAD', 4: 'PT_NOTE' };

/** The ELF header and the first program headers in words. */
export function elfFacts(
  source: ByteSource,
  header: ElfHeader,
  programHeaders: ProgramHeaders,
  overlapping: boolean,
): HeaderFact[] {
  const table = header.wordBits === 64 ? ELF64_HEADER : ELF32_HEADER;
  const fields = table.read(viewOf(readUpTo(source, 0, table.size)), 0, header.littleEndian);
  const machine = elfMachineName(header.machine, header.wordBits, header.littleEndian);
  const facts: HeaderFact[] = [
    { name: 'EI_CLASS', value: fields.ei_class, note: `ELFCLASS${header.wordBits}` },
    { name: 'EI_DATA', value: fields.ei_data, note: header.littleEndian ? 'little-endian' : 'big-endian' },
    { name: 'EI_VERSION', value: fields.ei_version },
    { name: 'EI_OSABI', value: fields.ei_osabi },
    { name: 'e_type', value: fields.e_type, note: 'ET_CORE' },
    { name: 'e_machine', value: fields.e_machine, ...(machine === undefined ? {} : { note: machine }) },
    { name: 'e_version', value: fields.e_version },
    { name: 'e_entry', value: hex(fields.e_entry) },
    {
      name: 'e_phoff',
      value: fields.e_phoff,
      ...(fields.e_phoff === table.size
        ? {}
        : { note: 'not right behind the header: so QEMU writes, and makedumpfile cannot read it' }),
    },
    { name: 'e_shoff', value: fields.e_shoff },
    {
      name: 'e_flags',
      value: hex(fields.e_flags),
      ...((fields.e_flags & ELF_INCOMPLETE) !== 0 ? { note: 'incomplete: makedumpfile ran out of space' } : {}),
    },
    {
      name: 'e_ehsize',
      value: fields.e_ehsize,
      ...(fields.e_ehsize === table.size ? {} : { note: `should be ${table.size}; QEMU writes the size of a pointer` }),
    },
    { name: 'e_phentsize', value: fields.e_phentsize },
    {
      name: 'e_phnum',
      value: fields.e_phnum,
      ...(fields.e_phnum === PN_XNUM
        ? { note: `PN_XNUM: sh_info of section header 0 says ${header.programHeaders}` }
        : {}),
    },
    { name: 'e_shentsize', value: fields.e_shentsize },
    { name: 'e_shnum', value: fields.e_shnum },
    { name: 'e_shstrndx', value: fields.e_shstrndx },
    {
      name: 'PT_LOAD',
      value: programHeaders.loads.count,
      note: `segments of memory${overlapping ? ', some of them overlapping' : ''}`,
    },
    { name: 'PT_NOTE', value: programHeaders.notes.length, note: 'segments of notes' },
    ...(programHeaders.empty === 0
      ? []
      : [{ name: 'PT_NULL', value: programHeaders.empty, note: 'program headers that were never filled in' }]),
  ];
  for (const [i, struct] of programHeaderStructures(source, header, Math.min(programHeaders.read, LINES)).entries()) {
    facts.push({ name: `program header ${i}`, value: programHeaderInWords(struct) });
  }
  if (programHeaders.read > LINES) {
    facts.push({ name: 'program headers', value: programHeaders.read, note: `the first ${LINES} are shown` });
  }
  return facts;
}

function programHeaderInWords(struct: DecodedStruct): string {
  const value = (name: string) => Number(struct.fields.find((field) => field.name === name)?.value ?? 0);
  const virtual = struct.fields.find((field) => field.name === 'p_vaddr')?.value as number | bigint;
  const type = value('p_type');
  const flags = value('p_flags');
  const letters = `${flags & 4 ? 'r' : '-'}${flags & 2 ? 'w' : '-'}${flags & 1 ? 'x' : '-'}`;
  return [
    SEGMENT_TYPES[type] ?? `type ${hex(type)}`,
    `p_offset ${hexOrHuge(value('p_offset'))}`,
    `p_vaddr ${hex(virtual)}`,
    `p_paddr ${hexOrHuge(value('p_paddr'))}`,
    `p_filesz ${hexOrHuge(value('p_filesz'))}`,
    `p_memsz ${hexOrHuge(value('p_memsz'))}`,
    `p_flags ${letters}`,
    `p_align ${hex(value('p_align'))}`,
  ].join(' ');
}

/** A 64-bit value of 2^53 or more was read as Infinity. */
function hexOrHuge(value: number): string {
  return Number.isFinite(value) ? hex(value) : '2^53 or more';
}

/** The headers field by field: ELF header, section header 0 where it counts, the first program headers. */
export function elfStructures(source: ByteSource, header: ElfHeader, programHeaders: number): DecodedStruct[] {
  const { wordBits, littleEndian } = header;
  const table = wordBits === 64 ? ELF64_HEADER : ELF32_HEADER;
  const structures = [table.decode(viewOf(readUpTo(source, 0, table.size)), 0, 0, littleEndian)];
  if (header.usesSectionZero) {
    const section = wordBits === 64 ? ELF64_SECTION_HEADER : ELF32_SECTION_HEADER;
    const bytes = readUpTo(source, header.sectionHeadersAt, section.size);
    if (bytes.length === section.size) {
      structures.push(section.decode(viewOf(bytes), 0, header.sectionHeadersAt, littleEndian));
    }
  }
  structures.push(...programHeaderStructures(source, header, Math.min(programHeaders, LISTED)));
  return structures;
}

function programHeaderStructures(source: ByteSource, header: ElfHeader, count: number): DecodedStruct[] {
  const { wordBits, littleEndian, programHeadersAt, programHeaderSize } = header;
  const table = wordBits === 64 ? ELF64_PROGRAM_HEADER : ELF32_PROGRAM_HEADER;
  const bytes = readUpTo(source, programHeadersAt, count * programHeaderSize);
  const whole = Math.min(count, Math.floor(bytes.length / Math.max(1, programHeaderSize)));
  const view = viewOf(bytes);
  return Array.from({ length: whole }, (_, i) =>
    table.decode(view, i * programHeaderSize, programHeadersAt, littleEndian),
  );
}
