import type { QueuedTask, RunqReport } from '../schema/runq.js';
import { elapsed, queuedTask } from './task.js';

/** How `runq` lays its answer out; crash's options. */
export type RunqStyle = 'queues' | 'timestamps' | 'sinceLastRun' | 'debug';

export function* runqText({ cpus }: RunqReport, style: RunqStyle): Generator<string> {
  for (const [index, cpu] of cpus.entries()) {
    if (style === 'timestamps') yield* timestamps(cpu);
    else if (style === 'sinceLastRun') yield* running(cpu);
    else {
      if (index > 0) yield '';
      if (style === 'debug') yield* debug(cpu);
      else yield* queues(cpu);
    }
  }
}

type CpuQueues = RunqReport['cpus'][number];

function* queues({ cpu, address, current, realtime, fair, deadline }: CpuQueues): Generator<string> {
  yield `CPU ${cpu} RUNQUEUE: ${address.slice(2)}`;
  yield `  CURRENT: ${current === null ? 'unknown' : queuedTask(current)}`;
  if (deadline.tasks.length > 0) {
    yield `  DL RB_ROOT: ${deadline.address.slice(2)}`;
    yield* members(deadline.tasks);
  }
  yield `  RT PRIO_ARRAY: ${realtime.address.slice(2)}`;
  yield* members(realtime.tasks);
  yield `  CFS RB_ROOT: ${fair.address.slice(2)}`;
  yield* members(fair.tasks);
}

function* members(tasks: readonly QueuedTask[]): Generator<string> {
  if (tasks.length === 0) yield '     [no tasks queued]';
  for (const task of tasks) yield `     [${String(task.priority).padStart(3)}] ${queuedTask(task)}`;
}

function* timestamps({ cpu, clock, current, realtime, fair, deadline }: CpuQueues): Generator<string> {
  yield ` CPU ${cpu}: ${clock}`;
  const tasks = [...(current === null ? [] : [current]), ...deadline.tasks, ...realtime.tasks, ...fair.tasks];
  for (const task of tasks) yield `        ${String(task.lastRun ?? '?').padStart(10, '0')}  ${queuedTask(task)}`;
}

function* running({ cpu, clock, current }: CpuQueues): Generator<string> {
  if (current === null) return;
  const since = current.lastRun === null ? '[?]' : elapsed(Math.max(0, clock - current.lastRun));
  yield ` CPU ${cpu}: ${since}  ${queuedTask(current)}`;
}

function* debug({ cpu, onQueue }: CpuQueues): Generator<string> {
  yield `CPU ${cpu}`;
  yield* members(onQueue);
}
