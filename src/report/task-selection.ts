import type { Task } from '../kernel/tasks/task.js';

/** TASK_COMM_LEN - 1. */
const LONGEST_NAME = 15;

/**
 * The tasks that selectors name, as crash takes them: a pid in decimal, the address of a `task_struct` in hexadecimal, or
 * a command's name (`\NAME` where it looks like a number). All tasks when there are no selectors.
 */
export function selectTasks(
  tasks: readonly Task[],
  selectors: readonly string[],
): { readonly tasks: readonly Task[]; readonly unmatched: string[] } {
  if (selectors.length === 0) return { tasks, unmatched: [] };
  const chosen = new Set<Task>();
  const unmatched: string[] = [];
  for (const selector of selectors) {
    const before = chosen.size;
    const hits = tasksNamed(tasks, selector);
    for (const task of hits) chosen.add(task);
    if (hits.length === 0 && chosen.size === before) unmatched.push(selector);
  }
  return { tasks: tasks.filter((task) => chosen.has(task)), unmatched };
}

/** The tasks that one selector names; none when nothing does. */
export function tasksNamed(tasks: readonly Task[], selector: string): Task[] {
  if (/^\d+$/.test(selector)) {
    const named = tasks.filter(({ pid }) => pid === Number(selector));
    if (named.length > 0) return named;
  }
  if (/^(0x)?[0-9a-f]+$/i.test(selector)) {
    const value = BigInt(/^0x/i.test(selector) ? selector : `0x${selector}`);
    const named = tasks.filter(({ address, pid }) => address === value || (value < 1n << 32n && BigInt(pid) === value));
    if (named.length > 0 && (selector.length >= LONGEST_NAME || /^0x/i.test(selector))) return named;
  }
  const name = selector.replace(/^\\/, '').slice(0, LONGEST_NAME);
  return tasks.filter(({ comm }) => comm === name);
}
