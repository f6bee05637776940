import { type VirtualAddress, virtualAddress } from '../../bytes/address.js';
import { type Damage, ExhumeError } from '../../bytes/errors.js';
import { attempt, collectEach } from '../collect.js';
import type { KernelView } from '../kernel-view.js';
import type { Task } from '../tasks/task.js';
import type { TaskList } from '../tasks/task-list.js';
import { listEntries } from '../types/lists.js';
import { rbtreeEntries } from '../types/rbtree.js';
import type { Struct } from '../types/struct.js';
import { runQueue } from './run-queue.js';

/** Groups in groups deeper than this are taken for damage. */
const DEEPEST = 64;

/** A CPU's run queue, and what waits on it to run; what runs is not on a queue of the fair class. */
export interface RunQueue {
  readonly cpu: number;
  /** Of its `struct rq`. */
  readonly address: VirtualAddress;
  readonly current: Task | undefined;
  /** In nanoseconds, as last updated. */
  readonly clock: bigint;
  /** Tasks that are runnable, the running one among them. */
  readonly running: number;
  /** `rt.active`, and its tasks from the most urgent on. */
  readonly realtime: { readonly address: VirtualAddress; readonly tasks: readonly Task[] };
  /** `cfs.tasks_timeline`, and its tasks in the order of their keys, those of groups in their groups' places. */
  readonly fair: { readonly address: VirtualAddress; readonly tasks: readonly Task[] };
  /** `dl.root`, and its tasks from the earliest deadline on. */
  readonly deadline: { readonly address: VirtualAddress; readonly tasks: readonly Task[] };
}

/** The run queues of all possible CPUs (`struct rq`, kernel/sched/sched.h). A queue that is broken is told as damage. */
export function readRunQueues(view: KernelView, list: TaskList, damage: Damage[]): RunQueue[] {
  const queues: RunQueue[] = [];
  for (const cpu of attempt(damage, 'run queues', () => view.cpus('possible')) ?? []) {
    const part = `run queue of CPU ${cpu}`;
    const queue = attempt(damage, part, () => new QueueReader(view, list, damage, part).read(cpu));
    if (queue !== undefined) queues.push(queue);
  }
  return queues;
}

class QueueReader {
  private readonly task: (type: 'se' | 'rt' | 'dl', entity: Struct) => Task;

  constructor(
    private readonly view: KernelView,
    private readonly list: TaskList,
    private readonly damage: Damage[],
    private readonly part: string,
  ) {
    const type = view.types.requireStruct('task_struct');
    this.task = (member, entity) => {
      const address = virtualAddress(entity.address - BigInt(type.require(member).offset));
      const task = list.byAddress.get(address);
      if (task === undefined) throw new ExhumeError('EXH_BAD_STRUCTURE', 'what is queued is no task', { address });
      return task;
    };
  }

  read(cpu: number): RunQueue {
    const rq = runQueue(this.view, cpu);
    return {
      cpu,
      address: rq.address,
      current: this.list.byAddress.get(rq.pointer('curr')),
      clock: rq.big('clock'),
      running: rq.int('nr_running'),
      realtime: { address: rq.addressOf('rt.active'), tasks: this.realtime(rq.member('rt.active')) },
      fair: { address: rq.addressOf('cfs.tasks_timeline'), tasks: this.fair(rq.member('cfs'), 0) },
      deadline: { address: rq.addressOf('dl.root'), tasks: this.deadline(rq.addressOf('dl.root')) },
    };
  }

  /** `rt_prio_array`: a list for each priority. */
  private realtime(active: Struct): Task[] {
    const entity = this.view.types.requireStruct('sched_rt_entity');
    const queue = active.type.require('queue');
    const tasks: Task[] = [];
    for (let priority = 0; priority < Math.floor(queue.size / 16); priority++) {
      const head = active.address + BigInt(queue.offset + priority * 16);
      const entries = listEntries(this.view.memory, head, entity, 'run_list');
      tasks.push(
        ...collectEach(this.damage, this.part, entries, (one) => (isGroup(one) ? undefined : this.task('rt', one))),
      );
    }
    return tasks;
  }

  private fair(queue: Struct, depth: number): Task[] {
    if (depth > DEEPEST) throw new ExhumeError('EXH_BAD_STRUCTURE', 'task groups are nested too deeply');
    const { memory, types } = this.view;
    const entity = types.requireStruct('sched_entity');
    const entries = rbtreeEntries(memory, queue.addressOf('tasks_timeline'), entity, 'run_node');
    return collectEach(this.damage, this.part, entries, (one) => {
      const group = one.has('my_q') ? one.follow('my_q') : undefined;
      return group === undefined ? [this.task('se', one)] : this.fair(group, depth + 1);
    }).flat();
  }

  private deadline(root: VirtualAddress): Task[] {
    const entity = this.view.types.requireStruct('sched_dl_entity');
    const entries = rbtreeEntries(this.view.memory, root, entity, 'rb_node');
    return collectEach(this.damage, this.part, entries, (one) => {
      // A server runs another class's tasks, and is no task.
      const server = one.has('dl_server') && one.int('dl_server') !== 0;
      return server ? undefined : this.task('dl', one);
    });
  }
}

/** Groups of real-time tasks have a queue of their own; their tasks are on it. */
function isGroup(entity: Struct): boolean {
  return entity.has('my_q') && entity.pointer('my_q') !== 0n;
}
