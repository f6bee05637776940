import { hex, physicalAddress } from '../bytes/address.js';
import type { Damage } from '../bytes/errors.js';
import { attempt } from '../kernel/collect.js';
import { clockIfAny } from '../kernel/interrupts/clock.js';
import type { KernelView } from '../kernel/kernel-view.js';
import { queueClocks } from '../kernel/scheduling/run-queue.js';
import { readArguments, readLimits } from '../kernel/tasks/arguments.js';
import { blockedSince } from '../kernel/tasks/blocked.js';
import { policyName } from '../kernel/tasks/policy.js';
import type { Task } from '../kernel/tasks/task.js';
import { readTasks, type TaskList } from '../kernel/tasks/task-list.js';
import { physicalPages, TaskMemoryReader } from '../kernel/tasks/task-memory.js';
import { isAbsence } from './absence.js';
import { orAbsence } from './inside.js';
import { requireView } from './kernel-view.js';
import type { PsReport, TaskName, TaskReport } from './schema/ps.js';
import { requireMachine, type Subject } from './subject.js';
import { selectTasks } from './task-selection.js';
import { damageOf, hexOrNull } from './words.js';

export interface PsOptions {
  /** pids, `task_struct` addresses and names; all tasks when there are none. */
  readonly selectors?: readonly string[];
  readonly kind?: 'kernel' | 'user' | undefined;
  /** Leaders of thread groups only. */
  readonly leaders?: boolean | undefined;
  readonly active?: boolean | undefined;
  /** Only tasks of these policies: `FIFO`, or the number. */
  readonly policies?: readonly string[] | undefined;
  readonly cpus?: readonly number[] | undefined;
  /** The last to have run first. */
  readonly byLastRun?: boolean | undefined;
  /** With the arguments and environment of their programs. */
  readonly programs?: boolean | undefined;
  /** With their resource limits. */
  readonly limits?: boolean | undefined;
  readonly relation?: 'parents' | 'children' | 'threads' | undefined;
}

/** No chain of parents is longer than this in a tree that is sound. */
const LONGEST_CHAIN = 4096;

/** The tasks of the kernel. Throws EXH_NO_KERNEL, EXH_NO_LAYOUT without types, EXH_NO_SYMBOL without `init_task`. */
export function buildPs(subject: Subject, options: PsOptions = {}): PsReport {
  const view = requireView(subject);
  const list = readTasks(view);
  const { tasks, unmatched } = selectTasks(list.tasks, options.selectors ?? []);
  const chosen = tasks.filter((task) => isWanted(task, list, options));
  const describe = describer(view, list);
  const reports = chosen.map(describe);
  if (options.byLastRun) reports.sort((a, b) => (b.lastRun ?? 0) - (a.lastRun ?? 0));
  const found: Damage[] = [];
  const programs = options.programs ? programsOf(subject, view, chosen) : [];
  const limits = options.limits ? limitsOf(view, chosen, found) : [];
  const damage = damageOf(subject, [...list.damage, ...found]);
  const unread = reports.filter((task) => task.memory === null).length;
  if (unread > 0) {
    const message = `of ${unread} tasks the memory descriptor could not be read`;
    damage.push({ code: 'EXH_BAD_STRUCTURE', part: 'memory of tasks', message });
  }
  return {
    schema: 'exhume-ps/1',
    complete: damage.length === 0 && unmatched.length === 0,
    tasks: reports,
    total: list.tasks.length,
    states: countStates(reports),
    relation: options.relation ?? null,
    relatives: options.relation === undefined ? [] : relatives(chosen, list, options.relation),
    programs,
    limits,
    unmatched,
    damage,
  };
}

function isWanted(task: Task, list: TaskList, { kind, leaders, active, policies, cpus }: PsOptions): boolean {
  if (kind !== undefined && task.kernelThread !== (kind === 'kernel')) return false;
  if (leaders && task.pid !== task.tgid) return false;
  if (active && !isActive(task, list)) return false;
  if (cpus !== undefined && !cpus.includes(task.cpu)) return false;
  return policies === undefined || policies.some((policy) => isPolicy(task, policy));
}

function isPolicy(task: Task, policy: string): boolean {
  return policy === String(task.policy) || policy.toUpperCase().replace(/^SCHED_/, '') === policyName(task.policy);
}

function isActive(task: Task, list: TaskList): boolean {
  for (const active of list.active.values()) if (active.address === task.address) return true;
  return false;
}

/** What turns a task into its report: everything that all tasks share is read once. */
function describer(view: KernelView, list: TaskList): (task: Task) => TaskReport {
  const memory = new TaskMemoryReader(view, list.tasks);
  const pageSize = view.memory.physical.pageSize;
  const pages = physicalPages(view);
  const clock = clockIfAny(view);
  const boot = clock && clock.monotonic + clock.toBoot;
  const queues = queueClocks(view);
  const active = new Set([...list.active.values()].map(({ address }) => address));
  return (task) => {
    const now = queues.get(task.cpu);
    const used = memory.of(task);
    const blocked = blockedSince(task);
    // Written out: with spreads in it the whole of `ps` took three times as long for 20,000 threads.
    return {
      pid: task.pid,
      task: hex(task.address),
      cpu: task.cpu,
      comm: task.comm,
      tgid: task.tgid,
      ppid: list.byAddress.get(task.parent)?.pid ?? null,
      state: task.state,
      active: active.has(task.address),
      kernelThread: task.kernelThread,
      memory:
        used === undefined
          ? null
          : {
              percent: pages === undefined ? null : (used.resident * 100) / pages,
              virtual: used.virtual * pageSize,
              resident: used.resident * pageSize,
            },
      priority: task.priority,
      policy: policyName(task.policy) ?? null,
      stack: hex(task.stack),
      stackPointer: active.has(task.address) ? null : hexOrNull(task.stackPointer),
      startTime: Number(task.startTime),
      runTime: boot === undefined ? null : Number(boot - task.startTime),
      userTime: Number(task.userTime),
      systemTime: Number(task.systemTime),
      lastRun: task.lastArrival === undefined ? null : Number(task.lastArrival),
      sinceLastRun: now === undefined || task.lastArrival === undefined ? null : Number(now - task.lastArrival),
      blocked:
        now === undefined || blocked === undefined
          ? null
          : { nanoseconds: Math.max(0, Number(now - blocked.since)), basis: blocked.basis },
    };
  };
}

/** Memory of a program may be in swap, or filtered out: that is no damage. */
function programsOf(subject: Subject, view: KernelView, tasks: readonly Task[]): PsReport['programs'] {
  const machine = requireMachine(subject);
  const { levels } = view.kernel.pageTable;
  return tasks.map((task) => {
    const of = taskName(task);
    const found = orAbsence(() =>
      readArguments(view, task, (root) => machine.pageTable(physicalAddress(root), levels)),
    );
    if (found === undefined) return { of, arguments: null, environment: null, absent: null };
    return isAbsence(found)
      ? { of, arguments: null, environment: null, absent: found.absent }
      : { of, arguments: [...found.arguments], environment: [...found.environment], absent: null };
  });
}

function limitsOf(view: KernelView, tasks: readonly Task[], damage: Damage[]): PsReport['limits'] {
  const shown = (value: bigint | undefined): string | null => value?.toString() ?? null;
  return tasks.map((task) => ({
    of: taskName(task),
    limits: (attempt(damage, `limits of pid ${task.pid}`, () => readLimits(view, task)) ?? []).map(
      ({ name, current, maximum }) => ({ name, current: shown(current), maximum: shown(maximum) }),
    ),
  }));
}

export function taskName({ pid, address, cpu, comm }: Task): TaskName {
  return { pid, task: hex(address), cpu, comm };
}

function countStates(tasks: readonly TaskReport[]): PsReport['states'] {
  const counts = new Map<string, PsReport['states'][number]>();
  for (const { state } of tasks) {
    const known = counts.get(state.code);
    if (known === undefined) counts.set(state.code, { ...state, count: 1 });
    else known.count++;
  }
  return [...counts.values()];
}

function relatives(
  chosen: readonly Task[],
  list: TaskList,
  relation: NonNullable<PsOptions['relation']>,
): PsReport['relatives'] {
  const groups = new Map<bigint | number, Task[]>();
  if (relation !== 'parents') {
    for (const task of list.tasks) {
      const key = relation === 'children' ? task.parent : task.tgid;
      const group = groups.get(key);
      if (group === undefined) groups.set(key, [task]);
      else group.push(task);
    }
  }
  const of = (task: Task): readonly Task[] => {
    if (relation === 'parents') return parentsOf(task, list);
    const group = groups.get(relation === 'children' ? task.address : task.tgid) ?? [];
    return group.filter(({ address }) => address !== task.address);
  };
  // crash shows a thread group once, under its leader.
  const shown = relation === 'threads' ? leadersOf(chosen, list) : chosen;
  return shown.map((task) => ({ of: taskName(task), tasks: of(task).map(taskName) }));
}

function leadersOf(chosen: readonly Task[], list: TaskList): Task[] {
  const leaders = chosen.map((task) => (task.pid === 0 ? swapper(list) : list.byAddress.get(task.leader)) ?? task);
  return [...new Set(leaders)];
}

function swapper({ tasks }: TaskList): Task | undefined {
  return tasks.find(({ pid }) => pid === 0);
}

function parentsOf(task: Task, { byAddress }: TaskList): Task[] {
  const chain: Task[] = [];
  const seen = new Set([task.address]);
  let parent = byAddress.get(task.parent);
  while (parent !== undefined && !seen.has(parent.address) && chain.length < LONGEST_CHAIN) {
    chain.unshift(parent);
    seen.add(parent.address);
    parent = byAddress.get(parent.parent);
  }
  return chain;
}
