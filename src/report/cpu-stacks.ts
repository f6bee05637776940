import { hex } from '../bytes/address.js';
import { ExhumeError } from '../bytes/errors.js';
import type { Frame } from '../kernel/diagnosis/frame.js';
import { groupByStack } from '../kernel/diagnosis/shared-stacks.js';
import type { KernelView } from '../kernel/kernel-view.js';
import { queueClocks } from '../kernel/scheduling/run-queue.js';
import type { Stack, StackFrame } from '../kernel/stacks/frame.js';
import type { Stacks, TaskStack } from '../kernel/stacks/stacks.js';
import { blockedSince } from '../kernel/tasks/blocked.js';
import type { Task } from '../kernel/tasks/task.js';
import { absence, isAbsence } from './absence.js';
import { type Inside, orAbsence } from './inside.js';
import type { Absence } from './schema/common.js';
import type { BlockedReport, CpuStackReport, FrameReport, StackReport } from './schema/diagnosis.js';
import type { TaskName } from './schema/ps.js';

/** Who waits for longer than this is told of: the kernel's own `hung_task_timeout_secs`, as it comes. */
const LONG_SECONDS = 120;
/** So many stacks are looked at, the longest waiters' first: a thousand tasks that wait for one thing tell as much as all. */
export const MOST_STACKS = 1000;

/** The stack of each CPU's task, that of the CPU on which the kernel died first. */
export function cpuStacks(inside: Inside, died: number | undefined): CpuStackReport[] | Absence {
  const { stacks } = inside;
  if (isAbsence(stacks)) return stacks;
  const cpus = orAbsence(() => stacks.cpus());
  if (isAbsence(cpus)) return cpus;
  const ordered = [...cpus].sort((a, b) => Number(b === died) - Number(a === died) || a - b);
  return ordered.map((cpu) => {
    const stack = orAbsence(() => stackOfCpu(stacks, cpu));
    return {
      cpu,
      crashed: cpu === died,
      task: isAbsence(stack) ? null : nameOf(stacks.view, stack.task),
      stack: isAbsence(stack) ? stack : stackReport(stack),
    };
  });
}

/** Throws EXH_BAD_STRUCTURE where it is not known what a CPU was running. */
function stackOfCpu(stacks: Stacks, cpu: number): TaskStack {
  const stack = stacks.unwindCpu(cpu);
  if (stack === undefined)
    throw new ExhumeError('EXH_BAD_STRUCTURE', `it cannot be told which task CPU ${cpu} was running`);
  return stack;
}

function nameOf(view: KernelView, address: bigint): TaskName | null {
  const name = orAbsence(() => {
    const task = view.struct('task_struct', address);
    const cpu = ['thread_info.cpu', 'cpu'].find((path) => task.has(path));
    return {
      pid: task.int('pid'),
      task: hex(address),
      cpu: cpu === undefined ? 0 : task.int(cpu),
      comm: task.string('comm'),
    };
  });
  return isAbsence(name) ? null : name;
}

export function stackReport({ frames, end, problems }: Stack): StackReport {
  return { frames: frames.map(frameReport), end, problems: [...problems] };
}

function frameReport({ kind, address, symbol, stack, confidence }: StackFrame): FrameReport {
  const module = symbol?.symbol.module;
  const where = symbol && `${symbol.symbol.name}+${hex(symbol.offset)}/${hex(symbol.size)}`;
  return {
    kind,
    address: hex(address),
    symbol: where === undefined ? null : module === undefined ? where : `${where} [${module}]`,
    stack: stack === undefined || stack.kind === 'task' ? null : stack.name,
    unwound: confidence === 'unwound',
  };
}

/** The functions of a stack that was unwound, for telling what went wrong. */
export function framesOfStack({ frames }: StackReport): Frame[] {
  return frames.flatMap(({ kind, symbol, stack, unwound }): Frame[] => {
    const [, name, module] = /^(\S+)\+0x[0-9a-f]+\/0x[0-9a-f]+(?: \[([^\]]+)\])?$/.exec(symbol ?? '') ?? [];
    if (kind === 'user' || name === undefined) return [];
    return [{ name, module, reliable: unwound, stack: stack?.replace(/ exception$/, '') }];
  });
}

/** The tasks that waited in uninterruptible sleep for over two minutes, by what they wait in. */
export function blockedTasks(inside: Inside): BlockedReport | Absence {
  const { tasks, stacks, view } = inside;
  if (isAbsence(tasks)) return tasks;
  if (isAbsence(view)) return view;
  const clocks = queueClocks(view);
  const waiting = tasks.tasks.filter(({ state }) => state.letter === 'D');
  const timed = waiting.map((task) => ({ task, seconds: blockedSeconds(task, clocks) }));
  const long = timed
    .flatMap(({ task, seconds }) => (seconds === null || seconds <= LONG_SECONDS ? [] : [{ task, seconds }]))
    .sort((a, b) => b.seconds - a.seconds);
  const looked = long.slice(0, MOST_STACKS).map(({ task, seconds }) => {
    const stack = isAbsence(stacks) ? stacks : orAbsence(() => stackReport(stacks.unwindTask(task.address)));
    return { task, seconds, stack };
  });
  const groups = groupByStack(looked, ({ stack }) =>
    isAbsence(stack) ? undefined : framesOfStack(stack).map(({ name, module }) => `${name} ${module ?? ''}`),
  );
  return {
    seconds: LONG_SECONDS,
    waiting: waiting.length,
    unknown: timed.filter(({ seconds }) => seconds === null).length,
    further: long.length - looked.length,
    groups: groups.map(({ members }) => ({
      tasks: members.map(({ task: { pid, address, cpu, comm }, seconds }) => {
        return { pid, task: hex(address), cpu, comm, seconds };
      }),
      stack: members[0]?.stack ?? NO_STACK,
    })),
  };
}

const NO_STACK = absence(new ExhumeError('EXH_BAD_STRUCTURE', 'it has no stack'));

/** Seconds in uninterruptible sleep; null for other tasks, and where nothing tells. */
export function blockedSeconds(task: Task, clocks: ReadonlyMap<number, bigint>): number | null {
  const blocked = blockedSince(task);
  const now = clocks.get(task.cpu);
  return blocked === undefined || now === undefined ? null : Math.max(0, Number(now - blocked.since) / 1e9);
}
