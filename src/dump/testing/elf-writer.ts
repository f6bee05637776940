/** Writes small ELF cores for tests. Offsets stand here as numbers of their own, not taken from the reader. */

export interface WrittenSegment {
  /** 1 PT_LOAD, 4 PT_NOTE. */
  readonly type: number;
  readonly physical: bigint;
  readonly virtual?: bigint;
  readonly data: Uint8Array;
  /** Size in memory where it is not the size of the data. */
  readonly memorySize?: number;
  /** Where the file says that the data lies, in place of where it does. */
  readonly offset?: bigint;
  /** p_flags: 1 run, 2 write, 4 read; 0 unless told. */
  readonly rights?: number;
}

export interface ElfSpec {
  readonly wordBits: 32 | 64;
  readonly littleEndian: boolean;
  readonly machine: number;
  readonly type?: number;
  readonly flags?: number;
  readonly segments: readonly WrittenSegment[];
  /** Count the program headers in section header 0, as for more than 65,534 of them. */
  readonly extended?: boolean;
}

export function writeElf(spec: ElfSpec): Uint8Array {
  const { littleEndian: le, segments } = spec;
  const wide = spec.wordBits === 64;
  const [headerSize, programSize, sectionSize] = wide ? [64, 56, 64] : [52, 32, 40];
  const sectionAt = headerSize;
  const programAt = headerSize + (spec.extended === true ? sectionSize : 0);
  const dataAt = programAt + segments.length * programSize;
  const bytes = new Uint8Array(dataAt + segments.reduce((sum, { data }) => sum + data.length, 0));
  const view = new DataView(bytes.buffer);
  const word = (at: number, value: bigint) =>
    wide
      ? view.setBigUint64(at, BigInt.asUintN(64, value), le)
      : view.setUint32(at, Number(BigInt.asUintN(32, value)), le);

  bytes.set([0x7f, 0x45, 0x4c, 0x46, wide ? 2 : 1, le ? 1 : 2, 1]);
  view.setUint16(16, spec.type ?? 4, le);
  view.setUint16(18, spec.machine, le);
  view.setUint32(20, 1, le);
  word(wide ? 32 : 28, BigInt(programAt));
  word(wide ? 40 : 32, spec.extended === true ? BigInt(sectionAt) : 0n);
  view.setUint32(wide ? 48 : 36, spec.flags ?? 0, le);
  const counts = wide ? 52 : 40;
  view.setUint16(counts, headerSize, le);
  view.setUint16(counts + 2, programSize, le);
  view.setUint16(counts + 4, spec.extended === true ? 0xffff : segments.length, le);
  if (spec.extended === true) view.setUint32(sectionAt + (wide ? 44 : 28), segments.length, le);

  let at = dataAt;
  segments.forEach(({ type, physical, virtual, data, memorySize, offset, rights }, i) => {
    const header = programAt + i * programSize;
    view.setUint32(header, type, le);
    view.setUint32(header + (wide ? 4 : 24), rights ?? 0, le);
    word(header + (wide ? 8 : 4), offset ?? BigInt(at));
    word(header + (wide ? 16 : 8), virtual ?? 0n);
    word(header + (wide ? 24 : 12), physical);
    word(header + (wide ? 32 : 16), BigInt(data.length));
    word(header + (wide ? 40 : 20), BigInt(memorySize ?? data.length));
    bytes.set(data, at);
    at += data.length;
  });
  return bytes;
}

/** One ELF note, padded to 4 bytes. */
export function writeNote(name: string, type: number, description: Uint8Array, littleEndian = true): Uint8Array {
  const nameBytes = new TextEncoder().encode(`${name}\0`);
  const pad = (size: number) => Math.ceil(size / 4) * 4;
  const bytes = new Uint8Array(12 + pad(nameBytes.length) + pad(description.length));
  const view = new DataView(bytes.buffer);
  view.setUint32(0, nameBytes.length, littleEndian);
  view.setUint32(4, description.length, littleEndian);
  view.setUint32(8, type, littleEndian);
  bytes.set(nameBytes, 12);
  bytes.set(description, 12 + pad(nameBytes.length));
  return bytes;
}
