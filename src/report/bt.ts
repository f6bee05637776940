import { hex } from '../bytes/address.js';
import { type Damage, damageOf as damageFrom, ExhumeError, isExhumeError } from '../bytes/errors.js';
import type { KernelView } from '../kernel/kernel-view.js';
import { PageArray } from '../kernel/memory/pages.js';
import type { StackCandidate, StackFrame } from '../kernel/stacks/frame.js';
import { frameWords, type StackWord, stackWords } from '../kernel/stacks/stack-words.js';
import { type Stacks, stacksOf, type TaskStack } from '../kernel/stacks/stacks.js';
import type { SymbolHit } from '../kernel/symbols.js';
import type { Task } from '../kernel/tasks/task.js';
import { readTasks, type TaskList } from '../kernel/tasks/task-list.js';
import { requireView } from './kernel-view.js';
import type { BtReport, FrameReport, StackReport, StackWordReport } from './schema/bt.js';
import { type DebugFiles, sourceLines } from './source-lines.js';
import type { Subject } from './subject.js';
import { selectTasks } from './task-selection.js';
import { damageOf, hexOrNull } from './words.js';

export interface BtOptions {
  /** pids, `task_struct` addresses and names. */
  readonly selectors?: readonly string[] | undefined;
  /** The tasks that these CPUs were running. */
  readonly cpus?: readonly number[] | undefined;
  /** The tasks that all CPUs were running. */
  readonly active?: boolean | undefined;
  readonly all?: boolean | undefined;
  /** With every address of kernel code on the stacks. */
  readonly textAddresses?: boolean | undefined;
  /** With lines of source, from these. */
  readonly debugFiles?: DebugFiles | undefined;
  /** Those of the whole stacks, also below where they were in use. */
  readonly allTextAddresses?: boolean | undefined;
  /** With the words of each frame. */
  readonly words?: boolean | undefined;
  /** With all words of the task's stack. */
  readonly raw?: boolean | undefined;
}

/**
 * Stacks of tasks: of those that are asked for, else of the task in which the kernel died, else of all that were running.
 * Throws EXH_NO_KERNEL, EXH_NO_LAYOUT without types, EXH_USAGE for a CPU that the kernel does not have,
 * EXH_NO_DEBUG_FILE for a given debug file of another build.
 */
export function buildBt(subject: Subject, options: BtOptions = {}): BtReport {
  const view = requireView(subject);
  const stacks = stacksOf(view);
  const list = readTasks(view);
  const panicking = panickingTask(stacks);
  const { tasks, unmatched, missing } = chosenTasks(stacks, list, panicking, options);
  const damage: Damage[] = [...list.damage, ...missing];
  const frames = new FrameReports();
  /** Kept only where lines are asked for. */
  const asked = new Map<StackFrame, FrameReport>();
  const describe = wordDescriber(view);
  const reports = tasks.flatMap((task) => {
    try {
      const stack = stacks.unwindTask(task.address);
      if (stack.end === 'lost') damage.push(lostStack(task, stack));
      const whole = options.allTextAddresses === true;
      const candidates = options.textAddresses || whole ? stacks.candidates(stack, whole) : undefined;
      const region = options.raw ? stacks.taskRegion(task.address) : undefined;
      const raw = region && stackWords(view, region.start, region.end).map(describe);
      const words = options.words
        ? stack.frames.map((frame, index) => frameWords(view, frame, stack.frames[index + 1]).map(describe))
        : undefined;
      const report = stackReport(task, stack, frames, { panicked: task.address === panicking, candidates, words, raw });
      if (options.debugFiles !== undefined) {
        for (const [index, frame] of report.frames.entries()) asked.set(stack.frames[index] as StackFrame, frame);
      }
      return [report];
    } catch (error) {
      damage.push(damageFrom(`stack of pid ${task.pid}`, error));
      return [];
    }
  });
  const sources = options.debugFiles && sourceLines(view, [...asked.keys()], options.debugFiles);
  for (const [frame, report] of asked) report.line = sources?.lines.get(frame) ?? null;
  const all = damageOf(subject, [...stacks.damage, ...damage, ...(sources?.damage ?? [])]);
  return {
    schema: 'exhume-bt/1',
    complete: all.length === 0 && unmatched.length === 0,
    tables: stacks.orcFormat ?? null,
    stacks: reports,
    debugFiles: sources?.files ?? null,
    unmatched,
    damage: all,
  };
}

/** The task that the CPU which panicked was running; undefined when none panicked. */
function panickingTask(stacks: Stacks): bigint | undefined {
  const { panicCpu } = stacks.view.kernel;
  if (panicCpu === undefined) return undefined;
  try {
    return stacks.cpu(panicCpu).task;
  } catch (error) {
    if (isExhumeError(error)) return undefined;
    throw error;
  }
}

interface Chosen {
  readonly tasks: readonly Task[];
  readonly unmatched: string[];
  readonly missing: readonly Damage[];
}

function chosenTasks(
  stacks: Stacks,
  list: TaskList,
  panicking: bigint | undefined,
  { selectors = [], cpus, active, all }: BtOptions,
): Chosen {
  if (all) return { tasks: list.tasks, unmatched: [], missing: [] };
  if (selectors.length > 0) return { ...selectTasks(list.tasks, selectors), missing: [] };
  const died = panicking === undefined ? undefined : list.byAddress.get(panicking);
  if (cpus === undefined && !active && died !== undefined) return { tasks: [died], unmatched: [], missing: [] };
  return { ...runningTasks(stacks, list, cpus), unmatched: [] };
}

/** What CPUs were running, in the order of their numbers. */
function runningTasks(stacks: Stacks, list: TaskList, only: readonly number[] | undefined) {
  const tasks: Task[] = [];
  const missing: Damage[] = [];
  for (const cpu of only ?? stacks.cpus()) {
    if (only !== undefined && cpu >= stacks.view.cpuCount) {
      throw new ExhumeError(
        'EXH_USAGE',
        `this kernel has no CPU ${cpu}; it has ${stacks.view.cpuCount}, counted from 0`,
      );
    }
    const current = stacks.cpu(cpu).task;
    const task = current === undefined ? undefined : list.byAddress.get(current);
    if (task !== undefined) tasks.push(task);
    // A CPU that was never started has none; it is worth a word only where it was asked for.
    else if (only !== undefined || current !== undefined) missing.push(idleCpu(cpu));
  }
  return { tasks, missing };
}

function idleCpu(cpu: number): Damage {
  return { code: 'EXH_BAD_STRUCTURE', part: `CPU ${cpu}`, message: 'it was running no task that is known' };
}

function lostStack({ pid }: Task, { problems }: TaskStack): Damage {
  const message = problems.at(-1) ?? 'it does not lead to its end';
  return { code: 'EXH_BAD_STRUCTURE', part: `stack of pid ${pid}`, message };
}

interface StackDetails {
  readonly panicked: boolean;
  readonly candidates: readonly StackCandidate[] | undefined;
  /** Of each frame. */
  readonly words: readonly StackWordReport[][] | undefined;
  readonly raw: StackWordReport[] | undefined;
}

function stackReport(
  { pid, address, cpu, comm }: Task,
  stack: TaskStack,
  frames: FrameReports,
  { panicked, candidates, words, raw }: StackDetails,
): StackReport {
  return {
    pid,
    task: hex(address),
    cpu: stack.cpu ?? cpu,
    comm,
    active: stack.cpu !== undefined,
    panicked,
    start: stack.start,
    stale: stack.stale ?? null,
    end: stack.end,
    frames: stack.frames.map((frame, index) => frames.of(frame, words?.[index] ?? null)),
    candidates:
      candidates?.map(({ slot, address: word, symbol, inFrame }) => ({
        slot: hex(slot),
        address: hex(word),
        ...symbolFields(symbol),
        inFrame,
      })) ?? null,
    raw: raw ?? null,
    problems: [...stack.problems],
  };
}

/** Says what a word of a stack is an address of. */
function wordDescriber(view: KernelView): (word: StackWord) => StackWordReport {
  const { symbols } = view.kernel;
  let pages: PageArray | undefined;
  try {
    pages = new PageArray(view);
  } catch (error) {
    // Without it no object is told; the words themselves are there all the same.
    if (!isExhumeError(error)) throw error;
  }
  return ({ slot, value }) => {
    const hit = value === undefined ? undefined : symbols.at(value);
    return {
      slot: hex(slot),
      value: hexOrNull(value),
      symbol: hit === undefined ? null : `${hit.symbol.name}${hit.offset === 0 ? '' : `+${hit.offset}`}`,
      cache: value === undefined || hit !== undefined ? null : (pages?.slabObject(value)?.cache ?? null),
    };
  };
}

type RegisterReport = NonNullable<FrameReport['registers']>[number];

/**
 * Frames as JSON has them. Those of 20,000 threads have 400,000 registers between them and few that differ:
 * what is the same is one object.
 */
class FrameReports {
  private readonly addresses = new Map<bigint, string>();
  private readonly registers = new Map<string, Map<bigint, RegisterReport>>();

  of(frame: StackFrame, words: FrameReport['words']): FrameReport {
    return {
      kind: frame.kind,
      address: once(this.addresses, frame.address, hex),
      ...symbolFields(frame.symbol),
      sp: hex(frame.sp),
      slot: hexOrNull(frame.slot),
      line: null,
      stack: frame.stack?.name ?? null,
      confidence: frame.confidence,
      replacedBy: frame.replacedBy ?? null,
      registers: frame.registers === undefined ? null : [...frame.registers].map(this.register),
      words,
    };
  }

  private readonly register = ([name, value]: readonly [string, bigint]): RegisterReport => {
    const values = once(this.registers, name, () => new Map<bigint, RegisterReport>());
    return once(values, value, () => ({ name, value: hex(value) }));
  };
}

/** What a map has for a key, made when it is asked for first. */
function once<K, V>(known: Map<K, V>, key: K, make: (key: K) => V): V {
  let value = known.get(key);
  if (value === undefined) {
    value = make(key);
    known.set(key, value);
  }
  return value;
}

function symbolFields(hit: SymbolHit | undefined): Pick<FrameReport, 'symbol' | 'offset' | 'module'> {
  return { symbol: hit?.symbol.name ?? null, offset: hit?.offset ?? null, module: hit?.symbol.module ?? null };
}
