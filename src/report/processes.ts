import type { Damage } from '../bytes/errors.js';
import type { KernelView } from '../kernel/kernel-view.js';
import type { Task } from '../kernel/tasks/task.js';
import { readTasks } from '../kernel/tasks/task-list.js';
import { selectTasks } from './task-selection.js';

/** The tasks that an answer about processes is to tell. */
export interface ChosenTasks {
  /** All of the kernel: what threads count by themselves belongs to their process. */
  readonly all: readonly Task[];
  readonly tasks: readonly Task[];
  readonly unmatched: string[];
  readonly damage: readonly Damage[];
}

/** Those that the selectors name; without selectors every process with memory of its own, not thread by thread. */
export function chooseTasks(view: KernelView, selectors: readonly string[]): ChosenTasks {
  const list = readTasks(view);
  const { tasks, unmatched } = selectTasks(list.tasks, selectors);
  const chosen = selectors.length > 0 ? tasks : tasks.filter((task) => task.mm !== 0n && task.pid === task.tgid);
  return { all: list.tasks, tasks: chosen, unmatched, damage: list.damage };
}
