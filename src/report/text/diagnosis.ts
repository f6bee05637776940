import { isAbsence } from '../absence.js';
import type { Absence } from '../schema/common.js';
import type {
  CpuStackReport,
  MemoryReport,
  ModuleRow,
  SignatureDocument,
  SignatureReport,
  TasksReport,
} from '../schema/diagnosis.js';
import type { GuestLine } from '../schema/guests.js';
import type { Report } from '../schema/report.js';
import { counted, humanBytes, humanDuration, Page, printable, type TextOptions } from './page.js';
import { stackBrief, stackLines } from './stack.js';

/** Why it died, who says so, and what this crash is known by. */
export function* causeText(page: Page, { cause, signature }: Report): Generator<string> {
  // The headline says already that nothing happened.
  if (isAbsence(cause) || (cause.evidence.length === 0 && isAbsence(signature))) return;
  yield* page.heading('Cause');
  yield* page.prose(sentence(cause.text));
  yield* page.table(
    cause.evidence.map(({ source, text, agrees }) => ({
      cells: [agrees ? '' : 'but', source, text],
      paint: (cell: string, column: number) =>
        !agrees ? page.paint.yellow(cell) : column === 1 ? page.paint.dim(cell) : cell,
    })),
  );
  if (!isAbsence(signature)) {
    yield* page.pairs([['signature', `${signature.id}  ${signature.title}`]]);
  } else if (signature.code !== null) {
    yield* page.pairs([['signature', `none: ${signature.absent}`]]);
  }
}

/** A text that is not a sentence yet, as one. */
export function sentence(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;
}

/** The stack that it died on in full, the others' in brief. */
export function* cpuStacksText(page: Page, { stacks }: Report): Generator<string> {
  if (isAbsence(stacks)) {
    yield* missing(page, 'Stacks', stacks);
    return;
  }
  const [first, ...others] = stacks;
  if (first?.crashed) {
    yield* page.heading('Stack', `of ${taskOf(first)}, which it died in, on CPU ${first.cpu}; unwound`);
    yield* stackLines(page, first.stack);
  }
  const rest = first?.crashed ? others : stacks;
  if (rest.length === 0) return;
  yield* page.heading(first?.crashed ? 'Other CPUs' : 'Stacks', 'what they were running; in full: exhume bt --all');
  for (const one of rest.slice(0, MOST_CPUS)) {
    yield `  ${page.paint.bold(`CPU ${one.cpu}`)}  ${printable(taskOf(one))}`;
    yield* stackBrief(page, one.stack, '    ');
  }
  if (rest.length > MOST_CPUS)
    yield page.paint.dim(`  … ${counted(rest.length - MOST_CPUS, 'more CPU')}; all: exhume bt --all`);
}

const MOST_CPUS = 16;
const MOST_GROUPS = 8;
const MOST_NAMES = 6;

function taskOf({ task }: CpuStackReport): string {
  return task === null ? 'a task that cannot be told' : `${task.comm} (pid ${task.pid})`;
}

/** Who waits, and in what. */
export function* blockedText(page: Page, { blocked }: Report): Generator<string> {
  if (isAbsence(blocked) || blocked.groups.length === 0) return;
  const all = blocked.groups.reduce((sum, { tasks }) => sum + tasks.length, blocked.further);
  yield* page.heading(
    'Blocked',
    `${counted(all, 'task')} in D state for over ${blocked.seconds} s, by what they wait in`,
  );
  for (const { tasks, stack } of blocked.groups.slice(0, MOST_GROUPS)) {
    const names = tasks.slice(0, MOST_NAMES).map(({ comm, pid }) => `${comm} (${pid})`);
    const more = tasks.length > MOST_NAMES ? ` and ${tasks.length - MOST_NAMES} more` : '';
    const longest =
      tasks[0] === undefined ? '' : `, ${tasks.length > 1 ? 'up to ' : ''}${humanDuration(tasks[0].seconds)}`;
    yield* page.prose(`${names.join(', ')}${more}${longest}`);
    yield* stackBrief(page, stack, '    ');
  }
  if (blocked.further > 0)
    yield page.paint.dim(`  … ${counted(blocked.further, 'more task')} whose stacks were not looked at`);
  const left = blocked.groups.length - MOST_GROUPS;
  if (left > 0) yield page.paint.dim(`  … ${counted(left, 'more group')}; all: exhume report --json`);
}

/** `tasks`, `memory` and `modules`, a line each. */
export function surroundingsPairs({ tasks, memory, modules, blocked, guests }: Report): (readonly [string, string])[] {
  const waiting = isAbsence(blocked) ? 0 : blocked.waiting;
  return [
    ['tasks', isAbsence(tasks) ? tasks.absent : tasksInWords(tasks, waiting)],
    ['memory', isAbsence(memory) ? memory.absent : memoryLine(memory)],
    ['modules', isAbsence(modules) ? modules.absent : modulesInWords(modules)],
    ...guests.map((guest, i) => [i === 0 ? 'guests' : '', guestInWords(guest)] as const),
  ];
}

function guestInWords({ index, name, pid, cpus, memoryBytes, refused }: GuestLine): string {
  const parts = [
    `${index} ${name}: ${counted(cpus, 'CPU')}, ${humanBytes(memoryBytes)}`,
    pid === null ? '' : `, pid ${pid}`,
    refused === null ? '' : `; ${refused}`,
  ];
  return parts.join('');
}

function tasksInWords({ total, kernelThreads, states }: TasksReport, waiting: number): string {
  const byState = states.map(({ count, words }) => `${count} ${words}`).join(', ');
  const note = waiting === 0 ? '' : `; ${waiting} in D`;
  return `${total}, of which ${counted(kernelThreads, 'kernel thread')}: ${byState}${note}`;
}

function memoryLine({ text, total, available, swapTotal, swapFree, largest }: MemoryReport): string {
  const amounts = total === null || available === null ? '' : ` (${humanBytes(available)} of ${humanBytes(total)})`;
  const swap =
    swapTotal === null || swapTotal === 0
      ? '; no swap'
      : `; ${swapFree === null ? 'some' : humanBytes(swapFree)} of ${humanBytes(swapTotal)} swap free`;
  const most = largest.slice(0, 3).map(({ comm, pid, resident }) => `${comm} (${pid}) ${humanBytes(resident)}`);
  return `${text}${amounts}${swap}${most.length === 0 ? '' : `; largest: ${most.join(', ')}`}`;
}

const MOST_MODULES = 8;

function modulesInWords(modules: readonly ModuleRow[]): string {
  if (modules.length === 0) return 'none loaded';
  const special = modules.filter(({ taints, onStack }) => taints !== '' || onStack);
  const told = special.slice(0, MOST_MODULES).map(({ name, taints, onStack }) => {
    return `${name}${taints === '' ? '' : ` (${taints})`}${onStack ? ', on the stack' : ''}`;
  });
  const more = special.length > MOST_MODULES ? [`${special.length - MOST_MODULES} more`] : [];
  const rest = special.length === 0 ? ', none of which taints the kernel' : `: ${[...told, ...more].join('; ')}`;
  return `${modules.length}${rest}`;
}

function* missing(page: Page, title: string, { absent, hint, code }: Absence): Generator<string> {
  if (code === 'EXH_NO_KERNEL' || code === 'EXH_UNKNOWN_ARCHITECTURE') return;
  yield* page.heading(title);
  yield* page.prose(absent);
  if (hint !== null) yield* page.prose(hint);
}

/** The signature on the first line, alone, for scripts; below it what it was derived from. */
export function* signatureText({ signature }: SignatureDocument, options: TextOptions): Generator<string> {
  const page = new Page(options);
  if (isAbsence(signature)) {
    yield `no signature: ${printable(signature.absent)}`;
    return;
  }
  yield signature.id;
  yield* derivation(page, signature);
}

export function* derivation(page: Page, signature: SignatureReport): Generator<string> {
  const source = {
    log: "the log's call trace",
    stack: 'the stack of the CPU that died, unwound',
    tasks: 'the stack of the task that the hang comes from, unwound',
  }[signature.source];
  yield* page.pairs([
    ['title', signature.title],
    ['rules', `version ${signature.version}: docs/signature.md`],
    ['group', signature.group],
    ['frames from', source],
  ]);
  const rows = [
    ...signature.frames.map((frame) => ['+', frame, '']),
    ...(signature.message === null ? [] : [['+', signature.message, 'the words, as no function tells it']]),
    ...signature.dropped.map(({ frame, why }) => ['-', frame, why]),
  ];
  yield* page.table(
    rows.slice(0, MOST_ROWS).map((cells) => ({ cells, paint: cells[0] === '-' ? page.paint.dim : undefined })),
  );
  const left = rows.length - MOST_ROWS;
  if (left > 0) yield page.paint.dim(`  … ${left} more were left out`);
  if (signature.further > 0) yield page.paint.dim(`  ${counted(signature.further, 'frame')} further out not needed`);
}

const MOST_ROWS = 60;
