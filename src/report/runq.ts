import { hex } from '../bytes/address.js';
import { type Damage, ExhumeError } from '../bytes/errors.js';
import { attempt } from '../kernel/collect.js';
import type { KernelView } from '../kernel/kernel-view.js';
import { type RunQueue, readRunQueues } from '../kernel/scheduling/run-queues.js';
import type { Task } from '../kernel/tasks/task.js';
import { readTasks, type TaskList } from '../kernel/tasks/task-list.js';
import { requireView } from './kernel-view.js';
import type { QueuedTask, RunqReport } from './schema/runq.js';
import type { Subject } from './subject.js';
import { damageOf } from './words.js';

export interface RunqOptions {
  readonly cpus?: readonly number[] | undefined;
  /** Ask every task whether it is on a queue, too. */
  readonly debug?: boolean | undefined;
}

/** The CPUs' run queues. Throws EXH_USAGE for a CPU that there is not, EXH_NO_KERNEL, EXH_NO_LAYOUT. */
export function buildRunq(subject: Subject, { cpus, debug }: RunqOptions = {}): RunqReport {
  const view = requireView(subject);
  const found: Damage[] = [];
  const list = readTasks(view);
  const queues = readRunQueues(view, list, found);
  requireCpus(view, cpus);
  const chosen = cpus === undefined ? queues : queues.filter(({ cpu }) => cpus.includes(cpu));
  const models = chosen.map((queue) => queueReport(queue, debug === true ? onQueue(view, list, queue.cpu, found) : []));
  const damage = damageOf(subject, [...list.damage, ...found]);
  return { schema: 'exhume-runq/1', complete: damage.length === 0, cpus: models, damage };
}

/** Throws EXH_USAGE when a CPU that was asked for is none of the kernel's. */
export function requireCpus(view: KernelView, cpus: readonly number[] | undefined): void {
  const unknown = cpus?.find((cpu) => cpu >= view.cpuCount);
  if (unknown === undefined) return;
  const message = `this kernel has no CPU ${unknown}; it has ${view.cpuCount}, counted from 0`;
  throw new ExhumeError('EXH_USAGE', message, { found: unknown, expected: view.cpuCount });
}

function queueReport(queue: RunQueue, onQueue: QueuedTask[]): RunqReport['cpus'][number] {
  const report = ({ address, tasks }: RunQueue['fair']): RunqReport['cpus'][number]['fair'] => ({
    address: hex(address),
    tasks: tasks.map(queuedTask),
  });
  return {
    cpu: queue.cpu,
    address: hex(queue.address),
    clock: Number(queue.clock),
    running: queue.running,
    current: queue.current === undefined ? null : queuedTask(queue.current),
    realtime: report(queue.realtime),
    fair: report(queue.fair),
    deadline: report(queue.deadline),
    onQueue,
  };
}

function queuedTask({ pid, address, cpu, comm, priority, lastArrival }: Task): QueuedTask {
  const lastRun = lastArrival === undefined ? null : Number(lastArrival);
  return { pid, task: hex(address), cpu, comm, priority, lastRun };
}

function onQueue(view: KernelView, list: TaskList, cpu: number, damage: Damage[]): QueuedTask[] {
  const isOn = (task: Task): boolean =>
    attempt(damage, 'tasks on run queues', () => view.struct('task_struct', task.address).int('on_rq') === 1) ?? false;
  return list.tasks.filter((task) => task.cpu === cpu && isOn(task)).map(queuedTask);
}
