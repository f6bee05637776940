import { ExhumeError } from '../../bytes/errors.js';
import type { KernelView } from '../kernel-view.js';

/** What a task is doing, by the names of /proc/PID/status and of crash. */
export interface TaskState {
  /** `R S D T t X Z P I`, as in /proc/PID/stat. */
  readonly letter: string;
  /** crash's: `RU IN UN ST TR DE ZO PA ID`, and `NE`, `WA`. */
  readonly code: string;
  /** The kernel's own words: `disk sleep`. */
  readonly words: string;
}

/** Bits of `__state` and `exit_state`, include/linux/sched.h since 4.14. */
const UNINTERRUPTIBLE = 0x2;
const EXIT_ZOMBIE = 0x20;
const NOLOAD = 0x400;
const NEW = 0x800;
const WAKING = 0x200;
/** RUNNING to PARKED: what /proc tells. */
const REPORTED = 0x7f;
/** `TASK_RTLOCK_WAIT` (5.16) and `TASK_FROZEN` (6.1) are told as an uninterruptible sleep. */
const RTLOCK_WAIT = 0x1000;
const FROZEN = 0x8000;
/** `task_index_to_char`: the state that no bit stands for comes after them. */
const IDLE_INDEX = 8;

/** crash's names, in the order of the bits. */
const CODES = ['RU', 'IN', 'UN', 'ST', 'TR', 'DE', 'ZO', 'PA', 'ID'];

/** `task_state_array` of fs/proc/array.c, for a kernel whose own cannot be read. */
const NAMES = [
  'R (running)',
  'S (sleeping)',
  'D (disk sleep)',
  'T (stopped)',
  't (tracing stop)',
  'X (dead)',
  'Z (zombie)',
  'P (parked)',
  'I (idle)',
];

/** Names states as the dead kernel itself did. */
export class TaskStates {
  private readonly states: readonly TaskState[];
  private readonly starting: TaskState;
  private readonly waking: TaskState;

  /** @param names `X (words)` by the number of the highest bit; fewer or others than expected are not used */
  constructor(names: readonly string[] = NAMES) {
    const sound = names.length === NAMES.length && names.every((name) => /^[A-Za-z] \([a-z ]+\)$/.test(name));
    this.states = (sound ? names : NAMES).map((name, index) => ({
      letter: name.charAt(0),
      code: CODES[index] ?? '??',
      words: name.slice(3, -1),
    }));
    this.starting = { letter: 'R', code: 'NE', words: 'new' };
    this.waking = { letter: 'R', code: 'WA', words: 'waking' };
  }

  /** As `get_task_state()` has it: the highest of the bits that /proc tells. */
  of(state: number, exitState: number): TaskState {
    const bits = (state | exitState) & REPORTED;
    const idle = (state & (UNINTERRUPTIBLE | NOLOAD)) === (UNINTERRUPTIBLE | NOLOAD) && bits < EXIT_ZOMBIE >> 1;
    let index = idle ? IDLE_INDEX : 32 - Math.clz32(bits);
    if (bits === 0 && (state & (RTLOCK_WAIT | FROZEN)) !== 0) index = 2;
    if (index === 0 && (state & NEW) !== 0) return this.starting;
    if (index === 0 && (state & WAKING) !== 0) return this.waking;
    return this.states[index] ?? UNKNOWN;
  }
}

const UNKNOWN: TaskState = { letter: '?', code: '??', words: 'unknown' };

/** The names from the kernel's `task_state_array`; where it cannot be read, those that it has had since 4.14. */
export function taskStates({ kernel, memory }: KernelView): TaskStates {
  const table = kernel.symbols.address('task_state_array');
  if (table === undefined) return new TaskStates();
  try {
    const names = NAMES.map((_, index) => memory.string(memory.pointer(table + BigInt(index * 8)), 32));
    return new TaskStates(names);
  } catch (error) {
    if (!(error instanceof ExhumeError)) throw error;
    return new TaskStates();
  }
}
