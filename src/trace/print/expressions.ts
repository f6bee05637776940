import { stringAt } from './addresses.js';
import { arithmetic, common, comparison, fold, integers, literal, promoted, smallest } from './arithmetic.js';
import type { PrintContext } from './context.js';
import type { EventRecord, Wide } from './fields.js';
import { callHelper, type Scope } from './helpers.js';
import type { RecordFields } from './record-fields.js';
import type { Expression, Statement, TypeName } from './syntax.js';
import { sizeOfCType, typeNamed } from './types.js';
import { TooLong, Unfollowable } from './unfollowable.js';
import {
  asInteger,
  CHAR,
  type CType,
  constant,
  convert,
  INT,
  type Integer,
  isInteger,
  load,
  placeText,
  S64,
  stands,
  text,
  truth,
  U64,
  type Value,
  VOID,
} from './values.js';
import type { IntType } from './wide.js';

type Place = Extract<Value, { kind: 'place' }>;

/** How many choices a record's text may take: the longest format of a kernel has some hundred. */
const MOST_WORK = 1 << 16;

/** Turns expressions of C into closures over the record. Throws Unfollowable. */
export class Expressions implements Scope {
  private readonly locals = new Map<string, Value>();
  private readonly string: (address: Wide) => string;
  private work = 0;

  constructor(
    readonly context: PrintContext,
    readonly fields: RecordFields,
  ) {
    this.string = stringAt(context);
  }

  value(expression: Expression): Value {
    switch (expression.kind) {
      case 'number':
        return literal(expression, this.context.longSize);
      case 'string':
        return text(expression.text);
      case 'name':
        return this.name(expression.name);
      case 'member':
        return this.member(expression);
      case 'index':
        return this.load(this.element(expression));
      case 'call':
        return callHelper(expression.callee, expression.args, this);
      case 'unary':
        return this.unary(expression.operator, expression.operand);
      case 'binary':
        return this.binary(expression);
      case 'conditional':
        return this.conditional(expression);
      case 'cast':
        return this.cast(this.value(expression.operand), this.type(expression.type));
      case 'type':
        return { kind: 'type', type: this.type(expression.type) };
      case 'assign':
        return this.assign(expression);
      case 'block':
        return this.block(expression.statements);
      case 'list':
        throw new Unfollowable('a list stands where a value is due');
    }
  }

  /** Begins with another record: what one may cost is bounded. */
  begin(): void {
    this.work = 0;
  }

  /**
   * Counts how often something is evaluated that may be evaluated more than once: nested in each other, such expressions
   * would take for ever.
   */
  private counted<T>(get: (record: EventRecord) => T): (record: EventRecord) => T {
    return (record) => {
      if (++this.work > MOST_WORK) throw new TooLong('it takes too long');
      return get(record);
    };
  }

  type(name: TypeName): CType {
    let type: CType = name.of === undefined ? typeNamed(name.base, this.context) : this.typeOf(this.value(name.of));
    for (let stars = 0; stars < name.pointers; stars++) type = { kind: 'pointer', to: type };
    return type;
  }

  /** A text for `%s`. */
  text(value: Value): (record: EventRecord) => string {
    switch (value.kind) {
      case 'text':
        return value.get;
      case 'place':
        return placeText(value);
      case 'pointer': {
        const { get } = value;
        return (record) => this.string(get(record));
      }
      default:
        if (isInteger(value) && value.constant === 0) return () => '(null)';
        throw new Unfollowable('a number is taken for a text');
    }
  }

  private typeOf(value: Value): CType {
    switch (value.kind) {
      case 'narrow':
      case 'wide':
      case 'type':
        return value.type;
      case 'text':
        return { kind: 'pointer', to: CHAR };
      default:
        return { kind: 'pointer', to: value.to };
    }
  }

  isUnknown(name: string): boolean {
    return this.named(name) === undefined;
  }

  private name(name: string): Value {
    const value = this.named(name);
    if (value === undefined) throw new Unfollowable(`${name} is not known`);
    return value;
  }

  private named(name: string): Value | undefined {
    const local = this.locals.get(name);
    if (local !== undefined) return local;
    if (name === 'REC' || name === '__entry') {
      const to: CType = { kind: 'struct', name: 'REC', size: undefined };
      return { kind: 'place', to, at: (record) => record.start, end: undefined, size: undefined };
    }
    if (name === 'NULL') return { kind: 'pointer', to: VOID, get: () => 0, constant: 0 };
    if (name === 'true' || name === 'false') return constant(name === 'true' ? 1 : 0, INT);
    const { names, longSize } = this.context;
    const known = names.constant?.(name);
    if (known !== undefined) return constant(known, smallest(known));
    const variable = names.variable?.(name);
    return variable === undefined ? undefined : constant(variable, { ...U64, size: longSize });
  }

  private member(expression: Extract<Expression, { kind: 'member' }>): Value {
    const path = recordPath(expression);
    if (path !== undefined) return this.fields.value(path);
    throw new Unfollowable(`.${expression.name} belongs to a structure that the format does not describe`);
  }

  /** Where an element of an array lies. */
  private element({ object, index }: Extract<Expression, { kind: 'index' }>): Value {
    return this.add(this.value(object), this.value(index), 1);
  }

  private load(value: Value): Value {
    switch (value.kind) {
      case 'place':
        // A structure within the record is its place.
        return value.to.kind === 'struct' ? value : load(value, this.context.littleEndian, this.context.longSize);
      case 'text': {
        const { get } = value;
        return { kind: 'narrow', type: CHAR, get: (record) => (get(record).charCodeAt(0) << 24) >> 24 };
      }
      default:
        throw new Unfollowable('it reads memory outside of the record');
    }
  }

  private addressOf(expression: Expression): Value {
    if (expression.kind === 'index') return this.element(expression);
    if (expression.kind === 'member') {
      const path = recordPath(expression);
      if (path !== undefined) return this.fields.address(path);
    }
    if (expression.kind === 'unary' && expression.operator === '*') return this.value(expression.operand);
    throw new Unfollowable('it takes the address of what is not in the record');
  }

  private unary(operator: string, operand: Expression): Value {
    switch (operator) {
      case '&':
        return this.addressOf(operand);
      case '*':
        return this.load(this.value(operand));
      case 'sizeof':
        return constant(this.sizeOf(this.value(operand)), { ...U64, size: this.context.longSize });
      case '!': {
        const value = this.value(operand);
        const test = truth(value);
        return fold({ kind: 'narrow', type: INT, get: (record) => (test(record) ? 0 : 1) }, value);
      }
      default: {
        const value = promoted(asInteger(this.value(operand)));
        if (operator === '+') return value;
        if (operator === '-') return arithmetic('-', constant(0, value.type), value);
        return arithmetic('^', value, constant(-1, value.type));
      }
    }
  }

  private sizeOf(value: Value): number {
    if (value.kind === 'text') return (value.constant?.length ?? this.context.longSize - 1) + 1;
    if (value.kind === 'place' && value.size !== undefined) return value.size;
    return sizeOfCType(this.typeOf(value), this.context.longSize);
  }

  private binary({ operator, left, right }: Extract<Expression, { kind: 'binary' }>): Value {
    const first = this.value(left);
    if (operator === '&&' || operator === '||') {
      const isAnd = operator === '&&';
      // What stands behind a constant answer does not count.
      if (isInteger(first) && first.constant !== undefined && (first.constant !== 0) !== isAnd) {
        return constant(isAnd ? 0 : 1, INT);
      }
      const second = this.value(right);
      const one = truth(first);
      const other = truth(second);
      const get = isAnd
        ? (record: EventRecord) => (one(record) && other(record) ? 1 : 0)
        : (record: EventRecord) => (one(record) || other(record) ? 1 : 0);
      return fold({ kind: 'narrow', type: INT, get }, first, second);
    }
    const second = this.value(right);
    if (/^[=!<>]=?$/.test(operator)) return comparison(operator, first, second);
    if (isInteger(first) && isInteger(second)) return integers(operator, first, second);
    if (operator === '+') return isInteger(first) ? this.add(second, first, 1) : this.add(first, second, 1);
    if (operator === '-') return isInteger(second) ? this.add(first, second, -1) : this.difference(first, second);
    return integers(operator, asInteger(first), asInteger(second));
  }

  /** A pointer and a number of what it points to. */
  private add(pointer: Value, count: Value, sign: 1 | -1): Value {
    const { longSize } = this.context;
    if (pointer.kind === 'place') {
      const step = sizeOfCType(pointer.to, longSize) * sign;
      const { at } = pointer;
      const times = asInteger(count).get;
      return { ...pointer, at: (record) => at(record) + Number(times(record)) * step, size: undefined };
    }
    if (pointer.kind === 'pointer') {
      const size = constant(sizeOfCType(pointer.to, longSize), S64);
      const step = arithmetic('*', convert(asInteger(count), S64), size);
      const type: IntType = { ...U64, size: longSize };
      const sum = arithmetic(sign < 0 ? '-' : '+', convert(asInteger(pointer), type), convert(step, type));
      return { kind: 'pointer', to: pointer.to, get: sum.get };
    }
    if (pointer.kind === 'text') {
      const { get } = pointer;
      const times = asInteger(count).get;
      return { kind: 'text', get: (record) => get(record).slice(Math.max(Number(times(record)) * sign, 0)) };
    }
    throw new Unfollowable('it takes for an array what is none');
  }

  private difference(first: Value, second: Value): Value {
    if (first.kind === 'place' && second.kind === 'place') {
      const size = sizeOfCType(first.to, this.context.longSize);
      const one = first.at;
      const other = second.at;
      return { kind: 'wide', type: S64, get: (record) => Math.trunc((one(record) - other(record)) / size) };
    }
    return integers('-', asInteger(first), asInteger(second));
  }

  private conditional({ test, yes, no }: Extract<Expression, { kind: 'conditional' }>): Value {
    const asked = this.value(test);
    if (isInteger(asked) && asked.constant !== undefined) {
      const one = () => (yes === undefined ? asked : this.value(yes));
      const other = () => this.value(no);
      return asked.constant === 0 ? decided(other(), one) : decided(one(), other);
    }
    const is = this.counted(truth(asked));
    const one = yes === undefined ? asked : this.value(yes);
    const other = this.value(no);
    if (isInteger(one) && isInteger(other)) {
      const type = common(one.type, other.type);
      const left = convert(one, type);
      const right = convert(other, type);
      if (left.kind === 'narrow' && right.kind === 'narrow') {
        const a = left.get;
        const b = right.get;
        return { kind: 'narrow', type, get: (record) => (is(record) ? a(record) : b(record)) };
      }
      const a = left.get;
      const b = right.get;
      return { kind: 'wide', type, get: (record) => (is(record) ? a(record) : b(record)) };
    }
    if (one.kind === 'place' && other.kind === 'place') return either(is, one, other);
    if (one.kind === 'text' || other.kind === 'text' || one.kind === 'place' || other.kind === 'place') {
      const a = this.text(one);
      const b = this.text(other);
      return { kind: 'text', get: (record) => (is(record) ? a(record) : b(record)) };
    }
    const a = asInteger(one).get;
    const b = asInteger(other).get;
    const to = one.kind === 'pointer' ? one.to : other.kind === 'pointer' ? other.to : VOID;
    return { kind: 'pointer', to, get: (record) => (is(record) ? a(record) : b(record)) };
  }

  private cast(value: Value, type: CType): Value {
    switch (type.kind) {
      case 'int':
        return convert(asInteger(value), type);
      case 'pointer':
        if (value.kind === 'place') return { ...value, to: type.to, size: undefined };
        if (value.kind === 'text') return value;
        return pointerOf(convert(asInteger(value), { ...U64, size: this.context.longSize }), type.to);
      default:
        throw new Unfollowable('it casts to what is no number');
    }
  }

  private assign({ operator, target, value }: Extract<Expression, { kind: 'assign' }>): Value {
    const local = this.cells.get(target);
    if (local === undefined) throw new Unfollowable(`it assigns to ${target}`);
    const before = this.name(target);
    let next = asInteger(this.value(value));
    if (operator !== '') next = integers(operator, asInteger(before), next);
    const { get } = convert(next, local.type);
    const set = (record: EventRecord): Wide => {
      local.value = get(record);
      return local.value;
    };
    return local.type.size === 8
      ? { kind: 'wide', type: local.type, get: set }
      : { kind: 'narrow', type: local.type, get: (record) => Number(set(record)) };
  }

  /** The variables of statement expressions that are numbers. */
  private readonly cells = new Map<string, { readonly type: IntType; value: Wide }>();

  private block(statements: readonly Statement[]): Value {
    const steps: ((record: EventRecord) => unknown)[] = [];
    let last: Value | undefined;
    for (const statement of statements) {
      last = undefined;
      if (statement.kind === 'declare') steps.push(...this.declare(statement));
      else {
        last = this.value(statement.value);
        if (isInteger(last)) steps.push(last.get);
      }
    }
    if (last === undefined) throw new Unfollowable('a statement expression has no value');
    if (isInteger(last)) steps.pop();
    return after(steps, last);
  }

  private declare(statement: Extract<Statement, { kind: 'declare' }>): ((record: EventRecord) => unknown)[] {
    const { name, value } = statement;
    const auto = statement.type.base === '' && statement.type.of === undefined;
    const initial = value === undefined ? undefined : this.value(value);
    const type = auto && initial !== undefined ? this.typeOf(initial) : this.type(statement.type);
    if (type.kind !== 'int') {
      if (initial === undefined) throw new Unfollowable(`${name} has no value`);
      this.cells.delete(name);
      this.locals.set(
        name,
        mapped(auto ? initial : this.cast(initial, type), (get) => this.counted(get)),
      );
      return [];
    }
    const cell: { readonly type: IntType; value: Wide } = { type, value: 0 };
    this.cells.set(name, cell);
    this.locals.set(
      name,
      type.size === 8
        ? { kind: 'wide', type, get: () => cell.value }
        : { kind: 'narrow', type, get: () => Number(cell.value) },
    );
    if (initial === undefined) return [];
    const { get } = convert(asInteger(initial), type);
    return [
      (record) => {
        cell.value = get(record);
      },
    ];
  }
}

/** What is never chosen counts for the type only, and need not be followed. */
function decided(chosen: Value, never: () => Value): Value {
  if (!isInteger(chosen)) return chosen;
  try {
    const other = never();
    return isInteger(other) ? convert(chosen, common(chosen.type, other.type)) : chosen;
  } catch (error) {
    if (error instanceof Unfollowable) return chosen;
    throw error;
  }
}

function pointerOf(value: Integer, to: CType): Value {
  const { get } = value;
  return value.constant === undefined
    ? { kind: 'pointer', to, get, ...(value.kind === 'wide' && stands(value.offset)) }
    : { kind: 'pointer', to, get, constant: value.constant };
}

function either(is: (record: EventRecord) => boolean, one: Place, other: Place): Place {
  const limit = (place: Place) => place.end ?? ((record: EventRecord) => record.start + record.length);
  const a = limit(one);
  const b = limit(other);
  return {
    kind: 'place',
    to: one.to,
    at: (record) => (is(record) ? one.at(record) : other.at(record)),
    end: (record) => (is(record) ? a(record) : b(record)),
    size: undefined,
  };
}

/** A value that has steps before it. */
function after(steps: readonly ((record: EventRecord) => unknown)[], value: Value): Value {
  if (steps.length === 0) return value;
  return mapped(value, (get) => (record) => {
    for (const step of steps) step(record);
    return get(record);
  });
}

type Wrap = <T>(get: (record: EventRecord) => T) => (record: EventRecord) => T;

/** A value that is had in another way. */
function mapped(value: Value, wrap: Wrap): Value {
  switch (value.kind) {
    case 'narrow':
      return { kind: 'narrow', type: value.type, get: wrap(value.get) };
    case 'wide':
      return { kind: 'wide', type: value.type, get: wrap(value.get) };
    case 'pointer':
      return { kind: 'pointer', to: value.to, get: wrap(value.get) };
    case 'text':
      return { kind: 'text', get: wrap(value.get) };
    case 'place':
      return { ...value, at: wrap(value.at) };
    default:
      return value;
  }
}

/** `pid` of `REC->pid`, `ent.pid` of `REC->ent.pid`; undefined: it is no member of the record. */
function recordPath(expression: Extract<Expression, { kind: 'member' }>): string | undefined {
  const { object, name } = expression;
  if (object.kind === 'name' && (object.name === 'REC' || object.name === '__entry')) return name;
  if (object.kind === 'member') {
    const path = recordPath(object);
    return path === undefined ? undefined : `${path}.${name}`;
  }
  return undefined;
}
