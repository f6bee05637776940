import { type VirtualAddress, virtualAddress } from '../bytes/address.js';
import { ExhumeError } from '../bytes/errors.js';
import type { KernelView } from '../kernel/kernel-view.js';
import { BtfKind } from '../kernel/types/btf.js';
import { declaration } from '../kernel/types/declare.js';
import { type Place, perCpuVariable, placesOf, requireType, type TypeRef } from './type-query.js';

/** Where an expression's type is from. */
export type TypeSource = 'given' | 'expression' | 'type information' | 'well-known' | 'size';

/** A type with pointers around it that the kernel's type information need not name. */
export interface CType {
  /** Undefined: not told; `size` bytes are shown as a number. */
  readonly base: TypeRef | undefined;
  readonly stars: number;
  readonly size: number;
}

/** What an expression stands for: a thing in memory, or a number. */
export interface Operand {
  readonly type: CType;
  readonly source: TypeSource;
  readonly cpu: number | null;
  /** Where it lies; undefined for a number. */
  readonly address: VirtualAddress | undefined;
  /** The number, where it does not lie in memory. */
  readonly value: bigint | undefined;
  /** Of a bit field: its first bit in the byte at the address, and its width. */
  readonly bits: { readonly offset: number; readonly size: number } | undefined;
}

/** Variables that everyone asks for and whose types BTF does not tell; each type is looked up in the kernel's own. */
const WELL_KNOWN: ReadonlyMap<string, string> = new Map([
  ['init_task', 'struct task_struct'],
  ['init_mm', 'struct mm_struct'],
  ['init_pid_ns', 'struct pid_namespace'],
  ['init_uts_ns', 'struct uts_namespace'],
  ['init_user_ns', 'struct user_namespace'],
  ['init_ipc_ns', 'struct ipc_namespace'],
  ['init_net', 'struct net'],
  ['init_cred', 'struct cred'],
  ['init_files', 'struct files_struct'],
  ['init_fs', 'struct fs_struct'],
  ['modules', 'struct list_head'],
  ['super_blocks', 'struct list_head'],
  ['slab_caches', 'struct list_head'],
  ['net_namespace_list', 'struct list_head'],
  ['jiffies_64', 'u64'],
  ['jiffies', 'unsigned long'],
  ['saved_command_line', 'char *'],
  ['root_task_group', 'struct task_group'],
  ['__per_cpu_offset', 'unsigned long'],
  ['panic_cpu', 'atomic_t'],
  ['system_state', 'enum system_states'],
]);

const MOST_STEPS = 64;

/**
 * A small C expression: `jiffies_64`, `init_task.comm`, `runqueues:0.cfs`, `init_task.mm->pgd`, `a->b[3].c`,
 * `*(struct page *)0xffffea0000000000`, `&init_task.tasks`, `(unsigned int)jiffies`.
 * A per-CPU variable with several CPUs gives one operand for each.
 * Throws EXH_USAGE for what is no such expression, EXH_NO_SYMBOL, EXH_NO_LAYOUT, and memory's errors on the way.
 * @param given the type of the variable that it begins with
 */
export function evaluate(view: KernelView, expression: string, given?: string): Operand[] {
  const text = expression.trim();
  const [, prefix = '', rest = ''] = /^([*&]*)\s*(.*)$/s.exec(text) ?? [];
  const cast = /^\(\s*((?:(?:struct|union|enum)\s+)?[A-Za-z_][\w ]*?)\s*(\**)\s*\)\s*(.+)$/s.exec(rest);
  // A parenthesis that closes before the end and holds more than a type is an expression of its own.
  const operands =
    cast !== null && isType(view, cast[1] ?? '')
      ? evaluate(view, cast[3] ?? '', given).map((operand) =>
          castTo(view, operand, cast[1] ?? '', cast[2]?.length ?? 0),
        )
      : postfix(view, rest, given);
  return operands.map((operand) => [...prefix].reverse().reduce((one, sign) => prefixed(view, one, sign), operand));
}

/** How C writes an operand's type. */
export function typeText({ base, stars, size }: CType): string {
  const text = base === undefined ? `unknown type of ${size} bytes` : declaration(base.btf, base.id, '');
  return stars === 0 ? text : `${text}${text.endsWith('*') ? '' : ' '}${'*'.repeat(stars)}`;
}

/** The value of what is a number or pointer. */
export function numberOf(view: KernelView, operand: Operand): bigint {
  if (operand.value !== undefined) return operand.value;
  const { address, type } = operand;
  if (address === undefined) return 0n;
  if (isArray(type)) return address;
  const size = type.stars > 0 ? 8 : sizeOf(type);
  if (size === 8) return view.memory.u64(address);
  if (size === 4) return BigInt(view.memory.u32(address));
  return BigInt(size === 2 ? view.memory.u16(address) : view.memory.u8(address));
}

function isType(view: KernelView, text: string): boolean {
  if (/^(struct|union|enum)\s/.test(text)) return true;
  try {
    requireType(view, text);
    return true;
  } catch (error) {
    if (error instanceof ExhumeError) return false;
    throw error;
  }
}

function castTo(view: KernelView, operand: Operand, name: string, stars: number): Operand {
  const base = requireType(view, name);
  const type = { base, stars, size: stars > 0 ? 8 : (base.btf.size(base.id) ?? 8) };
  return { ...number(numberOf(view, operand), type), cpu: operand.cpu };
}

function number(value: bigint, type: CType): Operand {
  return { type, source: 'expression', cpu: null, address: undefined, value, bits: undefined };
}

function prefixed(view: KernelView, operand: Operand, sign: string): Operand {
  if (sign === '*') return { ...operand, ...target(view, operand), source: operand.source };
  if (operand.address === undefined) throw new ExhumeError('EXH_USAGE', 'a number has no address for & to take');
  return { ...number(operand.address, { ...operand.type, stars: operand.type.stars + 1, size: 8 }), cpu: operand.cpu };
}

/** What a pointer points at. */
function target(view: KernelView, operand: Operand): Pick<Operand, 'type' | 'address' | 'value' | 'bits'> {
  const address = virtualAddress(numberOf(view, operand));
  return { type: pointedAt(operand.type), address, value: undefined, bits: undefined };
}

function pointedAt(type: CType): CType {
  if (type.stars > 0) return { ...type, stars: type.stars - 1, size: sizeOf({ ...type, stars: type.stars - 1 }) };
  const { base } = type;
  const id = base?.btf.resolve(base.id);
  const kind = id === undefined ? undefined : base?.btf.kind(id);
  if (base === undefined || id === undefined || (kind !== BtfKind.Pointer && kind !== BtfKind.Array)) {
    throw new ExhumeError('EXH_USAGE', `${typeText(type)} is not a pointer`, {
      hint: 'say what it is: (struct NAME *)EXPRESSION',
    });
  }
  const inner = { btf: base.btf, id: base.btf.target(id) };
  return { base: inner, stars: 0, size: inner.btf.size(inner.id) ?? 0 };
}

function sizeOf({ base, stars, size }: CType): number {
  if (stars > 0) return 8;
  return base === undefined ? size : (base.btf.size(base.id) ?? 0);
}

function isArray({ base, stars }: CType): boolean {
  return stars === 0 && base !== undefined && base.btf.kind(base.btf.resolve(base.id)) === BtfKind.Array;
}

function postfix(view: KernelView, text: string, given: string | undefined): Operand[] {
  const open = closing(text);
  const [, name = '', rest = ''] =
    open === undefined ? (/^([^.[\]\->]+)(.*)$/s.exec(text) ?? []) : ['', text.slice(1, open), text.slice(open + 1)];
  const begin = open === undefined ? primary(view, name.trim(), given) : evaluate(view, name, given);
  const steps = [...rest.matchAll(/\s*(?:(->|\.)\s*([A-Za-z_]\w*)|\[(0x[0-9a-f]+|\d+)\])/gi)];
  if (steps.map(([step]) => step).join('') !== rest.trimEnd() || steps.length > MOST_STEPS || name === '') {
    throw new ExhumeError('EXH_USAGE', `"${text}" is not an expression that p understands`, {
      found: text,
      hint: 'SYMBOL, SYMBOL:CPU, .member, ->member, [index], *, &, (type)',
    });
  }
  return begin.map((operand) =>
    steps.reduce(
      (one, [, arrow, member, index]) =>
        member === undefined ? element(view, one, Number(index)) : memberOf(view, one, member, arrow === '->'),
      operand,
    ),
  );
}

/** Where a parenthesis that the text begins with is closed; undefined when it does not begin with one. */
function closing(text: string): number | undefined {
  if (!text.startsWith('(')) return undefined;
  let depth = 0;
  for (let at = 0; at < text.length; at++) {
    if (text[at] === '(') depth++;
    if (text[at] === ')' && --depth === 0) return at;
  }
  return undefined;
}

function primary(view: KernelView, name: string, given: string | undefined): Operand[] {
  if (/^(0x[0-9a-f]+|\d+)$/i.test(name)) return [number(BigInt(name), { base: undefined, stars: 0, size: 8 })];
  const symbol = name.replace(/:.*$/, '');
  const perCpu = perCpuVariable(view, symbol);
  if (perCpu !== undefined && symbol === name) {
    throw new ExhumeError('EXH_USAGE', `${name} is a per-CPU variable: say of which CPU`, {
      found: name,
      hint: `${name}:0, ${name}:0,2-3, or ${name}:a for all`,
    });
  }
  const places = placesOf(view, name);
  return places.map((place) => ({
    ...variable(view, symbol, place, perCpu, given),
    bits: undefined,
    value: undefined,
  }));
}

function variable(
  view: KernelView,
  symbol: string,
  { address, cpu }: Place,
  perCpu: TypeRef | undefined,
  given: string | undefined,
): Pick<Operand, 'type' | 'source' | 'address' | 'cpu'> {
  const told = given ?? (perCpu === undefined ? WELL_KNOWN.get(symbol) : undefined);
  if (told !== undefined) {
    const [, name = told, stars = ''] = /^(.*?)\s*(\**)$/.exec(told) ?? [];
    const base = requireType(view, name);
    const type = { base, stars: stars.length, size: 0 };
    return {
      type: { ...type, size: sizeOf(type) },
      source: given === undefined ? 'well-known' : 'given',
      address,
      cpu,
    };
  }
  if (perCpu !== undefined) {
    return {
      type: { base: perCpu, stars: 0, size: perCpu.btf.size(perCpu.id) ?? 0 },
      source: 'type information',
      address,
      cpu,
    };
  }
  const hit = view.kernel.symbols.at(address);
  const room = hit === undefined ? 8 : hit.size - hit.offset;
  const size = [8, 4, 2].find((one) => one <= room && Number(address % BigInt(one)) === 0) ?? 1;
  return { type: { base: undefined, stars: 0, size }, source: 'size', address, cpu };
}

function memberOf(view: KernelView, operand: Operand, name: string, arrow: boolean): Operand {
  const from = arrow ? { ...operand, ...target(view, operand) } : operand;
  const { base, stars } = from.type;
  if (base === undefined || stars > 0 || from.address === undefined) {
    const hint =
      base === undefined
        ? 'the kernel’s type information does not tell the type of this variable: name it with --type, or as (struct NAME *)'
        : 'a pointer’s members are reached with ->';
    throw new ExhumeError('EXH_USAGE', `${typeText(from.type)} has no member ${name}`, { found: name, hint });
  }
  const member = base.btf.member(base.btf.resolve(base.id), name);
  if (member === undefined) {
    throw new ExhumeError('EXH_NO_LAYOUT', `${typeText(from.type)} has no member ${name}`, { found: name });
  }
  const { bitOffset, bitSize, typeId } = member;
  return {
    ...from,
    type: { base: { btf: base.btf, id: typeId }, stars: 0, size: base.btf.size(typeId) ?? 0 },
    address: virtualAddress(from.address + BigInt(bitOffset >>> 3)),
    bits: bitSize > 0 ? { offset: bitOffset & 7, size: bitSize } : undefined,
  };
}

function element(view: KernelView, operand: Operand, index: number): Operand {
  const type = pointedAt(operand.type);
  const address = virtualAddress(numberOf(view, operand) + BigInt(index) * BigInt(sizeOf(type)));
  return { ...operand, type, address, value: undefined, bits: undefined };
}
