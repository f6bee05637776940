import { ExhumeError } from '../../bytes/errors.js';
import { type Btf, BtfKind, type BtfMember } from './btf.js';
import { declaration, declarator } from './declare.js';

/** A member as its structure defines it. */
export interface MemberDefinition {
  /** Empty for an anonymous structure or union. */
  readonly name: string;
  /** C declaration without its semicolon; of an inline structure, `struct {...} name`. */
  readonly declaration: string;
  /** For a structure or union defined in place: what stands after its closing brace. */
  readonly closing: string | undefined;
  readonly keyword: 'struct' | 'union' | undefined;
  /** From the start of the outermost structure. */
  readonly bitOffset: number;
  /** Width of a bit field, else 0. */
  readonly bitSize: number;
  /** Bytes; 0 for flexible arrays. */
  readonly size: number;
  /** Unused bits between this member and the next one of the same structure. */
  readonly holeBits: number;
  /** Members of a structure or union defined in place. */
  readonly members: readonly MemberDefinition[] | undefined;
}

/** More levels, or more members altogether, are taken for damage: no kernel has such a structure. */
const DEEPEST = 32;
const MOST_MEMBERS = 1 << 16;

/**
 * The members of a structure or union, those of anonymous ones inside theirs.
 * Throws EXH_BAD_STRUCTURE for types nested more deeply than a kernel has them.
 */
export function memberDefinitions(btf: Btf, id: number): MemberDefinition[] {
  return membersOf(btf, id, 0, { left: MOST_MEMBERS }, 0);
}

/** Unused bits after the last member of a structure. */
export function paddingBits(btf: Btf, id: number): number {
  const end = (btf.size(id) ?? 0) * 8;
  const used = Math.max(0, ...[...btf.members(id)].map((member) => member.bitOffset + bitsOf(btf, member)));
  return Math.max(0, end - used);
}

function membersOf(btf: Btf, id: number, base: number, budget: { left: number }, depth: number): MemberDefinition[] {
  const members = [...btf.members(id)];
  budget.left -= members.length;
  if (depth > DEEPEST || budget.left < 0) {
    throw new ExhumeError('EXH_BAD_STRUCTURE', `BTF: structure ${btf.name(id) || id} is nested without end`);
  }
  const isUnion = btf.kind(id) === BtfKind.Union;
  return members.map((member, index) => {
    const { baseId, text } = declarator(btf, member.typeId, member.name);
    const kind = btf.kind(baseId);
    const compound = kind === BtfKind.Struct || kind === BtfKind.Union;
    const inline = compound && btf.name(baseId) === '';
    const next = members[index + 1];
    const end = member.bitOffset + bitsOf(btf, member);
    return {
      name: member.name,
      declaration: declarationOf(btf, member, next === undefined && !isUnion),
      closing: inline ? text : undefined,
      keyword: inline ? (kind === BtfKind.Union ? 'union' : 'struct') : undefined,
      bitOffset: base + member.bitOffset,
      bitSize: member.bitSize,
      size: btf.size(member.typeId) ?? 0,
      holeBits: isUnion || next === undefined ? 0 : Math.max(0, next.bitOffset - end),
      members: inline ? membersOf(btf, baseId, base + member.bitOffset, budget, depth + 1) : undefined,
    };
  });
}

/** BTF tells no difference between `[]`, which only the last member of a structure can be, and `[0]`. */
function declarationOf(btf: Btf, { typeId, name, bitSize }: BtfMember, last: boolean): string {
  const text = declaration(btf, typeId, name);
  if (bitSize > 0) return `${text} : ${bitSize}`;
  return last ? text.replace(/\[0\]$/, '[]') : text;
}

function bitsOf(btf: Btf, member: { readonly typeId: number; readonly bitSize: number }): number {
  return member.bitSize > 0 ? member.bitSize : (btf.size(member.typeId) ?? 0) * 8;
}
