import type { VirtualAddress } from '../bytes/address.js';
import { ExhumeError } from '../bytes/errors.js';
import type { KernelView } from '../kernel/kernel-view.js';
import { type Btf, BtfKind } from '../kernel/types/btf.js';
import { parseAddress } from './address.js';

/** A type of the kernel's own or of a module's. */
export interface TypeRef {
  readonly btf: Btf;
  readonly id: number;
}

/** The address that a query stands for; of a per-CPU variable, one for each CPU that was asked for. */
export interface Place {
  readonly address: VirtualAddress;
  readonly cpu: number | null;
}

const KEYWORDS: Readonly<Record<string, readonly number[]>> = {
  struct: [BtfKind.Struct],
  union: [BtfKind.Union],
  enum: [BtfKind.Enum, BtfKind.Enum64],
};
const NAMED = [
  BtfKind.Struct,
  BtfKind.Union,
  BtfKind.Typedef,
  BtfKind.Enum,
  BtfKind.Enum64,
  BtfKind.Int,
  BtfKind.Float,
];

/** How C programmers and crash call the integers, and how compilers do in BTF. */
const INTEGERS: ReadonlyMap<string, string> = new Map([
  ['unsigned long', 'long unsigned int'],
  ['long', 'long int'],
  ['unsigned short', 'short unsigned int'],
  ['short', 'short int'],
  ['unsigned long long', 'long long unsigned int'],
  ['long long', 'long long int'],
  ['unsigned', 'unsigned int'],
  ['bool', '_Bool'],
]);

/**
 * A type by its C name: `struct page`, `union ktime`, `enum pid_type`, `gfp_t`, `unsigned long`; without a keyword a
 * structure is found first. Undefined when this kernel has none such.
 */
export function findType(view: KernelView, text: string): TypeRef | undefined {
  const words = text
    .replace(/\b(const|volatile)\b/g, ' ')
    .trim()
    .split(/\s+/);
  const kinds = words.length > 1 ? KEYWORDS[words[0] ?? ''] : undefined;
  const name = kinds === undefined ? words.join(' ') : words.slice(1).join(' ');
  for (const btf of view.types.all()) {
    for (const kind of kinds ?? NAMED) {
      const id = btf.find(INTEGERS.get(name) ?? name, kind);
      if (id !== undefined) return { btf, id };
    }
  }
  return undefined;
}

/** As `findType`; throws EXH_NO_LAYOUT. */
export function requireType(view: KernelView, text: string): TypeRef {
  const found = findType(view, text);
  if (found !== undefined) return found;
  throw new ExhumeError('EXH_NO_LAYOUT', `neither this kernel nor its modules have a type "${text}"`, {
    found: text,
    hint: 'struct, union or enum may stand before the name; names are as in the kernel’s source',
  });
}

/** The per-CPU variable of this name as the kernel's type information describes it. */
export function perCpuVariable(view: KernelView, name: string): TypeRef | undefined {
  for (const btf of view.types.all()) {
    const id = btf.find(name, BtfKind.Variable);
    if (id !== undefined) return { btf, id: btf.target(id) };
  }
  return undefined;
}

/**
 * Addresses as people write them, with `:CPUS` after a per-CPU variable: `runqueues:0`, `runqueues:0,2-3`, `runqueues:a`.
 * Throws EXH_NO_SYMBOL, EXH_USAGE.
 */
export function placesOf(view: KernelView, text: string): Place[] {
  const [, base = text, cpus] = /^(.*):([\da,-]+)$/.exec(text) ?? [];
  const address = parseAddress(base, view.kernel.symbols);
  if (cpus === undefined) return [{ address, cpu: null }];
  return cpuList(view, cpus).map((cpu) => ({ address: view.perCpu(address, cpu), cpu }));
}

/** `a` for all CPUs that may be, or `0,2-3`. Throws EXH_USAGE. */
function cpuList(view: KernelView, text: string): number[] {
  if (/^a(ll)?$/.test(text)) return view.cpus('possible');
  const cpus = text.split(',').flatMap((part) => {
    const [, first, last = first] = /^(\d+)(?:-(\d+))?$/.exec(part) ?? [];
    const from = Number(first);
    const to = Math.min(Number(last), view.cpuCount);
    if (first === undefined || from >= view.cpuCount) {
      throw new ExhumeError('EXH_USAGE', `"${part}" names no CPU of this kernel: it has ${view.cpuCount}`, {
        found: part,
        hint: 'write them as 0, 0,2, 0-3, or a for all',
      });
    }
    return Array.from({ length: Math.max(0, to - from + 1) }, (_, index) => from + index);
  });
  return [...new Set(cpus)].filter((cpu) => cpu < view.cpuCount);
}

/** A member of a type, its offset counted from that type's start. */
export interface MemberPlace {
  readonly btf: Btf;
  /** As it is declared, typedefs and all. */
  readonly typeId: number;
  readonly bitOffset: number;
  readonly bitSize: number;
}

/** A member's type and place by path, through anonymous members; `[N]` goes into an array. Throws EXH_NO_LAYOUT. */
export function memberAt(type: TypeRef, path: string): MemberPlace {
  const { btf } = type;
  let typeId = type.id;
  let bitOffset = 0;
  let bitSize = 0;
  for (const [step] of path.matchAll(/[^.[\]]+|\[\d+\]/g)) {
    const id = btf.resolve(typeId);
    if (step.startsWith('[')) {
      if (btf.kind(id) !== BtfKind.Array) throw noMember(type, path);
      typeId = btf.target(id);
      bitOffset += Number(step.slice(1, -1)) * (btf.size(typeId) ?? 0) * 8;
      bitSize = 0;
      continue;
    }
    const member = btf.member(id, step);
    if (member === undefined) throw noMember(type, path);
    bitOffset += member.bitOffset;
    ({ bitSize, typeId } = member);
  }
  return { btf, typeId, bitOffset, bitSize };
}

function noMember({ btf, id }: TypeRef, path: string): ExhumeError {
  return new ExhumeError('EXH_NO_LAYOUT', `${btf.name(btf.resolve(id)) || 'the type'} has no member "${path}"`, {
    found: path,
    hint: 'exhume struct FILE NAME shows what it has',
  });
}
