import { hex, type VirtualAddress, virtualAddress } from '../bytes/address.js';
import { ExhumeError } from '../bytes/errors.js';
import { KernelView } from '../kernel/kernel-view.js';
import { BtfKind } from '../kernel/types/btf.js';
import { baseName, declaration } from '../kernel/types/declare.js';
import { type MemberDefinition, memberDefinitions, paddingBits } from '../kernel/types/definition.js';
import type { DefinitionReport, MemberReport, ObjectReport, StructReport, ValueReport } from './schema/types.js';
import { requireKernel, type Subject } from './subject.js';
import { memberAt, perCpuVariable, placesOf, requireType, type TypeRef } from './type-query.js';
import { type Radix, Values } from './value.js';
import { damageOf, symbolOf } from './words.js';

export interface StructOptions {
  /** A symbol, address, or per-CPU symbol with `:CPUS`; without it the definition is told. */
  readonly at?: string | undefined;
  /** How many stand one after another there; negative: before there. */
  readonly count?: number | undefined;
  /** What the address points to: a member's path or a number of bytes from the structure's start. */
  readonly offset?: string | undefined;
  readonly radix?: Radix | undefined;
}

const MOST_OBJECTS = 1 << 16;

/**
 * The definition of a type, or its values in memory: `task_struct`, `struct page`, `rq.nr_running,clock`.
 * Throws EXH_NO_LAYOUT for unknown types and members, EXH_NO_SYMBOL, EXH_USAGE.
 */
export function buildStruct(subject: Subject, query: string, options: StructOptions = {}): StructReport {
  const kernel = requireKernel(subject);
  const view = new KernelView(kernel);
  const [name, selected] = splitQuery(query);
  const type = requireType(view, name);
  const values = new Values(kernel, options.radix);
  const objects =
    options.at === undefined ? [] : objectsAt(view, type, selected, values, { ...options, at: options.at });
  const damage = damageOf(subject, values.damage);
  return {
    schema: 'exhume-struct/1',
    complete: damage.length === 0,
    query,
    definition: options.at === undefined ? definitionOf(view, type, selected) : null,
    selected,
    objects,
    damage,
  };
}

/** `struct rq.nr_running,clock` as `struct rq` and its members. */
export function splitQuery(query: string): [name: string, members: string[]] {
  const dot = query.indexOf('.');
  if (dot < 0) return [query, []];
  return [
    query.slice(0, dot),
    query
      .slice(dot + 1)
      .split(',')
      .filter((member) => member !== ''),
  ];
}

function objectsAt(
  view: KernelView,
  type: TypeRef,
  selected: readonly string[],
  values: Values,
  { at, count = 1, offset }: StructOptions & { at: string },
): ObjectReport[] {
  const size = type.btf.size(type.id);
  if (size === undefined) {
    throw new ExhumeError('EXH_NO_LAYOUT', `the kernel tells no size of "${type.btf.name(type.id)}"`, { found: at });
  }
  if (Math.abs(count) > MOST_OBJECTS || count === 0) {
    throw new ExhumeError('EXH_USAGE', `a count of ${count} is out of bounds: 1 to ${MOST_OBJECTS}`, { found: count });
  }
  const back = offset === undefined ? 0 : offsetOf(type, offset);
  return placesOf(view, at).flatMap(({ address, cpu }) =>
    Array.from({ length: Math.abs(count) }, (_, index): ObjectReport => {
      const distance = BigInt((count < 0 ? count + 1 + index : index) * size - back);
      const start = virtualAddress(address + distance);
      return {
        address: hex(start),
        symbol: symbolOf(view.kernel, start),
        cpu,
        value:
          selected.length === 0 ? values.read(type.btf, type.id, start) : selectedOf(type, selected, start, values),
      };
    }),
  );
}

/** Only some members, as one structure of them. */
function selectedOf(type: TypeRef, selected: readonly string[], address: VirtualAddress, values: Values): ValueReport {
  const members = selected.map((path) => values.member(type, path, address));
  return { name: '', kind: 'struct', value: null, text: null, times: 1, members };
}

/** A path or a number, as bytes from the structure's start. */
export function offsetOf(type: TypeRef, text: string): number {
  if (/^(0x[0-9a-f]+|\d+)$/i.test(text)) return Number(text);
  const name = type.btf.name(type.btf.resolve(type.id));
  return memberAt(type, text.startsWith(`${name}.`) ? text.slice(name.length + 1) : text).bitOffset >>> 3;
}

/** What `whatis` tells: a type, or the type of a per-CPU variable, function or well-known variable. */
export function buildWhatis(subject: Subject, query: string): StructReport {
  const kernel = requireKernel(subject);
  const view = new KernelView(kernel);
  const found = symbolDefinition(view, query);
  if (found === undefined) return buildStruct(subject, query);
  const damage = damageOf(subject);
  const complete = damage.length === 0;
  return { schema: 'exhume-struct/1', complete, query, definition: found, selected: [], objects: [], damage };
}

/** A function's prototype, or a per-CPU variable's type. */
function symbolDefinition(view: KernelView, name: string): DefinitionReport | undefined {
  for (const btf of view.types.all()) {
    const id = btf.find(name, BtfKind.Function);
    if (id === undefined) continue;
    return { ...empty('function', name), declaration: declaration(btf, btf.target(id), name) };
  }
  const variable = perCpuVariable(view, name);
  if (variable === undefined) return undefined;
  const { btf, id } = variable;
  return { ...empty('variable', name), declaration: declaration(btf, id, name), size: btf.size(id) ?? null };
}

function empty(kind: DefinitionReport['kind'], name: string): DefinitionReport {
  return { kind, name, declaration: name, size: null, members: null, enumerators: null, padding: 0, module: null };
}

function definitionOf(view: KernelView, type: TypeRef, selected: readonly string[]): DefinitionReport {
  const { btf } = type;
  const kind = btf.kind(type.id);
  const name = btf.name(type.id);
  const behind = kind === BtfKind.Typedef ? btf.resolve(type.id) : type.id;
  const compound = [BtfKind.Struct, BtfKind.Union].some((one) => one === btf.kind(behind));
  const all = compound ? memberDefinitions(btf, behind).map(memberReport) : null;
  const isEnum = [BtfKind.Enum, BtfKind.Enum64].some((one) => one === btf.kind(behind));
  return {
    kind: kind === BtfKind.Typedef ? 'typedef' : (WORDS.get(kind) ?? 'integer'),
    name,
    declaration:
      kind === BtfKind.Typedef ? `typedef ${declaration(btf, btf.target(type.id), name)}` : baseName(btf, type.id),
    size: btf.size(type.id) ?? null,
    members: all === null || selected.length === 0 ? all : selected.map((path) => only(type, path)),
    enumerators: isEnum
      ? [...btf.enumerators(behind)].map((one) => ({ name: one.name, value: String(one.value) }))
      : null,
    padding: compound && selected.length === 0 ? Math.floor(paddingBits(btf, behind) / 8) : 0,
    module: btf === view.types.btf ? 'kernel' : 'module',
  };
}

/** One member that was asked for by its path. */
function only(type: TypeRef, path: string): MemberReport {
  const { btf } = type;
  const { typeId, bitOffset, bitSize } = memberAt(type, path);
  const name = path.split('.').at(-1) ?? path;
  return {
    name: path,
    declaration: `${declaration(btf, typeId, name)}${bitSize > 0 ? ` : ${bitSize}` : ''}`,
    offset: bitOffset >>> 3,
    bits: bitSize > 0 ? { offset: bitOffset & 7, size: bitSize } : null,
    size: btf.size(typeId) ?? 0,
    hole: 0,
    inline: null,
  };
}

function memberReport(member: MemberDefinition): MemberReport {
  const { name, declaration: text, bitOffset, bitSize, size, holeBits, keyword, closing, members } = member;
  return {
    name,
    declaration: text,
    offset: bitOffset >>> 3,
    bits: bitSize > 0 ? { offset: bitOffset & 7, size: bitSize } : null,
    size,
    hole: Math.floor(holeBits / 8),
    inline:
      members === undefined || keyword === undefined
        ? null
        : { keyword, closing: closing ?? '', members: members.map(memberReport) },
  };
}

const WORDS: ReadonlyMap<number, DefinitionReport['kind']> = new Map([
  [BtfKind.Struct, 'struct'],
  [BtfKind.Union, 'union'],
  [BtfKind.Enum, 'enum'],
  [BtfKind.Enum64, 'enum'],
]);
