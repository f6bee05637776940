import { type Btf, BtfKind, isQualifier } from './btf.js';

/** Types nested deeper than this are taken for damage; what is deeper is shown as `…`. */
const DEEPEST = 32;

/** As compilers' debug information names them, and as crash and C programmers do. */
const PLAIN_NAMES: ReadonlyMap<string, string> = new Map([
  ['long unsigned int', 'unsigned long'],
  ['long int', 'long'],
  ['short unsigned int', 'unsigned short'],
  ['short int', 'short'],
  ['long long unsigned int', 'unsigned long long'],
  ['long long int', 'long long'],
]);

/** A C declarator taken apart: `*next` of the type `struct list_head`. */
export interface Declarator {
  /** The type that is left when pointers, arrays, functions and qualifiers are taken off. */
  readonly baseId: number;
  /** Qualifiers of the base, each with a space after it: `const `. */
  readonly qualifiers: string;
  /** The name with what surrounds it: `*next`, `bits[2]`, `(*func)(struct callback_head *)`. */
  readonly text: string;
}

/** Takes the declaration of something of this type apart; `name` may be empty, for a type alone. */
export function declarator(btf: Btf, id: number, name: string, depth = 0): Declarator {
  let text = name;
  let qualifiers = '';
  for (let step = 0; step < DEEPEST; step++) {
    const kind = btf.kind(id);
    const target = id === 0 ? 0 : btf.target(id);
    if (kind === BtfKind.Pointer) {
      const behind = btf.kind(unqualified(btf, target));
      text = `*${text}`;
      if (behind === BtfKind.Array || behind === BtfKind.FunctionPrototype) text = `(${text})`;
    } else if (kind === BtfKind.Array) {
      const count = btf.elementCount(id);
      text = `${text}[${count}]`;
    } else if (kind === BtfKind.FunctionPrototype) {
      text = `${text}(${parameterList(btf, id, depth)})`;
    } else if (isQualifier(kind)) {
      const word = QUALIFIERS.get(kind);
      if (word !== undefined && btf.kind(unqualified(btf, target)) === BtfKind.Pointer) text = ` ${word} ${text}`;
      else if (word !== undefined) qualifiers += `${word} `;
    } else {
      break;
    }
    id = target;
  }
  return { baseId: id, qualifiers, text: text.trimEnd() };
}

/** A C declaration: `struct list_head *next`; with an empty name, the type: `struct list_head *`. */
export function declaration(btf: Btf, id: number, name: string, depth = 0): string {
  const { baseId, qualifiers, text } = declarator(btf, id, name, depth);
  return `${qualifiers}${baseName(btf, baseId)}${text === '' ? '' : ` ${text.trimStart()}`}`;
}

/** What a type that is neither pointer, array, function nor qualifier is called: `struct page`, `gfp_t`, `unsigned long`. */
export function baseName(btf: Btf, id: number): string {
  const name = btf.name(id);
  switch (btf.kind(id)) {
    case BtfKind.Struct:
      return `struct ${name === '' ? '{...}' : name}`;
    case BtfKind.Union:
      return `union ${name === '' ? '{...}' : name}`;
    case BtfKind.Forward:
      return `${btf.flag(id) ? 'union' : 'struct'} ${name}`;
    case BtfKind.Enum:
    case BtfKind.Enum64:
      return `enum ${name === '' ? `{${enumeratorNames(btf, id)}}` : name}`;
    default:
      return PLAIN_NAMES.get(name) ?? name;
  }
}

function enumeratorNames(btf: Btf, id: number): string {
  return [...btf.enumerators(id)].map((one) => one.name).join(', ');
}

function parameterList(btf: Btf, id: number, depth: number): string {
  if (depth > DEEPEST) return '…';
  const parameters = [...btf.parameters(id)];
  if (parameters.length === 0) return 'void';
  return parameters
    .map((one, index) =>
      one.typeId === 0 && index === parameters.length - 1 ? '...' : declaration(btf, one.typeId, '', depth + 1),
    )
    .join(', ');
}

function unqualified(btf: Btf, id: number): number {
  for (let step = 0; step < DEEPEST && isQualifier(btf.kind(id)); step++) id = btf.target(id);
  return id;
}

const QUALIFIERS: ReadonlyMap<number, string> = new Map([
  [BtfKind.Const, 'const'],
  [BtfKind.Volatile, 'volatile'],
  [BtfKind.Restrict, 'restrict'],
]);
