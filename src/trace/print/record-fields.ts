import type { EventFormat, TraceField } from '../model.js';
import type { PrintContext } from './context.js';
import { type EventRecord, fieldType, readInteger, type Wide } from './fields.js';
import { typeNamed } from './types.js';
import { Unfollowable } from './unfollowable.js';
import { type CType, INT, UINT, type Value } from './values.js';
import type { IntType } from './wide.js';

type Place = Extract<Value, { kind: 'place' }>;

/**
 * The fields of a record as C sees them. Their values are read without a look at the record's length: it must have
 * `needed` bytes.
 */
export class RecordFields {
  private readonly fields = new Map<string, TraceField>();
  /** How many bytes a record must have for all the fields that were asked for. */
  needed = 0;

  constructor(
    format: EventFormat,
    private readonly context: PrintContext,
  ) {
    for (const field of context.formats.common) {
      this.fields.set(field.name, field);
      // `REC->ent.pid` is `common_pid`.
      this.fields.set(field.name.replace(/^common_/, 'ent.'), field);
    }
    for (const field of format.fields) this.fields.set(field.name, field);
  }

  /** `REC->name` */
  value(name: string): Value {
    const word = /^__(?:data|rel)_loc_(\w+)$/.exec(name)?.[1];
    if (word !== undefined && this.fields.has(word)) {
      return { kind: 'narrow', type: UINT, get: this.integer(this.field(word).offset, UINT) as Narrow };
    }
    const field = this.field(name);
    const { array, dynamic, element } = fieldType(field);
    if (dynamic !== undefined) return this.dynamic(name);
    if (array) return this.place(field);
    const { offset, size, signed } = field;
    if (element.endsWith('*') && size === this.context.longSize) {
      const type = typeNamed(element, this.context);
      const get = this.integer(offset, { kind: 'int', size, signed: false });
      return { kind: 'pointer', to: type.kind === 'pointer' ? type.to : INT, get, ...(size === 8 && { offset }) };
    }
    if (![1, 2, 4, 8].includes(size) || /^(struct|union) /.test(element)) return this.place(field);
    const type: IntType = { kind: 'int', size, signed };
    const get = this.integer(offset, type);
    return size === 8 ? { kind: 'wide', type, get, offset } : { kind: 'narrow', type, get: get as Narrow };
  }

  /** `&REC->name` */
  address(name: string): Place {
    const field = this.field(name);
    const { dynamic } = fieldType(field);
    return dynamic === undefined ? this.place(field) : this.dynamic(name);
  }

  /** `__get_dynamic_array(name)`, `__get_rel_dynamic_array(name)`: the bytes that the field tells of. */
  dynamic(name: string): Place {
    const field = this.field(name);
    const { dynamic, element } = fieldType(field);
    if (dynamic === undefined) throw new Unfollowable(`${name} is no dynamic array`);
    const word = this.integer(field.offset, UINT) as Narrow;
    const base = dynamic === 'rel_loc' ? field.offset + 4 : 0;
    const at = (record: EventRecord) => record.start + base + (word(record) & 0xffff);
    return {
      kind: 'place',
      to: this.elementType(element, field),
      at,
      end: (record) => {
        const where = word(record);
        return record.start + base + (where & 0xffff) + (where >>> 16);
      },
      size: undefined,
    };
  }

  /** `__get_dynamic_array_len(name)`, in bytes. */
  dynamicLength(name: string): Value {
    const field = this.field(name);
    if (fieldType(field).dynamic === undefined) throw new Unfollowable(`${name} is no dynamic array`);
    const word = this.integer(field.offset, UINT) as Narrow;
    return { kind: 'narrow', type: INT, get: (record) => word(record) >>> 16 };
  }

  private field(name: string): TraceField {
    const field = this.fields.get(name);
    if (field === undefined) throw new Unfollowable(`its records have no ${name}`);
    return field;
  }

  /** Where a field lies. */
  private place(field: TraceField): Place {
    const { offset, size } = field;
    this.needed = Math.max(this.needed, offset + size);
    return {
      kind: 'place',
      to: this.elementType(fieldType(field).element, field),
      at: (record) => record.start + offset,
      end: size === 0 ? undefined : (record) => record.start + offset + size,
      size,
    };
  }

  private elementType(element: string, field: TraceField): CType {
    const count = Number(/\[(\d+)\]/.exec(field.type)?.[1] ?? Number.NaN);
    try {
      const type = typeNamed(element, this.context);
      return type.kind === 'int' ? { ...type, signed: field.signed || (type.signed && type.size === 1) } : type;
    } catch (error) {
      if (!(error instanceof Unfollowable)) throw error;
      const size = field.size / count;
      if ([1, 2, 4, 8].includes(size)) return { kind: 'int', size, signed: field.signed };
      return { kind: 'struct', name: element, size: Number.isInteger(size) ? size : undefined };
    }
  }

  private integer(offset: number, { size, signed }: IntType): (record: EventRecord) => Wide {
    this.needed = Math.max(this.needed, offset + size);
    const { littleEndian } = this.context;
    if (size === 4 && signed) return ({ view, start }) => view.getInt32(start + offset, littleEndian);
    if (size === 4) return ({ view, start }) => view.getUint32(start + offset, littleEndian);
    if (size === 1 && !signed) return ({ view, start }) => view.getUint8(start + offset);
    return ({ view, start }) => readInteger(view, start + offset, size, signed, littleEndian);
  }
}

/** Of at most 4 bytes: `readInteger()` gives a number then. */
type Narrow = (record: EventRecord) => number;
