import { type ByteSource, readExactly, readUpTo } from '../../bytes/byte-source.js';
import { ExhumeError } from '../../bytes/errors.js';
import { DwarfReader } from './dwarf-reader.js';

/** One line number program with its header; DWARF 5, 6.2.4. */
export interface LineUnit {
  readonly version: number;
  /** The whole unit. */
  readonly bytes: Uint8Array;
  readonly littleEndian: boolean;
  readonly offsetSize: 4 | 8;
  /** Where the directories and files are told, in `bytes`. */
  readonly tablesAt: number;
  /** Where the program begins, in `bytes`. */
  readonly programAt: number;
  readonly minimumInstruction: number;
  readonly lineBase: number;
  readonly lineRange: number;
  readonly opcodeBase: number;
  /** How many operands the standard opcodes have, from opcode 1. */
  readonly operands: Uint8Array;
}

const OLDEST = 2;
const NEWEST = 5;

/**
 * The units of a `.debug_line` section in turn, one in memory at a time.
 * A unit that makes no sense is told to `skipped` and stepped over, as its length is known.
 */
export function* lineUnits(
  section: ByteSource,
  littleEndian: boolean,
  skipped: (offset: number, error: ExhumeError) => void,
): Generator<LineUnit> {
  for (let at = 0; at + 4 < section.size; ) {
    const head = new DwarfReader(readUpTo(section, at, 12), littleEndian);
    let length = head.u32();
    const offsetSize = length === 0xffffffff ? 8 : 4;
    if (offsetSize === 8 && head.bytes.length === 12) length = head.u64();
    const size = head.at + length;
    if (at + size > section.size) {
      skipped(at, bad(`a unit of ${length} bytes does not fit the ${section.size - at} that are left`));
      return;
    }
    // Zeros are padding between units.
    if (length > 0) {
      try {
        yield readUnit(readExactly(section, at, size, 'line table'), littleEndian, offsetSize);
      } catch (error) {
        if (!(error instanceof ExhumeError)) throw error;
        skipped(at, error);
      }
    }
    at += size;
  }
}

function readUnit(bytes: Uint8Array, littleEndian: boolean, offsetSize: 4 | 8): LineUnit {
  const reader = new DwarfReader(bytes, littleEndian, offsetSize === 8 ? 12 : 4);
  const version = reader.u16();
  if (version < OLDEST || version > NEWEST) throw bad(`version ${version} of the line table is not known`);
  // Sizes of addresses and of segment selectors: set_address tells its own.
  if (version >= 5) reader.skip(2);
  const headerLength = reader.offset(offsetSize);
  const programAt = reader.at + headerLength;
  const minimumInstruction = reader.u8();
  const operations = version >= 4 ? reader.u8() : 1;
  if (operations !== 1) throw bad(`${operations} operations in an instruction`);
  reader.skip(1);
  const lineBase = reader.i8();
  const lineRange = reader.u8();
  const opcodeBase = reader.u8();
  if (lineRange === 0 || opcodeBase === 0) throw bad('a line range or opcode base of 0');
  const operandsAt = reader.at;
  reader.skip(opcodeBase - 1);
  if (programAt > bytes.length || programAt < reader.at) throw bad('a header that does not fit its unit');
  return {
    version,
    bytes,
    littleEndian,
    offsetSize,
    tablesAt: reader.at,
    programAt,
    minimumInstruction,
    lineBase,
    lineRange,
    opcodeBase,
    operands: bytes.subarray(operandsAt, reader.at),
  };
}

/** A line table that holds what no compiler writes. */
export function bad(problem: string): ExhumeError {
  return new ExhumeError('EXH_BAD_STRUCTURE', problem);
}
