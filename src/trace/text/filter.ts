import { ExhumeError } from '../../bytes/errors.js';
import type { EventFormat, Trace, TraceEvent } from '../model.js';
import { type FieldReader, fieldReader, unsigned64 } from '../print/fields.js';
import { type FilterNode, type FilterOperator, parseFilter } from './filter-syntax.js';
import { commOf } from './line-front.js';

/** Does an event pass? */
export type EventTest = (event: TraceEvent) => boolean;

/** Which events are wanted. All that is given must hold. */
export interface EventSelection {
  /** Names or globs: `sched_switch`, `sched:*`, `irq/*`, `*`. */
  readonly events?: readonly string[] | undefined;
  readonly pids?: readonly number[] | undefined;
  /** Names or globs of tasks. */
  readonly comms?: readonly string[] | undefined;
  /** In units of the buffer's clock. */
  readonly since?: bigint | undefined;
  readonly until?: bigint | undefined;
  /** Filters in the kernel's syntax, each with or without a glob of events in front: `sched_*: prev_pid == 1`. One must hold. */
  readonly filters?: readonly string[] | undefined;
}

/**
 * The test of a selection. Throws EXH_USAGE when a filter cannot be understood, or names a field that no event has.
 * @param base what the events' times count from
 */
export function eventTest(trace: Trace, selection: EventSelection, base: bigint): EventTest {
  const { events, pids, comms, since, until, filters } = selection;
  const tests: EventTest[] = [];
  if (since !== undefined || until !== undefined) {
    const from = since === undefined ? Number.NEGATIVE_INFINITY : Number(since - base);
    const to = until === undefined ? Number.POSITIVE_INFINITY : Number(until - base);
    tests.push(({ time }) => time >= from && time <= to);
  }
  if (pids !== undefined) {
    const wanted = new Set(pids);
    tests.push(({ pid }) => wanted.has(pid));
  }
  if (comms !== undefined) {
    const match = anyGlob(comms);
    tests.push(
      kept(
        ({ pid }) => pid,
        (pid) => match(commOf(trace, pid)),
      ),
    );
  }
  if (events !== undefined) {
    const match = eventGlobs(events);
    tests.push(
      kept(
        ({ type }) => type,
        (type) => isWanted(trace, type, match),
      ),
    );
  }
  if (filters !== undefined && filters.length > 0) tests.push(filterTest(trace, filters));
  const [first, second] = tests;
  if (first === undefined) return () => true;
  if (second === undefined) return first;
  return (event) => tests.every((test) => test(event));
}

/** What was decided once for a number is not decided again. */
function kept(keyOf: (event: TraceEvent) => number, decide: (key: number) => boolean): EventTest {
  const known = new Map<number, boolean>();
  return (event) => {
    const key = keyOf(event);
    let answer = known.get(key);
    if (answer === undefined) {
      answer = decide(key);
      if (known.size < 1 << 16) known.set(key, answer);
    }
    return answer;
  };
}

function isWanted({ formats }: Trace, type: number, match: (format: EventFormat) => boolean): boolean {
  const format = formats.byId(type);
  return format !== undefined && match(format);
}

/** `sched_switch`, `sched:sched_switch`, `sched/*`. */
function eventGlobs(globs: readonly string[]): (format: EventFormat) => boolean {
  const tests = globs.map((glob) => {
    const [, system, name] = /^([^:/]*)[:/](.*)$/.exec(glob) ?? [undefined, undefined, glob];
    const matchSystem = globTest(system === undefined || system === '' ? '*' : system);
    const matchName = globTest(name === undefined || name === '' ? '*' : name);
    return (format: EventFormat) => matchSystem(format.system) && matchName(format.name);
  });
  return (format) => tests.some((test) => test(format));
}

function anyGlob(globs: readonly string[]): (text: string) => boolean {
  const tests = globs.map(globTest);
  return (text) => tests.some((test) => test(text));
}

/** A glob as the kernel's filters know it: `*`, `?`, `[a-z]`, `[!a]`. */
export function globTest(glob: string): (text: string) => boolean {
  const pattern = glob.replace(/\[(!?)([^\]]+)\]|[\s\S]/g, (one, not: string | undefined, set: string | undefined) => {
    if (set !== undefined) return `[${not === '!' ? '^' : ''}${set.replace(/[\\\]^]/g, '\\$&')}]`;
    if (one === '*') return '[\\s\\S]*';
    return one === '?' ? '[\\s\\S]' : one.replace(/[.+^${}()|[\]\\/-]/g, '\\$&');
  });
  let regex: RegExp;
  try {
    regex = new RegExp(`^${pattern}$`);
  } catch {
    throw new ExhumeError('EXH_USAGE', `filter: "${glob}" is no pattern`, { found: glob });
  }
  return (text) => regex.test(text);
}

function filterTest(trace: Trace, texts: readonly string[]): EventTest {
  const filters = texts.map((text) => {
    const [, globs, rest] = /^\s*([\w*?:/,[\]-]+)\s*:\s+(.*)$/s.exec(text) ?? [undefined, undefined, text];
    return { node: parseFilter(rest ?? ''), match: globs === undefined ? () => true : eventGlobs(globs.split(',')) };
  });
  for (const { node, match } of filters) requireFields(trace, node, match);
  const byType = new Map<number, EventTest>();
  return (event) => {
    let test = byType.get(event.type);
    if (test === undefined) {
      test = testOfKind(trace, event.type, filters);
      byType.set(event.type, test);
    }
    return test(event);
  };
}

function testOfKind(
  trace: Trace,
  type: number,
  filters: readonly { readonly node: FilterNode; readonly match: (format: EventFormat) => boolean }[],
): EventTest {
  const format = trace.formats.byId(type);
  const tests: EventTest[] = [];
  for (const { node, match } of filters) {
    const test = format !== undefined && match(format) ? compile(trace, format, node) : undefined;
    if (test !== undefined) tests.push(test);
  }
  return (event) => tests.some((test) => test(event));
}

/** A misspelt field must not look like a filter that nothing passes. */
function requireFields(trace: Trace, node: FilterNode, match: (format: EventFormat) => boolean): void {
  const some = trace.formats.all.some((format) => match(format) && compile(trace, format, node) !== undefined);
  if (some) return;
  throw new ExhumeError('EXH_USAGE', `filter: no event has ${fieldsIn(node).join(' and ')}`, {
    hint: 'exhume trace --list shows the events and their fields',
  });
}

function fieldsIn(node: FilterNode): string[] {
  if (node.kind === 'test') return [`the field ${node.field}`];
  return [...new Set(node.kind === 'not' ? fieldsIn(node.of) : [...fieldsIn(node.left), ...fieldsIn(node.right)])];
}

/** The test of a filter for one kind of event; undefined when it lacks a field that the filter names. */
function compile(trace: Trace, format: EventFormat, node: FilterNode): EventTest | undefined {
  if (node.kind === 'test') return compileTest(trace, format, node);
  if (node.kind === 'not') {
    const of = compile(trace, format, node.of);
    return of && ((event) => !of(event));
  }
  const left = compile(trace, format, node.left);
  const right = compile(trace, format, node.right);
  if (left === undefined || right === undefined) return undefined;
  return node.kind === 'and' ? (event) => left(event) && right(event) : (event) => left(event) || right(event);
}

type Test = Extract<FilterNode, { kind: 'test' }>;

function compileTest(trace: Trace, format: EventFormat, test: Test): EventTest | undefined {
  const { field: name, value, operator } = test;
  const field = format.fields.find((one) => one.name === name) ?? trace.formats.common.find((one) => one.name === name);
  if (field === undefined) {
    // Names that every event has beside its fields.
    if (name === 'COMM' || name === 'comm') return textTest(({ pid }) => commOf(trace, pid), test);
    if (name === 'CPU' || name === 'cpu') return numberTest(({ cpu }) => cpu, test, 4, false);
    return undefined;
  }
  const reader = fieldReader(field, trace.littleEndian, trace.longSize);
  if (test.suffix === 'ustring') throw unsupported(test, 'what a user-space pointer led to is not in a trace');
  if (test.suffix === 'function') return functionTest(trace, reader, test);
  if (reader.kind === 'string') return textTest((event) => String(reader.read(event)), test);
  if (/cpumask_t/.test(field.type)) return maskTest(reader, test);
  if (reader.kind === 'bytes') throw unsupported(test, `${name} is neither a number nor text`);
  if (value.startsWith('CPUS{')) return cpusTest((event) => reader.number(event), operator, value, test);
  return numberTest((event) => reader.read(event) as number | bigint, test, field.size, field.signed);
}

function textTest(read: (event: TraceEvent) => string, test: Test): EventTest {
  const { operator, value } = test;
  if (operator === '~') {
    const match = globTest(value);
    return (event) => match(read(event));
  }
  if (operator === '==') return (event) => read(event) === value;
  if (operator === '!=') return (event) => read(event) !== value;
  throw unsupported(test, `text is compared by ==, != and ~`);
}

function functionTest(trace: Trace, reader: FieldReader, test: Test): EventTest {
  const { operator, value } = test;
  if (operator !== '==' && operator !== '!=') throw unsupported(test, 'functions are compared by == and !=');
  const inside = (event: TraceEvent): boolean => {
    const address = unsigned64(reader, event);
    const hit = trace.names.symbol(address);
    if (hit === undefined) return false;
    return hit.symbol.name === value || (/^0x/.test(value) && address - BigInt(hit.offset) === hitStart(value, trace));
  };
  return operator === '==' ? inside : (event) => !inside(event);
}

/** Where the function begins that an address lies in. */
function hitStart(value: string, trace: Trace): bigint | undefined {
  return trace.names.symbol(BigInt(value))?.symbol.address;
}

function numberTest(
  read: (event: TraceEvent) => number | bigint,
  test: Test,
  size: number,
  signed: boolean,
): EventTest {
  const { operator, value } = test;
  if (value.startsWith('CPUS{')) return cpusTest((event) => Number(read(event)), operator, value, test);
  const wide = wanted(value, test);
  const exact = signed ? BigInt.asIntN(size * 8, wide) : BigInt.asUintN(size * 8, wide);
  // Numbers and bigints compare exactly with each other; only equality of a number must not meet a bigint.
  const limit = exact >= -(2n ** 53n) && exact <= 2n ** 53n ? Number(exact) : exact;
  switch (operator) {
    case '==':
      return (event) => read(event) === limit;
    case '!=':
      return (event) => read(event) !== limit;
    case '<':
      return (event) => read(event) < limit;
    case '<=':
      return (event) => read(event) <= limit;
    case '>':
      return (event) => read(event) > limit;
    case '>=':
      return (event) => read(event) >= limit;
    case '&':
      return (event) => (BigInt(read(event)) & exact) !== 0n;
    default:
      throw unsupported(test, 'numbers are compared by ==, !=, <, <=, >, >= and &');
  }
}

function wanted(value: string, test: Test): bigint {
  const [, minus, digits = ''] = /^(-?)(.*)$/.exec(value) ?? [];
  // As kstrtoull() with base 0: 0x10, 010, 10.
  const text = /^0[0-7]+$/.test(digits) ? `0o${digits.slice(1)}` : digits;
  if (!/^(0x[\da-f]+|0o[0-7]+|\d+)$/i.test(text)) throw unsupported(test, `"${value}" is no number`);
  return minus === '-' ? -BigInt(text) : BigInt(text);
}

/** `CPUS{0-3,8}`. */
function cpuSet(value: string, test: Test): ReadonlySet<number> {
  const cpus = new Set<number>();
  for (const part of value.slice('CPUS{'.length, -1).split(',')) {
    const [, first, last] = /^\s*(\d{1,5})(?:-(\d{1,5}))?\s*$/.exec(part) ?? [];
    if (first === undefined) throw unsupported(test, `"${value}" is no list of CPUs`);
    for (let cpu = Number(first); cpu <= Number(last ?? first); cpu++) cpus.add(cpu);
  }
  return cpus;
}

function cpusTest(read: (event: TraceEvent) => number, operator: FilterOperator, value: string, test: Test): EventTest {
  const cpus = cpuSet(value, test);
  if (operator === '&') return (event) => cpus.has(read(event));
  if (operator === '==') return (event) => cpus.size === 1 && cpus.has(read(event));
  if (operator === '!=') return (event) => cpus.size !== 1 || !cpus.has(read(event));
  throw unsupported(test, 'sets of CPUs are compared by ==, != and &');
}

function maskTest(reader: FieldReader, test: Test): EventTest {
  const cpus = cpuSet(test.value.startsWith('CPUS{') ? test.value : `CPUS{${test.value}}`, test);
  const shared = (event: TraceEvent): number => {
    const bytes = reader.read(event);
    if (!(bytes instanceof Uint8Array)) return 0;
    let count = 0;
    for (const cpu of cpus) if (((bytes[cpu >> 3] ?? 0) >> (cpu & 7)) & 1) count++;
    return count;
  };
  const set = (event: TraceEvent): number => {
    const bytes = reader.read(event);
    if (!(bytes instanceof Uint8Array)) return 0;
    return bytes.reduce((sum, byte) => sum + bitsOf(byte & 15) + bitsOf(byte >> 4), 0);
  };
  const equal: EventTest = (event) => shared(event) === cpus.size && set(event) === cpus.size;
  if (test.operator === '&') return (event) => shared(event) > 0;
  if (test.operator === '==') return equal;
  if (test.operator === '!=') return (event) => !equal(event);
  throw unsupported(test, 'sets of CPUs are compared by ==, != and &');
}

const BITS = [0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4];

function bitsOf(nibble: number): number {
  return BITS[nibble] ?? 0;
}

function unsupported({ field, operator, value }: Test, why: string): ExhumeError {
  return new ExhumeError('EXH_USAGE', `filter: ${field} ${operator} ${value}: ${why}`, { found: value });
}
