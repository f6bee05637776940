import type { ByteSource } from '../bytes/byte-source.js';
import { viewOf } from '../bytes/struct-table.js';
import type { DamageLog } from './damage-log.js';
import { ELF32_PROGRAM_HEADER, ELF64_PROGRAM_HEADER, type ElfHeader, PT_LOAD, PT_NOTE, PT_NULL } from './elf-header.js';

/** As much as a kernel with 64 TiB of finely cut memory could need; 160 MB of tables. */
const MAX_SEGMENTS = 4_000_000;
/** Program headers are read in pieces of about this many bytes. */
const PIECE = 1024 * 1024;
/** Where a physical address must end: what does not fit is not one (kcore writes all ones). */
const PHYSICAL_END = 2 ** 52;

/** The PT_LOAD segments of an ELF file in the file's order, as columns. Sizes and offsets in bytes. */
export interface Segments {
  readonly count: number;
  /** p_paddr; Infinity where it is no physical address. */
  readonly physical: Float64Array;
  /** p_vaddr */
  readonly virtual: BigUint64Array;
  readonly fileOffset: Float64Array;
  readonly fileSize: Float64Array;
  readonly memorySize: Float64Array;
  /** p_flags: PF_X 1, PF_W 2, PF_R 4 */
  readonly flags: Uint32Array;
}

/** A PT_NOTE segment: where it lies in the file, in bytes. */
export interface NoteSegment {
  readonly offset: number;
  readonly size: number;
}

/** What the program headers say. */
export interface ProgramHeaders {
  readonly loads: Segments;
  readonly notes: readonly NoteSegment[];
  /** How many program headers could be read. */
  readonly read: number;
  /** How many of them are empty (PT_NULL): those that makedumpfile had no room for any more. */
  readonly empty: number;
}

/** Reads the program headers piece by piece; those that the file does not hold are recorded as damage. */
export function readProgramHeaders(source: ByteSource, header: ElfHeader, damage: DamageLog): ProgramHeaders {
  const { wordBits, littleEndian, programHeadersAt, programHeaderSize } = header;
  const table = wordBits === 64 ? ELF64_PROGRAM_HEADER : ELF32_PROGRAM_HEADER;
  const room = Math.max(0, source.size - programHeadersAt);
  const fitting = programHeaderSize > 0 ? Math.floor(room / programHeaderSize) : 0;
  const count = Math.min(header.programHeaders, fitting, MAX_SEGMENTS);
  if (count < header.programHeaders) {
    damage.add(
      'EXH_TRUNCATED',
      'program headers',
      `${source.name}: the ELF header counts ${header.programHeaders} program headers at ${programHeadersAt}, ${count} can be read`,
    );
  }
  const columns = {
    physical: new Float64Array(count),
    virtual: new BigUint64Array(count),
    fileOffset: new Float64Array(count),
    fileSize: new Float64Array(count),
    memorySize: new Float64Array(count),
    flags: new Uint32Array(count),
  };
  const notes: NoteSegment[] = [];
  let loads = 0;
  let empty = 0;
  let done = 0;
  const perPiece = Math.max(1, Math.floor(PIECE / programHeaderSize));
  const piece = new Uint8Array(Math.min(count, perPiece) * programHeaderSize);
  const view = viewOf(piece);
  while (done < count) {
    const wanted = Math.min(perPiece, count - done);
    const got = source.read(programHeadersAt + done * programHeaderSize, piece.subarray(0, wanted * programHeaderSize));
    const whole = Math.floor(got / programHeaderSize);
    for (let i = 0; i < whole; i++) {
      const at = i * programHeaderSize;
      const type = view.getUint32(at, littleEndian);
      if (type === PT_NULL) empty++;
      if (type !== PT_LOAD && type !== PT_NOTE) continue;
      const segment = table.read(view, at, littleEndian);
      if (type === PT_NOTE) {
        notes.push({ offset: segment.p_offset, size: segment.p_filesz });
        continue;
      }
      columns.physical[loads] = segment.p_paddr < PHYSICAL_END ? segment.p_paddr : Number.POSITIVE_INFINITY;
      columns.virtual[loads] = BigInt(segment.p_vaddr);
      columns.fileOffset[loads] = segment.p_offset;
      columns.fileSize[loads] = segment.p_filesz;
      columns.memorySize[loads] = segment.p_memsz;
      columns.flags[loads] = segment.p_flags;
      loads++;
    }
    done += whole;
    if (whole < wanted) {
      damage.add(
        'EXH_TRUNCATED',
        'program headers',
        `${source.name}: program header ${done} of ${count} cannot be read`,
      );
      break;
    }
  }
  return {
    loads: {
      count: loads,
      physical: columns.physical.subarray(0, loads),
      virtual: columns.virtual.subarray(0, loads),
      fileOffset: columns.fileOffset.subarray(0, loads),
      fileSize: columns.fileSize.subarray(0, loads),
      memorySize: columns.memorySize.subarray(0, loads),
      flags: columns.flags.subarray(0, loads),
    },
    notes,
    read: done,
    empty,
  };
}
