import { type Frame, sourceName } from './frame.js';

/** A task that waits and is not served. A hang has one, or hundreds. */
export interface HungTask {
  readonly pid: number;
  readonly comm: string | undefined;
  /** Since when it waits: seconds of any one clock. */
  readonly since: number;
  /** Innermost first. */
  readonly frames: readonly Frame[];
  /** The pid of who holds the lock that it waits for; undefined where it waits for no lock, or for whom is not known. */
  readonly holder: number | undefined;
}

/** Where a hang comes from. */
export interface HangOrigin {
  readonly task: HungTask;
  /** How many tasks wait for a lock that it holds, or for one of another that does. */
  readonly waiters: number;
}

/**
 * Of the tasks of one hang the one that it comes from, whatever their order: who waits for a lock is passed over for its
 * holder, if that one waits too; among those that are left the longest waiter counts, and among equally long ones, or
 * those that wait for each other in a circle, the one whose functions come first in the alphabet.
 * @param tolerance seconds by which the times may be off
 */
export function originOfHang(tasks: readonly HungTask[], tolerance: number): HangOrigin | undefined {
  const byPid = new Map(tasks.map((task) => [task.pid, task]));
  const waiters = new Map<HungTask, number>();
  const since = new Map<HungTask, number>();
  for (const task of tasks) {
    const circle = lastOf(task, byPid);
    const root = circle.reduce(firstByName);
    since.set(root, earliestOf(circle.map((each) => each.since)));
    waiters.set(root, (waiters.get(root) ?? 0) + (task === root ? 0 : 1));
  }
  const earliest = earliestOf(since.values());
  const oldest = [...since].flatMap(([task, from]) => (from <= earliest + tolerance ? [task] : []));
  const [first, ...others] = oldest;
  if (first === undefined) return undefined;
  const task = others.reduce(firstByName, first);
  return { task, waiters: waiters.get(task) ?? 0 };
}

/** There may be more of them than a function takes arguments. */
function earliestOf(times: Iterable<number>): number {
  let earliest = Number.POSITIVE_INFINITY;
  for (const time of times) earliest = Math.min(earliest, time);
  return earliest;
}

/** Who a task waits for in the end: one task, or several that wait for each other. */
function lastOf(task: HungTask, byPid: ReadonlyMap<number, HungTask>): HungTask[] {
  const path = [task];
  const seen = new Map([[task, 0]]);
  for (let at = task; ; ) {
    const next = at.holder === undefined ? undefined : byPid.get(at.holder);
    if (next === undefined) return [at];
    const before = seen.get(next);
    if (before !== undefined) return path.slice(before);
    seen.set(next, path.push(next) - 1);
    at = next;
  }
}

function firstByName(a: HungTask, b: HungTask): HungTask {
  return functionsOf(b) < functionsOf(a) ? b : a;
}

function functionsOf({ frames }: HungTask): string {
  return frames
    .filter(({ reliable }) => reliable)
    .map(({ name, module }) => `${sourceName(name)} ${module ?? ''}`)
    .join('\n');
}
