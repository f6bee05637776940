import { type Btf, BtfKind, isQualifier } from '../../kernel/types/btf.js';
import type { KernelTypes } from '../../kernel/types/kernel-types.js';
import type { TraceParameter } from '../model.js';

/** More than any function has. */
const MOST_PARAMETERS = 64;
/** Types that stand for others, one behind the other. */
const DEEPEST = 64;
/** BTF's words for types that are passed by value otherwise than as a number (`btf_kind_str[]` of kernel/bpf/btf.c). */
const WORDS: ReadonlyMap<number, string> = new Map([
  [BtfKind.Array, 'ARRAY'],
  [BtfKind.Struct, 'STRUCT'],
  [BtfKind.Union, 'UNION'],
  [BtfKind.Forward, 'FWD'],
  [BtfKind.Float, 'FLOAT'],
  [BtfKind.Enum64, 'ENUM64'],
]);

/** The parameters of a function, by its name, out of the kernel's and its modules' types. Undefined: they do not tell. */
export function functionParameters(types: KernelTypes, name: string): readonly TraceParameter[] | undefined {
  for (const btf of types.all()) {
    const id = btf.find(name, BtfKind.Function);
    if (id === undefined) continue;
    const parameters: TraceParameter[] = [];
    for (const { name: parameter, typeId } of btf.parameters(btf.target(id))) {
      if (parameters.length < MOST_PARAMETERS) parameters.push(parameterOf(btf, parameter, typeId));
    }
    return parameters;
  }
  return undefined;
}

function parameterOf(btf: Btf, name: string, typeId: number): TraceParameter {
  let id = typeId;
  for (let step = 0; step < DEEPEST && (isQualifier(btf.kind(id)) || btf.kind(id) === BtfKind.Typedef); step++) {
    id = btf.target(id);
  }
  const kind = btf.kind(id);
  const made = (told: TraceParameter['kind'], names: TraceParameter['names'] = new Map()): TraceParameter => ({
    name,
    kind: told,
    word: WORDS.get(kind) ?? 'UNKNOWN',
    size: btf.size(id) ?? 0,
    names,
  });
  if (kind === BtfKind.Void) return made('unknown');
  if (kind === BtfKind.Pointer) return made('pointer');
  if (kind === BtfKind.Int) return made(btf.integer(id).signed ? 'signed' : 'unsigned');
  if (kind !== BtfKind.Enum) return made('other');
  const names = new Map<bigint, string>();
  for (const { name: constant, value } of btf.enumerators(id)) {
    const unsigned = BigInt.asUintN(64, BigInt.asIntN(32, value));
    if (!names.has(unsigned)) names.set(unsigned, constant);
  }
  return made('enum', names);
}
