import { hex } from '../bytes/address.js';
import { attempt } from '../kernel/collect.js';
import { readMemoryUse } from '../kernel/memory/meminfo.js';
import { readZones } from '../kernel/memory/zones.js';
import { readModuleDetails } from '../kernel/module-details.js';
import { queueClocks } from '../kernel/scheduling/run-queue.js';
import type { Task } from '../kernel/tasks/task.js';
import { type TaskMemory, TaskMemoryReader } from '../kernel/tasks/task-memory.js';
import { isAbsence } from './absence.js';
import { blockedSeconds } from './cpu-stacks.js';
import type { Inside } from './inside.js';
import type { Absence } from './schema/common.js';
import type { MemoryReport, ModuleRow, TaskRow, TasksReport } from './schema/diagnosis.js';

const MOST_TASKS = 1000;
const MOST_LARGEST = 5;
/** Less than this part of memory to be had is little. */
const LITTLE = 0.05;

/** What there was to run, in brief. */
export function tasksReport(inside: Inside): TasksReport | Absence {
  const { tasks: list } = inside;
  if (isAbsence(list)) return list;
  return inside.section((view, damage) => {
    const reader = attempt(damage, 'memory of tasks', () => new TaskMemoryReader(view, list.tasks));
    const clocks = queueClocks(view);
    const running = new Set([...list.active.values()].map(({ address }) => address));
    const rank = (task: Task): number => (running.has(task.address) ? 0 : task.state.letter === 'D' ? 1 : 2);
    const chosen = [...list.tasks].sort((a, b) => rank(a) - rank(b) || a.pid - b.pid).slice(0, MOST_TASKS);
    const states = new Map<string, TasksReport['states'][number]>();
    for (const { state } of list.tasks) {
      const known = states.get(state.code);
      if (known === undefined) states.set(state.code, { ...state, count: 1 });
      else known.count++;
    }
    return {
      total: list.tasks.length,
      kernelThreads: list.tasks.filter(({ kernelThread }) => kernelThread).length,
      states: [...states.values()].sort((a, b) => b.count - a.count),
      list: chosen.map((task): TaskRow => {
        const memory: TaskMemory | undefined = reader?.of(task);
        return {
          ...nameOf(task),
          tgid: task.tgid,
          state: { ...task.state },
          active: running.has(task.address),
          kernelThread: task.kernelThread,
          resident: memory === undefined ? null : memory.resident * view.memory.physical.pageSize,
          blocked: blockedSeconds(task, clocks),
        };
      }),
    };
  });
}

function nameOf({ pid, address, cpu, comm }: Task): Pick<TaskRow, 'pid' | 'task' | 'cpu' | 'comm'> {
  return { pid, task: hex(address), cpu, comm };
}

/**
 * Was memory short when the kernel stopped?
 * @param ranOut the log says that it had run out
 */
export function memoryReport(inside: Inside, ranOut: boolean): MemoryReport | Absence {
  return inside.section((view, damage) => {
    const use = readMemoryUse(view, damage);
    const bytes = (pages: number | undefined): number | null =>
      pages === undefined ? null : Math.max(0, pages) * use.pageSize;
    const zones = readZones(view, damage).filter(({ managed }) => managed > 0);
    const free = (counters: ReadonlyMap<string, bigint>): number => Number(counters.get('NR_FREE_PAGES') ?? 0n);
    const below = zones.length > 0 && zones.every(({ counters, watermarks }) => free(counters) < watermarks.min);
    const { available, total } = use;
    const known = available !== undefined && total !== undefined && total > 0;
    const verdict = ranOut || below ? 'exhausted' : !known ? 'unknown' : available / total < LITTLE ? 'low' : 'enough';
    return {
      verdict,
      text: memoryInWords(verdict, { below, ranOut, share: known ? available / total : undefined }),
      total: bytes(total),
      free: bytes(use.free),
      available: bytes(available),
      cached: bytes(use.cached),
      shared: bytes(use.shared),
      slab: bytes(use.slab),
      swapTotal: bytes(use.swapTotal),
      swapFree: bytes(use.swapFree),
      largest: verdict === 'exhausted' || verdict === 'low' ? largest(inside, use.pageSize) : [],
    };
  });
}

function memoryInWords(
  verdict: MemoryReport['verdict'],
  { below, ranOut, share }: { below: boolean; ranOut: boolean; share: number | undefined },
): string {
  const percent = share === undefined ? '' : `${(share * 100).toFixed(share < 0.1 ? 1 : 0)}% was available`;
  switch (verdict) {
    case 'exhausted':
      return [
        'it had run out',
        below ? 'every zone was below its min watermark' : '',
        ranOut ? 'the log says so' : '',
        percent,
      ]
        .filter((part) => part !== '')
        .join('; ');
    case 'low':
      return `little was left: ${percent}`;
    case 'enough':
      return `there was enough: ${percent}`;
    case 'unknown':
      return 'it cannot be told whether there was enough';
  }
}

/** One task a process, the largest ones. */
function largest(inside: Inside, pageSize: number): MemoryReport['largest'] {
  const { tasks: list } = inside;
  if (isAbsence(list)) return [];
  const rows = inside.section((view) => {
    const reader = new TaskMemoryReader(view, list.tasks);
    const once = new Map<bigint, Task>();
    for (const task of list.tasks) if (task.mm !== 0n && !once.has(task.mm)) once.set(task.mm, task);
    return [...once.values()].map((task) => ({
      ...nameOf(task),
      resident: (reader.of(task)?.resident ?? 0) * pageSize,
    }));
  });
  return isAbsence(rows) ? [] : rows.sort((a, b) => b.resident - a.resident).slice(0, MOST_LARGEST);
}

/**
 * The loaded modules, those on the stack first, then those that taint.
 * @param onStack names of the modules whose functions are on the stack that the kernel died on
 */
export function modulesReport(inside: Inside, onStack: ReadonlySet<string>): ModuleRow[] | Absence {
  return inside.section((view, damage) => {
    const rows = readModuleDetails(view, damage).map(
      ({ name, base, size, taints, state, usedBy }): ModuleRow => ({
        name,
        base: hex(base),
        size,
        taints,
        state: state ?? null,
        usedBy: [...usedBy],
        onStack: onStack.has(name),
      }),
    );
    const rank = ({ onStack: on, taints }: ModuleRow): number => (on ? 0 : taints === '' ? 2 : 1);
    return rows.sort((a, b) => rank(a) - rank(b));
  });
}
