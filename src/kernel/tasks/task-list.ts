import { type VirtualAddress, virtualAddress } from '../../bytes/address.js';
import { type Damage, damageOf, ExhumeError, isExhumeError } from '../../bytes/errors.js';
import type { KernelView } from '../kernel-view.js';
import { runQueue } from '../scheduling/run-queue.js';
import { idrEntries } from '../types/xarray.js';
import { type Task, TaskReader } from './task.js';
import { residentCounters } from './task-memory.js';
import { taskStates } from './task-state.js';

/** All threads of a kernel, and what was wrong with the lists that they are on. */
export interface TaskList {
  /** By pid, the idle tasks by their CPUs before all others. */
  readonly tasks: readonly Task[];
  readonly byAddress: ReadonlyMap<bigint, Task>;
  /** The task that each CPU was running, by the CPU's number. */
  readonly active: ReadonlyMap<number, Task>;
  readonly damage: readonly Damage[];
}

/** `PID_MAX_LIMIT` of 64-bit kernels. */
const PID_LIMIT = 4 << 20;
const LISTS = {
  tasks: { next: 'tasks', previous: 'tasks.prev' },
  thread_node: { next: 'thread_node', previous: 'thread_node.prev' },
} as const;

/**
 * Every thread: the idle task of each CPU, the leaders on `init_task.tasks` with the threads of each
 * (`signal->thread_head`), and whatever else the table of pids (`init_pid_ns.idr`) or a CPU knows, so that a list which
 * is broken costs nothing but a word of damage. Throws EXH_NO_SYMBOL without `init_task`, EXH_NO_LAYOUT without types.
 */
export function readTasks(view: KernelView): TaskList {
  const collector = new TaskCollector(view);
  return collector.collect();
}

class TaskCollector {
  private readonly found = new Map<bigint, Task>();
  private readonly damage: Damage[] = [];
  private readonly reader: TaskReader;

  constructor(private readonly view: KernelView) {
    const type = view.types.requireStruct('task_struct');
    this.reader = new TaskReader(view.memory, type, taskStates(view), residentCounters(view.types));
  }

  collect(): TaskList {
    const init = this.view.variable('init_task', 'task_struct');
    this.attempt('init_task', () => this.take(init.address));
    const active = this.activeTasks();
    const leaders: Task[] = [];
    this.walk('task list', init.addressOf('tasks'), 'tasks', (task) => leaders.push(task));
    for (const leader of leaders) this.threads(leader);
    this.fromPids();
    for (const address of active.values()) this.attempt('run queues', () => this.take(address));
    return {
      tasks: [...this.found.values()].sort(byPid),
      byAddress: this.found,
      active: new Map(
        [...active].flatMap(([cpu, address]): [number, Task][] => {
          const task = this.found.get(address);
          return task === undefined ? [] : [[cpu, task]];
        }),
      ),
      damage: this.damage,
    };
  }

  private threads(leader: Task): void {
    const part = `threads of pid ${leader.pid}`;
    this.attempt(part, () => {
      const head = this.view.struct('signal_struct', leader.signal).addressOf('thread_head');
      this.walk(part, head, 'thread_node', () => {});
    });
  }

  /** The idle task of each CPU comes with its run queue, and so does what it was running. */
  private activeTasks(): Map<number, VirtualAddress> {
    const active = new Map<number, VirtualAddress>();
    this.attempt('run queues', () => {
      for (const cpu of this.view.cpus('possible')) {
        this.attempt('run queues', () => {
          const queue = runQueue(this.view, cpu);
          const idle = queue.pointer('idle');
          const current = queue.pointer('curr');
          if (idle === 0n) return;
          this.take(idle);
          if (current !== 0n) active.set(cpu, current);
        });
      }
    });
    return active;
  }

  /** Tasks that the table of pids has and no list led to. */
  private fromPids(): void {
    const { memory, types } = this.view;
    let missed = 0;
    const before = this.damage.length;
    this.attempt('table of pids', () => {
      const namespace = this.view.variable('init_pid_ns', 'pid_namespace');
      const heads = types.requireStruct('pid').require('tasks').offset;
      const links = types.requireStruct('task_struct').require('pid_links').offset;
      for (const { index, entry } of idrEntries(memory, types, namespace.addressOf('idr'))) {
        this.attempt(`pid ${index}`, () => {
          const node = memory.pointer(entry + BigInt(heads));
          if (node === 0n) return;
          const address = virtualAddress(node - BigInt(links));
          if (this.found.has(address)) return;
          if (this.take(address).pid !== Number(index)) {
            this.found.delete(address);
            throw new ExhumeError('EXH_BAD_STRUCTURE', 'the table of pids has another task there', { address });
          }
          missed++;
        });
      }
    });
    if (missed === 0 || this.damage.length > before) return;
    const tasks = missed === 1 ? 'a task is' : `${missed} tasks are`;
    this.damage.push({
      code: 'EXH_BAD_STRUCTURE',
      part: 'task list',
      message: `${tasks} not on it; the table of pids led to what it lacks`,
    });
  }

  /** Follows one of the two lists forward, and from its end back to where it is broken. */
  private walk(part: string, head: VirtualAddress, list: keyof typeof LISTS, each: (task: Task) => void): void {
    const { next, previous } = LISTS[list];
    const whole = this.attempt(part, () => {
      this.follow(head, next, previous, each);
      return true;
    });
    if (whole !== true) this.attempt(part, () => this.follow(head, previous, next, each));
  }

  /** Follows a list in one direction; every node must name the one before it, which no circle beside the head does. */
  private follow(head: VirtualAddress, forward: string, backward: string, each: (task: Task) => void): void {
    const { memory } = this.view;
    const type = this.view.types.requireStruct('task_struct');
    const offset = BigInt(type.require(forward.replace('.prev', '')).offset);
    const ahead = BigInt(forward.endsWith('.prev') ? 8 : 0);
    let before: bigint = head;
    let node: bigint = memory.pointer(head + ahead);
    while (node !== head) {
      const address = virtualAddress(node - offset);
      const known = this.found.get(address);
      const task = known ?? this.read(address);
      if (known !== undefined) this.reader.window.load(address);
      if (this.reader.window.word(backward) !== before) {
        throw new ExhumeError('EXH_BAD_STRUCTURE', 'a node does not name the one before it', { address: node });
      }
      this.found.set(address, task);
      each(task);
      before = node;
      node = this.reader.window.word(forward);
    }
  }

  private take(address: VirtualAddress): Task {
    const known = this.found.get(address);
    if (known !== undefined) return known;
    const task = this.read(address);
    this.found.set(address, task);
    return task;
  }

  /** A task, when what stands there can be one. */
  private read(address: VirtualAddress): Task {
    const task = this.reader.read(address);
    if (task.pid < 0 || task.pid > PID_LIMIT || task.parent === 0n || task.cpu >= this.view.cpuCount) {
      throw new ExhumeError('EXH_BAD_STRUCTURE', 'what stands there is no task', { address });
    }
    return task;
  }

  private attempt<T>(part: string, step: () => T): T | undefined {
    try {
      return step();
    } catch (error) {
      if (!isExhumeError(error)) throw error;
      const damage = damageOf(part, error);
      if (!this.damage.some((one) => one.part === part && one.message === damage.message)) this.damage.push(damage);
      return undefined;
    }
  }
}

function byPid(a: Task, b: Task): number {
  return a.pid - b.pid || a.cpu - b.cpu;
}
