import { ExhumeError } from '../../bytes/errors.js';
import { structTable, u8, u16, u32, viewOf } from '../../bytes/struct-table.js';

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

/** A member of a structure or union, or a parameter of a function (whose `bitOffset` is 0). */
export interface BtfMember {
  readonly name: string;
  readonly typeId: number;
  /** From the start of the structure, in bits. */
  readonly bitOffset: number;
  /** Width of a bit field in bits; 0 when it is none. */
  readonly bitSize: number;
}

/** An enumerator and its value. */
export interface BtfEnumerator {
  readonly name: string;
  readonly value: bigint;
}

/** How an integer is to be shown. */
export interface BtfInteger {
  readonly bits: number;
  readonly signed: boolean;
  readonly char: boolean;
  readonly boolean: boolean;
}

/** Neighbours whose names are compared before types are believed to be sorted. */
const SAMPLES = 256;

/** Type chains (typedef of const of …) and nested anonymous members deeper than this are taken for damage. */
const DEEPEST = 32;

/**
 * The BPF Type Format of a kernel, read in place: an index of type offsets, and no object per type.
 * Types are numbered from 1; 0 is `void`. A module's BTF goes on where its base, the kernel's, ends: ids below
 * `firstId` and string offsets below the length of the base's strings are the base's (split BTF).
 */
export class Btf {
  /** The id of the first type of this BTF's own. */
  readonly firstId: number;
  private readonly view: DataView;
  /** The string section, a character for each byte, so that offsets into it stay what they are. */
  private readonly strings: string;
  /** What offset the first own string has. */
  private readonly firstString: number;
  /** `name_off` of each own type. */
  private readonly nameOffsets: Uint32Array;
  /** Offset in the view of each own type's `struct btf_type`. */
  private readonly offsets: Uint32Array;
  /** The first own type that has a name, when those are sorted by it, as kernels' types are from 7.0. */
  private readonly sortedFrom: number | undefined;
  /** The own enumerations; listed on first use. */
  private enumerations: readonly number[] | undefined;
  /** What enumerators were asked for, and their values. */
  private readonly enumValues = new Map<string, bigint | undefined>();

  /** Throws EXH_BAD_STRUCTURE when the header or a type does not parse. */
  constructor(
    bytes: Uint8Array,
    private readonly littleEndian = true,
    private readonly base?: Btf,
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
    this.firstId = base === undefined ? 1 : base.lastId + 1;
    this.firstString = base === undefined ? 0 : base.firstString + base.strings.length;
    this.strings = new TextDecoder('latin1').decode(bytes.subarray(stringsStart, stringsEnd));
    this.offsets = this.indexTypes(typesStart, typesEnd);
    this.nameOffsets = this.offsets.map((at) => this.view.getUint32(at, this.littleEndian));
    this.sortedFrom = this.findSorted();
  }

  /** The id of the last type. */
  get lastId(): number {
    return this.firstId + this.offsets.length - 1;
  }

  /** The kind of a type, one of BtfKind. */
  kind(id: number): number {
    return id === 0 ? BtfKind.Void : (this.info(id) >>> 24) & 0x1f;
  }

  /** The type's own name; empty for anonymous ones. */
  name(id: number): string {
    return id === 0 ? 'void' : this.string(this.word(id, 0));
  }

  /** The first type with this name and one of these kinds; a module's own before the kernel's. */
  find(name: string, ...kinds: readonly number[]): number | undefined {
    return this.findOwn(name, kinds) ?? this.base?.find(name, ...kinds);
  }

  private findOwn(name: string, kinds: readonly number[]): number | undefined {
    if (this.sortedFrom !== undefined) {
      const first = this.firstWhere(this.sortedFrom, (id) => this.name(id) >= name);
      for (let id = first; id <= this.lastId && this.name(id) === name; id++) {
        if (kinds.includes(this.kind(id))) return id;
      }
      return undefined;
    }
    for (const nameOffset of this.stringOffsets(name)) {
      let index = this.nameOffsets.indexOf(nameOffset);
      while (index >= 0 && !kinds.includes(this.kind(this.firstId + index))) {
        index = this.nameOffsets.indexOf(nameOffset, index + 1);
      }
      if (index >= 0) return this.firstId + index;
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

  /** Every own type's id whose name matches; for listings. */
  *idsNamed(matches: (name: string) => boolean): Generator<number> {
    for (let id = this.firstId; id <= this.lastId; id++) {
      if (matches(this.name(id))) yield id;
    }
  }

  /** The type behind typedefs, const, volatile, restrict and type tags. */
  resolve(id: number): number {
    for (let depth = 0; depth < DEEPEST; depth++) {
      const kind = this.kind(id);
      if (kind !== BtfKind.Typedef && !isQualifier(kind)) return id;
      id = this.target(id);
    }
    throw badBtf(`typedefs of type ${id} go round in a circle`);
  }

  /**
   * What a pointer, typedef, qualifier, variable or function refers to, or an array's element type.
   * Undefined use on other kinds gives their size field.
   */
  target(id: number): number {
    return this.kind(id) === BtfKind.Array ? this.word(id, 12) : this.word(id, 8);
  }

  /** How many elements an array has. */
  elementCount(id: number): number {
    return this.kind(id) === BtfKind.Array ? this.word(id, 20) : 1;
  }

  /** How an integer type is made. */
  integer(id: number): BtfInteger {
    const encoding = this.kind(id) === BtfKind.Int ? this.word(id, 12) : 0;
    const flags = (encoding >>> 24) & 0xf;
    return {
      bits: encoding & 0xff,
      signed: (flags & 1) !== 0,
      char: (flags & 2) !== 0,
      boolean: (flags & 4) !== 0,
    };
  }

  /** Is it a union and not a structure, where it is a forward declaration or an enumeration with signed values? */
  flag(id: number): boolean {
    return this.info(id) >>> 31 === 1;
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
          return count * this.word(id, 8);
        case BtfKind.Pointer:
          return count * 8;
        case BtfKind.Array:
          count *= this.elementCount(id);
          id = this.target(id);
          break;
        default:
          return undefined;
      }
    }
    throw badBtf(`arrays of type ${id} are nested too deeply`);
  }

  /** The members of a structure or union, in order; anonymous ones have an empty name. */
  *members(id: number): Generator<BtfMember> {
    if (this.isForeign(id)) {
      yield* this.base?.members(id) ?? [];
      return;
    }
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

  /** The parameters of a function prototype; the last one of a variadic function has type 0 and no name. */
  *parameters(id: number): Generator<BtfMember> {
    if (this.isForeign(id)) {
      yield* this.base?.parameters(id) ?? [];
      return;
    }
    if (this.kind(id) !== BtfKind.FunctionPrototype) return;
    let at = this.at(id) + 12;
    for (let left = this.info(id) & 0xffff; left > 0; left--, at += 8) {
      yield {
        name: this.string(this.view.getUint32(at, this.littleEndian)),
        typeId: this.view.getUint32(at + 4, this.littleEndian),
        bitOffset: 0,
        bitSize: 0,
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

  /** The enumerators of an enumeration, in order. */
  *enumerators(id: number): Generator<BtfEnumerator> {
    if (this.isForeign(id)) {
      yield* this.base?.enumerators(id) ?? [];
      return;
    }
    const kind = this.kind(id);
    if (kind !== BtfKind.Enum && kind !== BtfKind.Enum64) return;
    const info = this.info(id);
    const width = kind === BtfKind.Enum ? 8 : 12;
    let at = this.at(id) + 12;
    for (let left = info & 0xffff; left > 0; left--, at += width) {
      const name = this.string(this.view.getUint32(at, this.littleEndian));
      yield { name, value: this.enumValue(at + 4, width, info >>> 31 === 1) };
    }
  }

  /** The value of an enumerator, whichever enumeration has it. */
  enumerator(name: string): bigint | undefined {
    if (!this.enumValues.has(name)) this.enumValues.set(name, this.ownEnumerator(name) ?? this.base?.enumerator(name));
    return this.enumValues.get(name);
  }

  private ownEnumerator(name: string): bigint | undefined {
    for (const nameOffset of this.stringOffsets(name)) {
      for (const id of this.ownEnumerations()) {
        const info = this.info(id);
        const width = this.kind(id) === BtfKind.Enum ? 8 : 12;
        let at = this.at(id) + 12;
        for (let left = info & 0xffff; left > 0; left--, at += width) {
          if (this.view.getUint32(at, this.littleEndian) !== nameOffset) continue;
          return this.enumValue(at + 4, width, info >>> 31 === 1);
        }
      }
    }
    return undefined;
  }

  private ownEnumerations(): readonly number[] {
    if (this.enumerations === undefined) {
      const found: number[] = [];
      for (let id = this.firstId; id <= this.lastId; id++) {
        const kind = this.kind(id);
        if (kind === BtfKind.Enum || kind === BtfKind.Enum64) found.push(id);
      }
      this.enumerations = found;
    }
    return this.enumerations;
  }

  /** Types without a name come first in a sorted BTF. All types of a small one tell whether it is, some of a large one. */
  private findSorted(): number | undefined {
    const step = Math.max(1, Math.floor(this.offsets.length / SAMPLES));
    try {
      for (let id = this.firstId; id < this.lastId; id += step) {
        if (this.name(id) > this.name(id + 1)) return undefined;
      }
    } catch {
      // A name that is damaged spoils only itself.
      return undefined;
    }
    return this.firstWhere(this.firstId, (id) => this.name(id) !== '');
  }

  /** The first id from `low` on that `holds`, where it holds for all after it; one past the last when for none. */
  private firstWhere(low: number, holds: (id: number) => boolean): number {
    let high = this.lastId + 1;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (holds(middle)) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  private enumValue(at: number, width: number, signed: boolean): bigint {
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

  /** Is it a type of the base? */
  private isForeign(id: number): boolean {
    return id !== 0 && id < this.firstId;
  }

  /** The offset in the view of an own type. Throws for an id that the BTF does not have. */
  private at(id: number): number {
    const offset = this.offsets[id - this.firstId];
    if (offset === undefined) throw badBtf(`there is no type ${id}`);
    return offset;
  }

  /** A u32 of a type's description, `offset` bytes into its `struct btf_type`. */
  private word(id: number, offset: number): number {
    if (this.isForeign(id) && this.base !== undefined) return this.base.word(id, offset);
    return this.view.getUint32(this.at(id) + offset, this.littleEndian);
  }

  private info(id: number): number {
    return this.word(id, 4);
  }

  private string(offset: number): string {
    if (offset < this.firstString && this.base !== undefined) return this.base.string(offset);
    const start = offset - this.firstString;
    const end = this.strings.indexOf('\0', start);
    if (end < start) throw badBtf(`string ${offset} lies outside the strings`);
    return this.strings.slice(start, end);
  }

  /** Where a string begins among the own strings: as a whole string only. */
  private *stringOffsets(text: string): Generator<number> {
    const wanted = `\0${text}\0`;
    // A module's own strings do not begin with the empty one, so its first has no NUL before it.
    if (this.firstString > 0 && this.strings.startsWith(wanted.slice(1))) yield this.firstString;
    for (let at = this.strings.indexOf(wanted); at >= 0; at = this.strings.indexOf(wanted, at + 1)) {
      yield this.firstString + at + 1;
    }
    if (this.base !== undefined) yield* this.base.stringOffsets(text);
  }

  private indexTypes(start: number, end: number): Uint32Array {
    // A type takes 12 bytes at the least, which bounds the index by the input.
    const offsets = new Uint32Array(Math.max(0, Math.ceil((end - start) / 12)));
    let count = 0;
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

/** const, volatile, restrict and type tags. */
export function isQualifier(kind: number): boolean {
  return kind === BtfKind.Const || kind === BtfKind.Volatile || kind === BtfKind.Restrict || kind === BtfKind.TypeTag;
}

function badBtf(reason: string, offset?: number, found?: number): ExhumeError {
  return new ExhumeError('EXH_BAD_STRUCTURE', `BTF: ${reason}`, {
    ...(offset !== undefined && { offset }),
    ...(found !== undefined && { found }),
  });
}
