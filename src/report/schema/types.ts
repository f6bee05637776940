import { type Static, type TSchema, Type } from 'typebox';
import { Count, document, Hex, nullable, Text } from './common.js';

/** A value of any type, as crash prints it, with what it is made of. */
export interface ValueReport {
  /** The member's name; empty for elements of arrays and anonymous members. */
  name: string;
  kind: 'integer' | 'pointer' | 'enum' | 'float' | 'string' | 'struct' | 'array' | 'missing' | 'none';
  /** A number (decimal, or hexadecimal as asked), enumerator, address or string; null for what has members. */
  value: string | null;
  /** The same as it is shown, with symbol or text; of a missing value, why it is missing. */
  text: string | null;
  /** How often it stands in a row in its array. */
  times: number;
  members: ValueReport[] | null;
}

/** A member of a structure or union as it is defined. */
export interface MemberReport {
  name: string;
  /** C, without the semicolon. */
  declaration: string;
  /** Bytes from the start of the outermost structure. */
  offset: number;
  /** Of a bit field: bits from the byte at `offset`, and width. */
  bits: { offset: number; size: number } | null;
  size: number;
  /** Unused bytes between this member and the next. */
  hole: number;
  /** A structure or union defined in place: its members, and what stands before and after them. */
  inline: { keyword: 'struct' | 'union'; closing: string; members: MemberReport[] } | null;
}

const value = Type.Object(
  {
    name: Text('Member name; empty for elements of arrays and anonymous members'),
    kind: Type.Enum(['integer', 'pointer', 'enum', 'float', 'string', 'struct', 'array', 'missing', 'none']),
    value: nullable(Type.String(), 'Number, enumerator, address or string; null also for what has members'),
    text: nullable(Type.String(), 'As it is shown; of a missing value, the reason; null also for what has members'),
    times: Count('How often it stands in a row in its array'),
    members: Type.Union([Type.Array(Type.Unsafe<ValueReport>({ $ref: '#/$defs/value' })), Type.Null()]),
  },
  { description: 'A value of any type' },
);

const member = Type.Object(
  {
    name: Text('Empty for anonymous ones'),
    declaration: Text('C, without the semicolon'),
    offset: Count('Bytes from the start of the outermost structure'),
    bits: Type.Union([
      Type.Object({ offset: Count('Bits from the byte at the offset'), size: Count('Width in bits') }),
      Type.Null(),
    ]),
    size: Count('Bytes; 0 for a flexible array'),
    hole: Count('Unused whole bytes up to the next member'),
    inline: Type.Union([
      Type.Object({
        keyword: Type.Enum(['struct', 'union']),
        closing: Text('What stands after the closing brace'),
        members: Type.Array(Type.Unsafe<MemberReport>({ $ref: '#/$defs/member' })),
      }),
      Type.Null(),
    ]),
  },
  { description: 'A member as it is defined' },
);

/** For use inside a document made by `withTypes`. */
export const ValueRef = Type.Unsafe<ValueReport>({ $ref: '#/$defs/value' });
export const MemberRef = Type.Unsafe<MemberReport>({ $ref: '#/$defs/member' });

/** Adds the definitions that `ValueRef` and `MemberRef` name to a document. */
export function withTypes<T extends TSchema>(schema: T): T {
  return Object.assign(schema, { $defs: { value, member } });
}

export const DefinitionSchema = Type.Object(
  {
    kind: Type.Enum(['struct', 'union', 'enum', 'typedef', 'integer', 'variable', 'function']),
    name: Text('Without struct, union or enum'),
    declaration: Text('As C declares it, without a body'),
    size: nullable(Count('Bytes'), 'Size'),
    members: Type.Union([Type.Array(MemberRef), Type.Null()], { description: 'Of a structure or union, else null' }),
    enumerators: Type.Union([
      Type.Array(Type.Object({ name: Text('Name'), value: Type.String({ description: 'Decimal' }) })),
      Type.Null(),
    ]),
    padding: Count('Unused whole bytes after the last member'),
    module: nullable(Type.String(), 'kernel, or module where the definition is from a module’s type information'),
  },
  { description: 'How a type is defined' },
);
export type DefinitionReport = Static<typeof DefinitionSchema>;

export const ObjectSchema = Type.Object(
  {
    address: Hex('Virtual address'),
    symbol: nullable(Type.String(), 'The symbol that it lies in'),
    cpu: Type.Union([Count('CPU'), Type.Null()], { description: 'Of a per-CPU variable, whose' }),
    value: ValueRef,
  },
  { description: 'A value at an address' },
);
export type ObjectReport = Static<typeof ObjectSchema>;

export const StructSchema = withTypes(
  document('exhume-struct/1', 'Type definitions and values (exhume struct --json)', {
    query: Text('The type, with its members, as it was asked for'),
    definition: Type.Union([DefinitionSchema, Type.Null()], { description: 'Null where values were asked for' }),
    selected: Type.Array(Type.String(), { description: 'The members that were asked for; empty for all' }),
    objects: Type.Array(ObjectSchema),
  }),
);
export type StructReport = Static<typeof StructSchema>;

export const PSchema = withTypes(
  document('exhume-p/1', 'The value of an expression (exhume p --json)', {
    expression: Text('As it was asked for'),
    type: Text('C'),
    typeFrom: Type.Enum(['given', 'expression', 'type information', 'well-known', 'size'], {
      description:
        'Where the type is from; size: the kernel does not tell it, and it is shown as a number of this size',
    }),
    objects: Type.Array(
      Type.Object({
        address: nullable(Hex('Where it lies'), 'Address; null also for what is not in memory'),
        cpu: Type.Union([Count('CPU'), Type.Null()]),
        value: ValueRef,
      }),
    ),
  }),
);
export type PReport = Static<typeof PSchema>;

const EntrySchema = Type.Object({
  address: Hex('The structure, or the node where none was named'),
  index: nullable(Type.String(), 'Of a tree that has indices: the first, hexadecimal'),
  last: nullable(Type.String(), 'Of a maple tree: the last index of the range'),
  values: Type.Array(Type.Object({ type: Text('The structure'), value: ValueRef })),
});

export const ListSchema = withTypes(
  document('exhume-list/1', 'A linked list (exhume list --json)', {
    start: Hex('Where it begins'),
    ended: Type.Enum(['head', 'null', 'end', 'damaged'], { description: 'How it ended' }),
    entries: Type.Array(EntrySchema),
  }),
);
export type ListReport = Static<typeof ListSchema>;

export const TreeSchema = withTypes(
  document('exhume-tree/1', 'A tree (exhume tree --json)', {
    type: Type.Enum(['rbtree', 'radix', 'xarray', 'maple', 'idr']),
    root: Hex('Address of the root'),
    entries: Type.Array(EntrySchema),
  }),
);
export type TreeReport = Static<typeof TreeSchema>;
export type EntryReport = Static<typeof EntrySchema>;
