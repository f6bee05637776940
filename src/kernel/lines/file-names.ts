import { hex } from '../../bytes/address.js';
import type { ByteSource } from '../../bytes/byte-source.js';
import { DwarfReader } from './dwarf-reader.js';
import { stringAt } from './elf-sections.js';
import type { ProgramAnswer } from './line-program.js';
import { bad, type LineUnit } from './line-units.js';

/** The string sections that line tables of DWARF 5 point into. */
export interface LineStrings {
  readonly lineStrings: ByteSource | undefined;
  readonly strings: ByteSource | undefined;
}

/** A string in one of the string sections. It is read when it is needed: any number of entries may point to a long one. */
interface StringPointer {
  readonly section: ByteSource | undefined;
  readonly offset: number;
}

interface Entry {
  readonly name: string | StringPointer;
  readonly directory: number;
}

/** DWARF 5, 7.22: the content types of an entry. */
const DW_LNCT_PATH = 1;
const DW_LNCT_DIRECTORY_INDEX = 2;

/** DWARF 5, 7.5.6: the forms that an entry's contents can have. */
const FORM_DATA2 = 0x05;
const FORM_DATA4 = 0x06;
const FORM_DATA8 = 0x07;
const FORM_STRING = 0x08;
const FORM_BLOCK = 0x09;
const FORM_DATA1 = 0x0b;
const FORM_STRP = 0x0e;
const FORM_UDATA = 0x0f;
const FORM_DATA16 = 0x1e;
const FORM_LINE_STRP = 0x1f;

/**
 * The path of each file of a unit by its number; DWARF 5, 6.2.4.
 * From DWARF 5 on the directory of the build is in front, as the compiler was given it (a build that is to be reproduced is
 * given a relative one). Before, a line table does not tell it.
 * Throws EXH_BAD_STRUCTURE.
 */
export function fileNames(
  unit: LineUnit,
  { lineStrings, strings }: LineStrings,
  defined: ProgramAnswer['files'],
): (file: number) => string | undefined {
  const reader = new DwarfReader(unit.bytes.subarray(0, unit.programAt), unit.littleEndian, unit.tablesAt);
  const { directories, files, first } =
    unit.version >= 5
      ? {
          directories: readEntries(reader, unit.offsetSize, { lineStrings, strings }),
          files: readEntries(reader, unit.offsetSize, { lineStrings, strings }),
          first: 0,
        }
      : { ...readOldTables(reader), first: 1 };
  const all = [...files, ...defined];
  const compiledIn = nameOf(directories[0]);
  return (number) => {
    const file = all[number - first];
    const name = nameOf(file);
    if (file === undefined || name === '') return undefined;
    return withoutDots(joined(compiledIn, joined(nameOf(directories[file.directory]), name)));
  };
}

/** Before DWARF 5: directories, then files, each ended by an empty name; both count from 1. */
function readOldTables(reader: DwarfReader): { directories: Entry[]; files: Entry[] } {
  const directories: Entry[] = [{ name: '', directory: 0 }];
  for (let name = reader.text(); name !== ''; name = reader.text()) directories.push({ name, directory: 0 });
  const files: Entry[] = [];
  for (let name = reader.text(); name !== ''; name = reader.text()) {
    files.push({ name, directory: reader.uleb() });
    // The time of change and the length.
    reader.uleb();
    reader.uleb();
  }
  return { directories, files };
}

/** Since DWARF 5: the format of an entry, then the entries. */
function readEntries(reader: DwarfReader, offsetSize: 4 | 8, sections: LineStrings): Entry[] {
  const format = Array.from({ length: reader.u8() }, () => ({ content: reader.uleb(), form: reader.uleb() }));
  const count = reader.uleb();
  // No form takes less than a byte, so the unit's length bounds the entries.
  if (count > 0 && format.length === 0) throw bad(`${count} entries without a format`);
  const entries: Entry[] = [];
  while (entries.length < count) {
    let name: Entry['name'] = '';
    let directory = 0;
    for (const { content, form } of format) {
      const value = readForm(reader, form, offsetSize, sections);
      if (content === DW_LNCT_PATH && value !== undefined && typeof value !== 'number') name = value;
      else if (content === DW_LNCT_DIRECTORY_INDEX && typeof value === 'number') directory = value;
    }
    entries.push({ name, directory });
  }
  return entries;
}

function readForm(
  reader: DwarfReader,
  form: number,
  offsetSize: 4 | 8,
  { lineStrings, strings }: LineStrings,
): string | number | StringPointer | undefined {
  switch (form) {
    case FORM_STRING:
      return reader.text();
    case FORM_LINE_STRP:
      return { section: lineStrings, offset: reader.offset(offsetSize) };
    case FORM_STRP:
      return { section: strings, offset: reader.offset(offsetSize) };
    case FORM_UDATA:
      return reader.uleb();
    case FORM_DATA1:
      return reader.u8();
    case FORM_DATA2:
      return reader.u16();
    case FORM_DATA4:
      return reader.u32();
    case FORM_DATA8:
      return reader.u64();
    case FORM_DATA16:
      reader.skip(16);
      return undefined;
    case FORM_BLOCK:
      reader.skip(reader.uleb());
      return undefined;
    default:
      throw bad(`form ${hex(form)} in the files of a line table`);
  }
}

function nameOf(entry: Entry | undefined): string {
  if (entry === undefined) return '';
  const { name } = entry;
  if (typeof name === 'string') return name;
  return name.section === undefined ? '' : stringAt(name.section, name.offset);
}

function joined(directory: string, name: string): string {
  return name.startsWith('/') || directory === '' ? name : `${directory}/${name}`;
}

/** `/build/./include/linux/x.h` is `/build/include/linux/x.h`; `..` stays, as it may lead through a link. */
function withoutDots(path: string): string {
  return path.replace(/\/(?:\.?\/)+/g, '/').replace(/^\.\//, '');
}
