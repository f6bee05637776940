import { ExhumeError } from '../bytes/errors.js';
import { structTable, u8, u16, u32, viewOf } from '../bytes/struct-table.js';

/** `struct btf_header`, include/uapi/linux/btf.h. Section offsets count from the end of the header. */
export const BTF_HEADER = structTable('btf_header', 24, {
  magic: u16(0),
  version: u8(2),
  flags: u8(3),
  headerLength: u32(4),
  typeOffset: u32(8),
  typeLength: u32(12),
  stringOffset: u32(16),
  stringLength: u32(20),
});

export const BTF_MAGIC = 0xeb9f;

export const BtfKind = {
  Void: 0,
  Int: 1,
  Pointer: 2,
  Array: 3,
  Struct: 4,
  Union: 5,
  Enum: 6,
  Forward: 7,
  Typedef: 8,
  Volatile: 9,
  Const: 10,
  Restrict: 11,
  Function: 12,
  FunctionPrototype: 13,
  Variable: 14,
  DataSection: 15,
  Float: 16,
  DeclarationTag: 17,
  TypeTag: 18,
  Enum64: 19,
} as const;

/** Bytes after the 12 of `struct btf_type`: fixed, and for each of its `vlen` elements. Indexed by kind. */
const EXTRA_BYTES: readonly { readonly fixed: number; readonly each: number }[] = [
  { fixed: 0, each: 0 },
  { fixed: 4, each: 0 },
  { fixed: 0, each: 0 },
  { fixed: 12, each: 0 },
  { fixed: 0, each: 12 },
  { fixed: 0, each: 12 },
  { fixed: 0, each: 8 },
  { fixed: 0, each: 0 },
  { fixed: 0, each: 0 },
  { fixed: 0, each: 0 },
  { fixed: 0, each: 0 },
  { fixed: 0, each: 0 },
  { fixed: 0, each: 0 },
  { fixed: 0, each: 8 },
  { fixed: 4, each: 0 },
  { fixed: 0, each: 12 },
  { fixed: 0, each: 0 },
  { fixed: 4, each: 0 },
  { fixed: 0, each: 0 },
  { fixed: 0, each: 12 },
];

/** A member of a structure or union. */
export interface BtfMember {
  readonly name: string;
  readonly typeId: number;
  /** From the start of the structure, in bits. */
  readonly bitOffset: number;
  /** Width of a bit field in bits; 0 when it is none. */
  readonly bitSize: number;
}

/** Type chains (typedef of const of …) and nested anonymous members deeper than this are taken for damage. */
const DEEPEST = 32;

/**
 * The BPF Type Format of a kernel, read in place: an index of type offsets, and no object per type.
 * Types are numbered from 1; 0 is `void`.
 */
export class Btf {
  private readonly view: DataView;
  /** The string section, a character for each byte, so that offsets into it stay what they are. */
  private readonly strings: string;
  /** `name_off` of each type, by id. */
  private readonly nameOffsets: Uint32Array;
  /** Offset of each type's `struct btf_type`, by id. */
  private readonly offsets: Uint32Array;

  /** Throws EXH_BAD_STRUCTURE when the header or a type does not parse. */
  constructor(
    bytes: Uint8Array,
    private readonly littleEndian = true,
  ) {
    this.view = viewOf(bytes);
    const header = BTF_HEADER.read(this.view, 0, littleEndian);
    if (header.magic !== BTF_MAGIC) throw badBtf('no magic number 0xeb9f', 0, header.magic);
    const typesStart = header.headerLength + header.typeOffset;
    const typesEnd = typesStart + header.typeLength;
    const stringsStart = header.headerLength + header.stringOffset;
    const stringsEnd = stringsStart + header.stringLength;
    if (typesEnd > bytes.length) throw badBtf('the types run past the end', 12, typesEnd);
    if (stringsEnd > bytes.length) throw badBtf('the strings run past the end', 20, stringsEnd);
    this.strings = new TextDecoder('latin1').decode(bytes.subarray(stringsStart, stringsEnd));
    this.offsets = this.indexTypes(typesStart, typesEnd);
    this.nameOffsets = this.offsets.map((at, id) => (id === 0 ? 0 : this.view.getUint32(at, this.littleEndian)));
  }

  /** How many types there are, `void` not counted. */
  get typeCount(): number {
    return this.offsets.length - 1;
  }

  /** The kind of a type, one of BtfKind. */
  kind(id: number): number {
    return id === 0 ? BtfKind.Void : (this.info(id) >>> 24) & 0x1f;
  }

  /** The type's own name; empty for anonymous ones. */
  name(id: number): string {
    return id === 0 ? 'void' : this.string(this.view.getUint32(this.at(id), this.littleEndian));
  }

  /** The first type with this name and one of these kinds. */
  find(name: string, ...kinds: readonly number[]): number | undefined {
    for (const nameOffset of this.stringOffsets(name)) {
      let id = this.nameOffsets.indexOf(nameOffset, 1);
      while (id > 0 && !kinds.includes(this.kind(id))) id = this.nameOffsets.indexOf(nameOffset, id + 1);
      if (id > 0) return id;
    }
    return undefined;
  }

  /** The structure or union of this name, or what a typedef of this name stands for. */
  findStruct(name: string): number | undefined {
    const direct = this.find(name, BtfKind.Struct, BtfKind.Union);
    if (direct !== undefined) return direct;
    const typedef = this.find(name, BtfKind.Typedef);
    if (typedef === undefined) return undefined;
    const resolved = this.resolve(typedef);
    return this.isCompound(resolved) ? resolved : undefined;
  }

  /** The type behind typedefs, const, volatile, restrict and type tags. */
  resolve(id: number): number {
    for (let depth = 0; depth < DEEPEST; depth++) {
      const kind = this.kind(id);
      const modifier =
        kind === BtfKind.Typedef ||
        kind === BtfKind.Volatile ||
        kind === BtfKind.Const ||
        kind === BtfKind.Restrict ||
        kind === BtfKind.TypeTag;
      if (!modifier) return id;
      id = this.sizeOrType(id);
    }
    throw badBtf(`typedefs of type ${id} go round in a circle`);
  }

  /** Size in bytes; undefined for functions, `void` and forward declarations. Pointers take 8. */
  size(id: number): number | undefined {
    let count = 1;
    for (let depth = 0; depth < DEEPEST; depth++) {
      id = this.resolve(id);
      switch (this.kind(id)) {
        case BtfKind.Int:
        case BtfKind.Struct:
        case BtfKind.Union:
        case BtfKind.Enum:
        case BtfKind.Enum64:
        case BtfKind.Float:
          return count * this.sizeOrType(id);
        case BtfKind.Pointer:
          return count * 8;
        case BtfKind.Array: {
          const at = this.at(id) + 12;
          count *= this.view.getUint32(at + 8, this.littleEndian);
          id = this.view.getUint32(at, this.littleEndian);
          break;
        }
        default:
          return undefined;
      }
    }
    throw badBtf(`arrays of type ${id} are nested too deeply`);
  }

  /** The members of a structure or union, in order; anonymous ones have an empty name. */
  *members(id: number): Generator<BtfMember> {
    if (!this.isCompound(id)) return;
    const info = this.info(id);
    const bitFields = info >>> 31 === 1;
    let at = this.at(id) + 12;
    for (let left = info & 0xffff; left > 0; left--, at += 12) {
      const offset = this.view.getUint32(at + 8, this.littleEndian);
      yield {
        name: this.string(this.view.getUint32(at, this.littleEndian)),
        typeId: this.view.getUint32(at + 4, this.littleEndian),
        bitOffset: bitFields ? offset & 0xffffff : offset,
        bitSize: bitFields ? offset >>> 24 : 0,
      };
    }
  }

  /**
   * A member by name, looked for inside anonymous structures and unions too, or by a path (`tkr_mono.base`).
   * `bitOffset` counts from the start of the outermost structure.
   */
  member(id: number, path: string): BtfMember | undefined {
    let current = id;
    let bitOffset = 0;
    let found: BtfMember | undefined;
    for (const name of path.split('.')) {
      found = this.memberNamed(this.resolve(current), name, 0);
      if (found === undefined) return undefined;
      bitOffset += found.bitOffset;
      current = found.typeId;
    }
    return found && { ...found, bitOffset };
  }

  /** The value of an enumerator, whichever enumeration has it. */
  enumerator(name: string): bigint | undefined {
    for (const nameOffset of this.stringOffsets(name)) {
      for (let id = 1; id < this.offsets.length; id++) {
        const kind = this.kind(id);
        if (kind !== BtfKind.Enum && kind !== BtfKind.Enum64) continue;
        const info = this.info(id);
        const width = kind === BtfKind.Enum ? 8 : 12;
        let at = this.at(id) + 12;
        for (let left = info & 0xffff; left > 0; left--, at += width) {
          if (this.view.getUint32(at, this.littleEndian) === nameOffset) return this.enumValue(at + 4, width, info);
        }
      }
    }
    return undefined;
  }

  private enumValue(at: number, width: number, info: number): bigint {
    const signed = info >>> 31 === 1;
    const low = this.view.getUint32(at, this.littleEndian);
    if (width === 8) return BigInt(signed ? low | 0 : low);
    const value = (BigInt(this.view.getUint32(at + 4, this.littleEndian)) << 32n) | BigInt(low);
    return signed ? BigInt.asIntN(64, value) : value;
  }

  private memberNamed(id: number, name: string, depth: number): BtfMember | undefined {
    if (depth > DEEPEST) return undefined;
    for (const member of this.members(id)) {
      if (member.name === name) return member;
      if (member.name !== '') continue;
      const inner = this.memberNamed(this.resolve(member.typeId), name, depth + 1);
      if (inner !== undefined) return { ...inner, bitOffset: member.bitOffset + inner.bitOffset };
    }
    return undefined;
  }

  private isCompound(id: number): boolean {
    const kind = this.kind(id);
    return kind === BtfKind.Struct || kind === BtfKind.Union;
  }

  /** The offset of a type. Throws for an id that the BTF does not have. */
  private at(id: number): number {
    const offset = this.offsets[id];
    if (offset === undefined || id === 0) throw badBtf(`there is no type ${id}`);
    return offset;
  }

  private info(id: number): number {
    return this.view.getUint32(this.at(id) + 4, this.littleEndian);
  }

  private sizeOrType(id: number): number {
    return this.view.getUint32(this.at(id) + 8, this.littleEndian);
  }

  private string(offset: number): string {
    const end = this.strings.indexOf('\0', offset);
    if (end < offset) throw badBtf(`string ${offset} lies outside the strings`);
    return this.strings.slice(offset, end);
  }

  /** Where a string begins in the string section: as a whole string only. */
  private *stringOffsets(text: string): Generator<number> {
    const wanted = `\0${text}\0`;
    for (let at = this.strings.indexOf(wanted); at >= 0; at = this.strings.indexOf(wanted, at + 1)) yield at + 1;
  }

  private indexTypes(start: number, end: number): Uint32Array {
    // A type takes 12 bytes at the least, which bounds the index by the input.
    const offsets = new Uint32Array(Math.floor((end - start) / 12) + 1);
    let count = 1;
    let at = start;
    while (at < end) {
      if (at + 12 > end) throw badBtf('a type is cut off', at);
      const info = this.view.getUint32(at + 4, this.littleEndian);
      const extra = EXTRA_BYTES[(info >>> 24) & 0x1f];
      if (extra === undefined) throw badBtf('a type of unknown kind', at, (info >>> 24) & 0x1f);
      offsets[count++] = at;
      at += 12 + extra.fixed + extra.each * (info & 0xffff);
    }
    if (at !== end) throw badBtf('the last type is cut off', at);
    return offsets.slice(0, count);
  }
}

function badBtf(reason: string, offset?: number, found?: number): ExhumeError {
  return new ExhumeError('EXH_BAD_STRUCTURE', `BTF: ${reason}`, {
    ...(offset !== undefined && { offset }),
    ...(found !== undefined && { found }),
  });
}
