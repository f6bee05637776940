import type { BtReport, FrameReport, StackReport, StackWordReport } from '../schema/bt.js';
import { digits16, Page, printable, type TextOptions } from './page.js';

export interface BtTextOptions {
  /** Functions with offsets, as crash's `bt -s`. */
  readonly offsets?: boolean | undefined;
  /** Words of stacks as what they are the address of. */
  readonly symbols?: boolean | undefined;
}

/** Stacks as crash's `bt` lays them out, with a word beside what is guessed. */
export function* btText(
  { stacks, unmatched }: BtReport,
  text: TextOptions,
  options: BtTextOptions = {},
): Generator<string> {
  const page = new Page(text);
  for (const [index, stack] of stacks.entries()) {
    if (index > 0) yield '';
    yield heading(page, stack);
    if (stack.stale !== null) yield page.paint.yellow(`    (registers may be old: ${printable(stack.stale)})`);
    if (stack.raw !== null) {
      yield* wordLines(stack.raw, { symbols: true, caches: options.symbols ?? false }, '');
      continue;
    }
    yield* stack.candidates === null ? frames(page, stack, options) : candidates(page, stack);
    if (stack.candidates === null && stack.frames[0]?.kind === 'user') {
      yield page.paint.dim('    (in user mode: the kernel stack is empty)');
    }
    if (stack.frames.length === 0 && stack.end === 'bottom') yield '(no stack)';
    if (stack.end === 'lost') {
      const why = stack.problems.at(-1) ?? 'it does not lead to its end';
      yield page.paint.yellow(`    (it cannot be followed further: ${printable(why)})`);
    }
  }
  for (const selector of unmatched) yield page.paint.yellow(`no such task: ${printable(selector)}`);
}

function heading(page: Page, { pid, task, cpu, comm, panicked }: StackReport): string {
  const line = `PID: ${String(pid).padEnd(7)}  TASK: ${digits16(task)}  CPU: ${String(cpu).padEnd(3)}  COMMAND: "${printable(comm)}"`;
  return panicked ? `${page.paint.bold(line)}  ${page.paint.red('died here')}` : page.paint.bold(line);
}

function* frames(page: Page, stack: StackReport, options: BtTextOptions): Generator<string> {
  let number = 0;
  let on: string | null = null;
  for (const frame of stack.frames) {
    if (frame.kind === 'user') {
      yield* registers(frame);
      continue;
    }
    // As in crash: what was interrupted belongs to the stack that the interruption is on.
    if (frame.kind === 'call' && on !== null && frame.stack !== on) yield page.paint.dim(`--- <${on} stack> ---`);
    if (frame.kind === 'interrupted') {
      yield `    [exception RIP: ${functionOf(frame, true)}]${remarks(page, frame)}`;
      yield* source(frame);
      yield* registers(frame);
      yield* wordLines(frame.words ?? [], options);
      if (on === null) on = label(frame);
      continue;
    }
    on = label(frame);
    const head = `${`#${number++}`.padStart(3)} [${digits16(frame.slot ?? frame.sp)}]`;
    yield `${head} ${functionOf(frame, options.offsets ?? false)} at ${digits16(frame.address)}${remarks(page, frame)}`;
    yield* source(frame);
    yield* wordLines(frame.words ?? [], options);
  }
}

/** As crash's `bt -l`. */
function* source({ line }: FrameReport): Generator<string> {
  if (line !== null) yield `    ${printable(line.file)}: ${line.line}`;
}

interface WordStyle {
  readonly symbols?: boolean | undefined;
  readonly caches?: boolean | undefined;
}

/** Two words to a line, as crash has them. */
function* wordLines(words: readonly StackWordReport[], style: WordStyle, indent = '    '): Generator<string> {
  for (let index = 0; index < words.length; index += 2) {
    const [first, second] = words.slice(index, index + 2);
    if (first === undefined) return;
    const pair = [first, ...(second === undefined ? [] : [second])].map((word) => wordText(word, style));
    yield `${indent}${digits16(first.slot)}: ${pair.map((text) => text.padEnd(16)).join(' ')}`.trimEnd();
  }
}

function wordText({ value, symbol, cache }: StackWordReport, { symbols, caches = symbols }: WordStyle): string {
  if (value === null) return '(not there)';
  if (symbols && symbol !== null) return printable(symbol);
  return caches && cache !== null ? `[${digits16(value)}:${printable(cache)}]` : digits16(value);
}

/** The task's own stack has no line of its own. */
function label({ stack }: FrameReport): string | null {
  return stack === 'task' ? null : stack;
}

function functionOf({ symbol, offset }: FrameReport, offsets: boolean): string {
  if (symbol === null) return offsets ? 'unknown or invalid address' : '(unknown)';
  return printable(offsets ? `${symbol}+${offset}` : symbol);
}

function remarks(page: Page, { module, confidence, replacedBy }: FrameReport): string {
  const words = [
    ...(module === null ? [] : [`[${printable(module)}]`]),
    ...(replacedBy === null ? [] : [page.paint.dim(`(traced by ${replacedBy})`)]),
    ...(confidence === 'guessed' ? [page.paint.yellow('(guessed)')] : []),
  ];
  return words.map((word) => ` ${word}`).join('');
}

/** Three to a line, in crash's order; what was not saved is left out. */
function* registers(frame: FrameReport): Generator<string> {
  const values = new Map((frame.registers ?? []).map(({ name, value }) => [name, value]));
  for (const row of ROWS) {
    const cells = row.flatMap((name) => {
      const value = values.get(name);
      if (value === undefined) return [];
      const digits = digits16(value);
      return `${name.toUpperCase().padStart(name.startsWith('r') ? 3 : 0)}: ${SHORT.has(name) ? digits.slice(SHORT.get(name)) : digits}`;
    });
    if (cells.length > 0) yield `    ${cells.join('  ')}`;
  }
}

const ROWS: readonly (readonly string[])[] = [
  ['rip', 'rsp', 'rflags'],
  ['rax', 'rbx', 'rcx'],
  ['rdx', 'rsi', 'rdi'],
  ['rbp', 'r8', 'r9'],
  ['r10', 'r11', 'r12'],
  ['r13', 'r14', 'r15'],
  ['orig_rax', 'cs', 'ss'],
];
/** Digits that crash leaves out in front. */
const SHORT: ReadonlyMap<string, number> = new Map([
  ['rflags', 8],
  ['cs', 12],
  ['ss', 12],
]);

function* candidates(page: Page, stack: StackReport): Generator<string> {
  const [first] = stack.frames;
  if (first !== undefined && first.kind !== 'user') {
    yield `              START: ${functionOf(first, false)} at ${digits16(first.address)}`;
  }
  for (const { slot, address, symbol, offset, module, inFrame } of stack.candidates ?? []) {
    const name = symbol === null ? '(unknown)' : `${printable(symbol)}+${offset}`;
    const of = module === null ? '' : ` [${printable(module)}]`;
    yield `  [${digits16(slot)}] ${name} at ${digits16(address)}${of}${inFrame ? '' : page.paint.dim(' ?')}`;
  }
  const user = stack.frames.at(-1);
  if (user?.kind === 'user') yield* registers(user);
}
