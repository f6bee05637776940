import type { VirtualAddress } from '../../bytes/address.js';
import type { VirtualMemory } from '../../machine/virtual-memory.js';
import type { StructType } from '../types/kernel-types.js';
import { FieldWindow } from './field-window.js';
import type { TaskState, TaskStates } from './task-state.js';

/** A thread of the dead kernel: `struct task_struct`, include/linux/sched.h. Times are in nanoseconds. */
export interface Task {
  /** Of its `task_struct`. */
  readonly address: VirtualAddress;
  readonly pid: number;
  /** The process that it is a thread of, by its leader's pid. */
  readonly tgid: number;
  readonly comm: string;
  readonly state: TaskState;
  /** The CPU that it runs or last ran on. */
  readonly cpu: number;
  readonly kernelThread: boolean;
  /** The `task_struct` of its parent, which is its tracer's while it is traced. */
  readonly parent: VirtualAddress;
  readonly leader: VirtualAddress;
  /** Its `mm_struct`; 0n for kernel threads and zombies. */
  readonly mm: VirtualAddress;
  readonly signal: VirtualAddress;
  /** The lowest address of its kernel stack; 0n when it is gone, as a zombie's is. */
  readonly stack: VirtualAddress;
  /** Where its kernel stack was when it was last switched away from; undefined where this architecture keeps none. */
  readonly stackPointer: VirtualAddress | undefined;
  /** `PF_*`. */
  readonly flags: number;
  /** The scheduler's: 0 to 99 real-time, 100 to 139 fair. */
  readonly priority: number;
  /** `SCHED_*`; undefined where this kernel's type does not tell. */
  readonly policy: number | undefined;
  /** Since boot, in suspend too. */
  readonly startTime: bigint;
  readonly userTime: bigint;
  readonly systemTime: bigint;
  /** When it last came onto a CPU, by that CPU's clock (`sched_info.last_arrival`); undefined without CONFIG_SCHED_INFO. */
  readonly lastArrival: bigint | undefined;
  /** Until when it has been charged for running (`se.exec_start`), by its CPU's clock. */
  readonly lastCharged: bigint | undefined;
  /** Pages counted for its mm by itself (`rss_stat` before 6.2): file, anonymous and shared ones together. */
  readonly ownPages: number;
}

/** `PF_KTHREAD`. */
const KERNEL_THREAD = 0x200000;
/** Fields by the names that kernels have called them; the first that there is counts. */
const STATE = ['__state', 'state'];
const CPU = ['thread_info.cpu', 'cpu'];
const START = ['start_boottime', 'real_start_time', 'start_time'];
const PATHS = [
  ...STATE,
  ...CPU,
  ...START,
  'exit_state',
  'pid',
  'tgid',
  'comm',
  'flags',
  'parent',
  'group_leader',
  'mm',
  'signal',
  'stack',
  'thread.sp',
  'prio',
  'policy',
  'utime',
  'stime',
  'sched_info.last_arrival',
  'se.exec_start',
  'rss_stat.count',
  'tasks',
  'tasks.prev',
  'thread_node',
  'thread_node.prev',
];

/** Reads tasks, each with the two lists that it is on. */
export class TaskReader {
  readonly window: FieldWindow;
  private readonly stateName: string;
  private readonly cpuName: string | undefined;
  private readonly startName: string | undefined;
  private readonly ownCounts: number;

  /** @param resident which of `rss_stat`'s counters are of resident pages: see `residentCounters` */
  constructor(
    private readonly memory: VirtualMemory,
    type: StructType,
    private readonly states: TaskStates,
    private readonly resident: readonly number[],
  ) {
    this.window = new FieldWindow(memory, type, PATHS);
    const first = (names: readonly string[]): string | undefined => names.find((name) => this.window.has(name));
    this.stateName = first(STATE) ?? '__state';
    this.cpuName = first(CPU);
    this.startName = first(START);
    const counts = type.field('rss_stat.count');
    this.ownCounts = counts === undefined ? 0 : Math.floor(counts.size / 4);
  }

  /**
   * The task at an address. Throws EXH_NO_LAYOUT where this kernel's type lacks what makes a task,
   * and memory's errors; a column that the type lacks is 0 or undefined.
   */
  read(address: VirtualAddress): Task {
    const { window } = this;
    window.load(address);
    const flags = window.int('flags');
    const number = (name: string | undefined): number =>
      name !== undefined && window.has(name) ? window.int(name) : 0;
    const time = (name: string | undefined): bigint =>
      name !== undefined && window.has(name) ? window.word(name) : 0n;
    const word = (name: string): VirtualAddress | undefined => (window.has(name) ? window.word(name) : undefined);
    return {
      address,
      pid: window.int('pid'),
      tgid: window.int('tgid'),
      comm: window.text('comm'),
      state: this.states.of(window.int(this.stateName), number('exit_state')),
      cpu: number(this.cpuName),
      kernelThread: (flags & KERNEL_THREAD) !== 0,
      parent: window.word('parent'),
      leader: window.word('group_leader'),
      mm: window.word('mm'),
      signal: window.word('signal'),
      stack: window.word('stack'),
      stackPointer: word('thread.sp'),
      flags,
      priority: number('prio'),
      policy: window.has('policy') ? window.int('policy') : undefined,
      startTime: time(this.startName),
      userTime: time('utime'),
      systemTime: time('stime'),
      lastArrival: word('sched_info.last_arrival'),
      lastCharged: word('se.exec_start'),
      ownPages: this.ownPages(),
    };
  }

  private ownPages(): number {
    if (this.ownCounts === 0) return 0;
    const at = this.window.addressOf('rss_stat.count');
    let pages = 0;
    for (const kind of this.resident) {
      if (kind < this.ownCounts) pages += this.memory.i32(at + BigInt(kind * 4));
    }
    return pages;
  }
}
