import { ExhumeError } from '../../bytes/errors.js';
import { type Btf, BtfKind } from './btf.js';

/** What kind of thing a field holds, typedefs and qualifiers looked through. */
export type FieldKind = 'integer' | 'pointer' | 'enum' | 'struct' | 'array' | 'float' | 'function' | 'void';

/** A member of a structure, ready to be read. */
export interface Field {
  /** The path that it was asked for by: `comm`, `tkr_mono.base`. */
  readonly path: string;
  /** Of the type as it is declared, typedefs and all. */
  readonly typeId: number;
  readonly kind: FieldKind;
  /** From the start of the structure that was asked, in bytes. */
  readonly offset: number;
  /** In bytes; 0 for a flexible array. */
  readonly size: number;
  /** A bit field's width in bits, else 0. `bitOffset` then counts from the structure's start, in bits. */
  readonly bitSize: number;
  readonly bitOffset: number;
  readonly signed: boolean;
}

/** A structure or union type of the dead kernel, with the fields that were asked for kept. */
export class StructType {
  private readonly fields = new Map<string, Field | undefined>();

  constructor(
    readonly btf: Btf,
    readonly id: number,
    readonly name: string,
    /** In bytes. */
    readonly size: number,
  ) {}

  /** A field by name or path, also inside anonymous members; undefined when this kernel has none such. */
  field(path: string): Field | undefined {
    if (this.fields.has(path)) return this.fields.get(path);
    const member = this.btf.member(this.id, path);
    const field = member === undefined ? undefined : fieldOf(this.btf, path, member.typeId, member);
    this.fields.set(path, field);
    return field;
  }

  /** As `field`; throws EXH_NO_LAYOUT when there is none. */
  require(path: string): Field {
    const field = this.field(path);
    if (field === undefined) throw noLayout(`${this.name}.${path}`);
    return field;
  }

  /** The structure type of an embedded member, or of what a pointer member points at; undefined for other fields. */
  structOf(field: Field): StructType | undefined {
    let id = this.btf.resolve(field.typeId);
    const kind = this.btf.kind(id);
    if (kind === BtfKind.Pointer || kind === BtfKind.Array) id = this.btf.resolve(this.btf.target(id));
    return structType(this.btf, id);
  }
}

function fieldOf(
  btf: Btf,
  path: string,
  typeId: number,
  { bitOffset, bitSize }: { bitOffset: number; bitSize: number },
): Field {
  const id = btf.resolve(typeId);
  const kind = btf.kind(id);
  return {
    path,
    typeId,
    kind: KINDS.get(kind) ?? 'void',
    offset: bitOffset >>> 3,
    size: btf.size(id) ?? 0,
    bitSize,
    bitOffset,
    signed: kind === BtfKind.Int ? btf.integer(id).signed : kind === BtfKind.Enum && btf.flag(id),
  };
}

const KINDS: ReadonlyMap<number, FieldKind> = new Map([
  [BtfKind.Int, 'integer'],
  [BtfKind.Pointer, 'pointer'],
  [BtfKind.Array, 'array'],
  [BtfKind.Struct, 'struct'],
  [BtfKind.Union, 'struct'],
  [BtfKind.Enum, 'enum'],
  [BtfKind.Enum64, 'enum'],
  [BtfKind.Float, 'float'],
  [BtfKind.FunctionPrototype, 'function'],
]);

/** Types that members lead to, once each: their fields are kept with them. */
const met = new WeakMap<Btf, Map<number, StructType>>();

function structType(btf: Btf, id: number): StructType | undefined {
  const kind = btf.kind(id);
  if (kind !== BtfKind.Struct && kind !== BtfKind.Union) return undefined;
  const types = met.get(btf) ?? new Map<number, StructType>();
  met.set(btf, types);
  const type = types.get(id) ?? new StructType(btf, id, btf.name(id), btf.size(id) ?? 0);
  types.set(id, type);
  return type;
}

/** The error for a layout that this dump does not tell. */
export function noLayout(what: string): ExhumeError {
  return new ExhumeError('EXH_NO_LAYOUT', `this kernel's type information has no ${what}`, {
    expected: what,
    hint: 'the kernel may be built without BTF (CONFIG_DEBUG_INFO_BTF), or has another layout',
  });
}

/** The types of a kernel and of its modules. The modules' are loaded when the kernel's own do not have a name. */
export class KernelTypes {
  private readonly structs = new Map<string, StructType | undefined>();
  private modules: readonly Btf[] | undefined;

  /** @param loadModules called at most once, for a name that the kernel's own types do not have */
  constructor(
    readonly btf: Btf,
    private readonly loadModules: () => readonly Btf[],
  ) {}

  /** A structure, union, or typedef of one, by name without `struct`; undefined when there is none. */
  struct(name: string): StructType | undefined {
    if (this.structs.has(name)) return this.structs.get(name);
    let found: StructType | undefined;
    for (const btf of this.all()) {
      const id = btf.findStruct(name);
      found = id === undefined ? undefined : new StructType(btf, id, name, btf.size(id) ?? 0);
      if (found !== undefined) break;
    }
    this.structs.set(name, found);
    return found;
  }

  /** As `struct`; throws EXH_NO_LAYOUT when there is none. */
  requireStruct(name: string): StructType {
    const type = this.struct(name);
    if (type === undefined) throw noLayout(`struct ${name}`);
    return type;
  }

  /** The enumerators of an enumeration by its name; undefined when there is no such one. */
  enumeration(name: string): ReadonlyMap<string, bigint> | undefined {
    for (const btf of this.all()) {
      const id = btf.find(name, BtfKind.Enum, BtfKind.Enum64);
      if (id !== undefined) return new Map([...btf.enumerators(id)].map((entry) => [entry.name, entry.value]));
    }
    return undefined;
  }

  /** The value of an enumerator of any enumeration of the kernel's own. */
  enumerator(name: string): bigint | undefined {
    return this.btf.enumerator(name);
  }

  /** The kernel's BTF, then the modules'. */
  *all(): Generator<Btf> {
    yield this.btf;
    this.modules ??= this.loadModules();
    yield* this.modules;
  }
}
