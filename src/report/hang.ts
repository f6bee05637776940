import { framesOfTrace } from '../kernel/diagnosis/frame.js';
import { type HangOrigin, type HungTask, originOfHang } from '../kernel/diagnosis/hang.js';
import type { CrashEvent, CrashText } from '../kernel/log/crash-text.js';
import { lockHolder } from '../kernel/scheduling/lock-holder.js';
import { queueClocks } from '../kernel/scheduling/run-queue.js';
import { isAbsence } from './absence.js';
import { blockedSeconds, framesOfStack, MOST_STACKS, stackReport } from './cpu-stacks.js';
import { type Inside, orAbsence } from './inside.js';

/** Where a hang comes from, and who says so. */
export interface Hang extends HangOrigin {
  readonly source: 'tasks' | 'log';
}

/** khungtaskd writes whole seconds, counted from when it first looked at a task. */
const LOG_TOLERANCE = 2;

/**
 * Where a hang comes from: of the tasks in D, where one that the log names is still among them (or the log names none);
 * else of those that the log tells of. Undefined where neither tells.
 */
export function hangOf(inside: Inside, log: CrashText | undefined): Hang | undefined {
  const events = (log?.events ?? []).filter(({ kind }) => kind === 'hung-task');
  const named = new Set(events.flatMap(({ pid }) => pid ?? []));
  const waiting = waitingTasks(inside);
  const still = named.size === 0 || waiting.some(({ pid }) => named.has(pid));
  const found = still ? originOfHang(waiting, 0) : undefined;
  if (found !== undefined) return { ...found, source: 'tasks' };
  const told = originOfHang(events.flatMap(toldTask), LOG_TOLERANCE);
  return told === undefined ? undefined : { ...told, source: 'log' };
}

/** The tasks in D, those that wait for the longest first. */
function waitingTasks(inside: Inside): HungTask[] {
  const { tasks, stacks, view } = inside;
  if (isAbsence(tasks) || isAbsence(stacks) || isAbsence(view)) return [];
  const clocks = queueClocks(view);
  return tasks.tasks
    .flatMap((task) => {
      const seconds = task.state.letter === 'D' ? blockedSeconds(task, clocks) : null;
      return seconds === null ? [] : [{ task, seconds }];
    })
    .sort((a, b) => b.seconds - a.seconds)
    .slice(0, MOST_STACKS)
    .map(({ task, seconds }) => {
      const stack = orAbsence(() => stackReport(stacks.unwindTask(task.address)));
      return {
        pid: task.pid,
        comm: task.comm,
        since: -seconds,
        frames: isAbsence(stack) ? [] : framesOfStack(stack),
        holder: lockHolder(view, tasks, task)?.pid,
      };
    });
}

function toldTask(event: CrashEvent): HungTask[] {
  const { pid, comm, timeNanoseconds, trace, holder } = event;
  const seconds = /more than (\d+) seconds/.exec(event.title)?.[1];
  if (pid === undefined || seconds === undefined) return [];
  const since = Number(timeNanoseconds ?? 0n) / 1e9 - Number(seconds);
  return [{ pid, comm, since, frames: framesOfTrace(trace, undefined, undefined), holder }];
}
