import type { PsReport, TaskReport } from '../schema/ps.js';
import { humanDuration, Page, printable, type TextOptions } from './page.js';
import { clockTime, elapsed, taskHeader } from './task.js';

/** How `ps` lays its answer out; crash's options. */
export type PsStyle = 'table' | 'stack' | 'times' | 'lastRun' | 'sinceLastRun' | 'summary' | 'programs' | 'limits';

/** @param headed with the names of the columns */
export function* psText(model: PsReport, style: PsStyle, options: TextOptions, headed = true): Generator<string> {
  if (model.relation !== null) yield* relatives(model);
  else if (style === 'summary') yield* summary(model);
  else if (style === 'times') yield* times(model);
  else if (style === 'lastRun' || style === 'sinceLastRun') yield* lastRuns(model, style);
  else if (style === 'programs') yield* programs(model);
  else if (style === 'limits') yield* limits(model);
  else yield* table(model, style === 'stack', new Page(options), headed);
  for (const selector of model.unmatched) yield `no task is ${printable(selector)}`;
}

function* table({ tasks }: PsReport, stack: boolean, page: Page, headed: boolean): Generator<string> {
  const head = `      PID    PPID  CPU       ${stack ? 'KSTACKP' : 'TASK   '}     ST  %MEM      VSZ      RSS  COMM`;
  if (headed) yield page.paint.bold(head);
  for (const task of tasks) {
    const line = tableLine(task, stack);
    yield task.state.letter === 'D' ? page.paint.yellow(line) : line;
  }
}

function tableLine(task: TaskReport, stack: boolean): string {
  const { pid, ppid, cpu, state, memory, kernelThread, active, blocked } = task;
  const kib = (bytes: number | undefined): string => (bytes === undefined ? '?' : String(Math.floor(bytes / 1024)));
  const percent = memory?.percent;
  const comm = printable(task.comm);
  return [
    `${active ? '>' : ' '}${String(pid).padStart(8)}`,
    String(ppid ?? '?').padStart(7),
    String(cpu).padStart(3),
    ` ${address(stack ? task.stackPointer : task.task)}`,
    ` ${state.code}`,
    (percent === null || percent === undefined ? '?' : percent.toFixed(1)).padStart(5),
    kib(memory?.virtual).padStart(8),
    kib(memory?.resident).padStart(8),
    ` ${kernelThread ? `[${comm}]` : comm}`,
    ...(blocked === null ? [] : [` (blocked for ${humanDuration(blocked.nanoseconds / 1e9)})`]),
  ].join(' ');
}

function address(hex: string | null): string {
  return hex === null ? '       --       ' : hex.slice(2).padStart(16, '0');
}

function* times({ tasks }: PsReport): Generator<string> {
  for (const task of tasks) {
    yield taskHeader(task);
    yield `    RUN TIME: ${task.runTime === null ? '?' : clockTime(Math.max(0, task.runTime) / 1e9)}`;
    yield `  START TIME: ${task.startTime}`;
    yield `       UTIME: ${task.userTime}`;
    yield `       STIME: ${task.systemTime}`;
    yield '';
  }
}

function* lastRuns({ tasks }: PsReport, style: PsStyle): Generator<string> {
  const stamp = ({ lastRun, sinceLastRun }: TaskReport): string =>
    style === 'lastRun' ? `[${lastRun ?? '?'}]` : sinceLastRun === null ? '[?]' : elapsed(Math.max(0, sinceLastRun));
  const width = Math.max(0, ...tasks.map((task) => stamp(task).length));
  for (const task of tasks) yield `${stamp(task).padStart(width)} [${task.state.code}]  ${taskHeader(task)}`;
}

function* summary({ states }: PsReport): Generator<string> {
  for (const { code, count } of states) yield `  ${code}: ${count}`;
}

function* programs({ programs: tasks }: PsReport): Generator<string> {
  for (const { of, arguments: words, environment, absent } of tasks) {
    yield taskHeader(of);
    if (words === null) {
      yield absent === null ? 'ps: no user stack' : `(not to be had: ${printable(absent)})`;
    } else {
      yield `ARG: ${words.map(printable).join(' ')}`;
      const [first = '', ...others] = environment ?? [];
      yield `ENV: ${printable(first)}`;
      for (const other of others) yield `     ${printable(other)}`;
    }
    yield '';
  }
}

function* limits({ limits: tasks }: PsReport): Generator<string> {
  for (const { of, limits: all } of tasks) {
    yield taskHeader(of);
    yield `${'RLIMIT'.padStart(12)}   ${centred('CURRENT')}   ${centred('MAXIMUM')}`.trimEnd();
    for (const { name, current, maximum } of all) {
      yield `${name.padStart(12)}   ${centred(current ?? UNLIMITED)}   ${centred(maximum ?? UNLIMITED)}`.trimEnd();
    }
    yield '';
  }
}

const UNLIMITED = '(unlimited)';

function centred(text: string): string {
  return text.padStart(Math.floor((UNLIMITED.length + text.length) / 2)).padEnd(UNLIMITED.length);
}

function* relatives({ relation, relatives: groups }: PsReport): Generator<string> {
  for (const { of, tasks } of groups) {
    const order = relation === 'parents' ? [...tasks, of] : [of, ...tasks];
    for (const [index, task] of order.entries()) {
      const indent = relation === 'parents' ? ' '.repeat(index) : index === 0 ? '' : '  ';
      yield indent + taskHeader(task);
    }
    if (tasks.length === 0)
      yield { parents: '', children: '  (no children)', threads: '  (no threads)' }[relation ?? 'parents'];
    yield '';
  }
}
