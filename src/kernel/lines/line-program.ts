import { DwarfReader } from './dwarf-reader.js';
import type { LineUnit } from './line-units.js';

/** Addresses to look for, ascending; each as the distance from `origin`, which is exact where sequences can be. */
export class WantedAddresses {
  readonly origin: bigint;
  private readonly originLow: number;
  private readonly originHigh: number;
  readonly distances: Float64Array;
  /** 1 for those that a row was found for: the first one counts. */
  readonly found: Uint8Array;

  constructor(readonly addresses: readonly bigint[]) {
    this.origin = addresses[0] ?? 0n;
    this.originLow = Number(this.origin & 0xffffffffn);
    this.originHigh = Number(this.origin >> 32n);
    this.distances = Float64Array.from(addresses, (address) => Number(address - this.origin));
    this.found = new Uint8Array(addresses.length);
  }

  distance(high: number, low: number): number {
    return (high - this.originHigh) * 2 ** 32 + (low - this.originLow);
  }

  /** The first that is not below. */
  firstFrom(distance: number): number {
    let low = 0;
    let high = this.distances.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.distances[middle] as number) < distance) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

/** A wanted address that lies in a row of the table. */
export interface LineHit {
  /** Index among the wanted addresses. */
  readonly index: number;
  /** Number of the file in its unit. */
  readonly file: number;
  readonly line: number;
}

/** What a program tells: the hits, and the files that it names itself (DW_LNE_define_file). */
export interface ProgramAnswer {
  readonly hits: readonly LineHit[];
  readonly files: readonly { readonly name: string; readonly directory: number }[];
}

const COPY = 1;
const ADVANCE_PC = 2;
const ADVANCE_LINE = 3;
const SET_FILE = 4;
const CONST_ADD_PC = 8;
const FIXED_ADVANCE_PC = 9;
const END_SEQUENCE = 1;
const SET_ADDRESS = 2;
const DEFINE_FILE = 3;

/**
 * Runs the line number program of a unit (DWARF 5, 6.2.5) and finds the rows that wanted addresses lie in.
 * A row reaches to the next one of its sequence; of rows at one address the last counts.
 * Every step takes a byte of the unit, so it ends. Throws EXH_BAD_STRUCTURE where the program ends inside an instruction.
 */
export function runLineProgram(unit: LineUnit, wanted: WantedAddresses): ProgramAnswer {
  const { bytes, lineBase, lineRange, opcodeBase, minimumInstruction, operands } = unit;
  const reader = new DwarfReader(bytes, unit.littleEndian, unit.programAt);
  const advances = Float64Array.from({ length: 256 }, (_, opcode) =>
    opcode < opcodeBase ? 0 : Math.floor((opcode - opcodeBase) / lineRange) * minimumInstruction,
  );
  const constantAdvance = advances[255] as number;
  const hits: LineHit[] = [];
  const files: { name: string; directory: number }[] = [];
  const { distances } = wanted;

  let address = Number.NaN;
  let file = 1;
  let line = 1;
  // The last row of the sequence: NaN when there is none.
  let rowAddress = Number.NaN;
  let rowFile = 0;
  let rowLine = 0;
  /** The first wanted address that is not below the last row. */
  let next = Number.POSITIVE_INFINITY;

  const addRow = (): void => {
    if (address > next && address > rowAddress) {
      for (let index = wanted.firstFrom(next); index < distances.length; index++) {
        if ((distances[index] as number) >= address) break;
        if (wanted.found[index] === 0) hits.push({ index, file: rowFile, line: rowLine });
        wanted.found[index] = 1;
      }
      next = distances[wanted.firstFrom(address)] ?? Number.POSITIVE_INFINITY;
    } else if (!(address >= rowAddress)) {
      next = distances[wanted.firstFrom(address)] ?? Number.POSITIVE_INFINITY;
    }
    rowAddress = address;
    rowFile = file;
    rowLine = line;
  };

  while (reader.at < bytes.length) {
    const opcode = bytes[reader.at++] as number;
    if (opcode >= opcodeBase) {
      address += advances[opcode] as number;
      line += lineBase + ((opcode - opcodeBase) % lineRange);
      addRow();
    } else if (opcode === 0) {
      const length = reader.uleb();
      const end = reader.at + length;
      const kind = length === 0 ? 0 : reader.u8();
      if (kind === END_SEQUENCE) {
        addRow();
        address = Number.NaN;
        file = 1;
        line = 1;
        rowAddress = Number.NaN;
        next = Number.POSITIVE_INFINITY;
      } else if (kind === SET_ADDRESS) {
        const words = [reader.u32(), length === 9 ? reader.u32() : 0] as const;
        const swapped = length === 9 && !unit.littleEndian;
        address = swapped ? wanted.distance(words[0], words[1]) : wanted.distance(words[1], words[0]);
      } else if (kind === DEFINE_FILE) {
        files.push({ name: reader.text(), directory: reader.uleb() });
      }
      // Whatever else it holds is stepped over, and never backwards.
      reader.at = Math.max(reader.at, Math.min(end, bytes.length));
    } else if (opcode === COPY) {
      addRow();
    } else if (opcode === ADVANCE_PC) {
      address += reader.uleb() * minimumInstruction;
    } else if (opcode === ADVANCE_LINE) {
      line += reader.sleb();
    } else if (opcode === SET_FILE) {
      file = reader.uleb();
    } else if (opcode === CONST_ADD_PC) {
      address += constantAdvance;
    } else if (opcode === FIXED_ADVANCE_PC) {
      address += reader.u16();
    } else {
      for (let left = operands[opcode - 1] as number; left > 0; left--) reader.uleb();
    }
  }
  return { hits, files };
}
