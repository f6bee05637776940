import { type VirtualAddress, virtualAddress } from '../../bytes/address.js';
import { type Damage, isExhumeError } from '../../bytes/errors.js';
import type { KernelView } from '../kernel-view.js';
import type { Struct } from '../types/struct.js';
import { type CpuState, cpuState } from './cpu-state.js';
import type { Stack, StackCandidate } from './frame.js';
import { textWords } from './guess.js';
import { OrcTables } from './orc-tables.js';
import type { Position, UnwindContext } from './position.js';
import { cpuRegions, regionOf, type StackRegion, taskRegion, threadSize } from './regions.js';
import { isUserMode, type RegisterSet } from './registers.js';
import { ReplacedReturns } from './replaced-returns.js';
import { KernelText } from './text.js';
import { unwind } from './unwinder.js';

/** A task's stack, and what it was followed from. */
export interface TaskStack extends Stack {
  /** Address of the `task_struct`. */
  readonly task: VirtualAddress;
  /** The CPU that was running it; undefined for a task that was not running. */
  readonly cpu: number | undefined;
  /** Where the walk began: the switch away from the task, or registers; `scan` where neither is to be had. */
  readonly start: 'switch' | 'notes' | 'crash_notes' | 'scan';
  /** Why the registers of its CPU may be older than it, in words; undefined: they are not. */
  readonly stale?: string | undefined;
}

/** A stack pointer outside every stack that is known: as much is looked at as a stack may have. */
const UNKNOWN_STACK = 16384n;

/** Functions in which a CPU that dies or is stopped stays, so that where they were called the stack is in use. */
const LAST_CALLS = new Set(['__crash_kexec', 'vpanic', 'panic', 'stop_this_cpu', 'crash_nmi_callback']);

/** The stacks of a dead kernel's tasks and CPUs. Tables, symbols and stacks are read when they are asked for, and kept. */
export class Stacks {
  /** What was broken in the tables. */
  readonly damage: Damage[] = [];
  private readonly orc: OrcTables;
  private readonly text: KernelText;
  private readonly size: number;
  private readonly states = new Map<number, CpuState>();
  private running: ReadonlyMap<bigint, number> | undefined;

  /** Throws EXH_NO_LAYOUT for a kernel that does not tell `struct task_struct`. */
  constructor(readonly view: KernelView) {
    view.types.requireStruct('task_struct');
    this.orc = new OrcTables(view, this.damage);
    this.text = new KernelText(view);
    this.size = threadSize(view);
  }

  /** Which kernels have the format of this one's ORC tables, in words; undefined when they could not be used. */
  get orcFormat(): string | undefined {
    return this.orc.formatName;
  }

  /** What a CPU was running. Throws EXH_BAD_STRUCTURE for a CPU that the kernel does not have. */
  cpu(cpu: number): CpuState {
    const known = this.states.get(cpu);
    if (known !== undefined) return known;
    this.view.perCpu(0n, cpu);
    const state = cpuState(this.view, cpu);
    this.states.set(cpu, state);
    return state;
  }

  /** The CPUs that the kernel was told of; those that it stopped when it died are among them. */
  cpus(): number[] {
    return this.view.cpus('present');
  }

  /** The CPU that was running a task; undefined when none was. */
  cpuOf(task: bigint): number | undefined {
    this.running ??= new Map(
      this.cpus().flatMap((cpu): [bigint, number][] => {
        const { task: current } = this.cpu(cpu);
        return current === undefined ? [] : [[current, cpu]];
      }),
    );
    return this.running.get(task);
  }

  /** The stack of the task that a CPU was running; undefined when it is not known which. Throws EXH_BAD_STRUCTURE. */
  unwindCpu(cpu: number): TaskStack | undefined {
    const { task } = this.cpu(cpu);
    return task === undefined ? undefined : this.unwindTask(task);
  }

  /** A task's stack, by the address of its `task_struct`. Throws memory's errors when the task itself is not there. */
  unwindTask(task: bigint): TaskStack {
    const struct = this.view.struct('task_struct', task);
    const cpu = this.cpuOf(task);
    const state = cpu === undefined ? undefined : this.cpu(cpu);
    const own = taskRegion(struct, this.size);
    const regions = [...(own === undefined ? [] : [own]), ...(cpu === undefined ? [] : cpuRegions(this.view, cpu))];
    const stale = state?.stale;
    const common = { task: struct.address, cpu, stale };
    if (state?.registers !== undefined && state.source !== undefined) {
      const position = fromRegisters(state.registers);
      const known = isUserMode(state.registers) || regionOf(regions, position.sp) !== undefined;
      if (!known) regions.push(unknownRegion(position.sp));
      const found = unwind(this.context(struct, regions), position);
      if (stale === undefined || found.end !== 'lost')
        return { ...common, start: state.source, ...withDoubt(found, stale) };
    }
    const context = this.context(struct, regions);
    if (own === undefined) return { ...common, start: 'switch', frames: [], end: 'bottom', problems: [] };
    if (cpu === undefined) {
      try {
        return { ...common, start: 'switch', ...unwind(context, this.fromSwitch(struct)) };
      } catch (error) {
        if (!isExhumeError(error)) throw error;
        return { ...common, start: 'switch', frames: [], end: 'lost', problems: [error.message] };
      }
    }
    const found = this.fromScan(context);
    if (stale === undefined || found.frames.length > 0) return { ...common, start: 'scan', ...withDoubt(found, stale) };
    return { ...common, start: 'switch', ...withDoubt(this.fromLastSwitch(context, struct), stale) };
  }

  /** The stack that a task has for its work in the kernel; undefined when it has none any more. */
  taskRegion(task: bigint): StackRegion | undefined {
    return taskRegion(this.view.struct('task_struct', task), this.size);
  }

  /** Every word on the stacks of a task that is an address of kernel code, from where the walk began, or from their beginning. */
  candidates(stack: TaskStack, whole = false): StackCandidate[] {
    const frames = new Set(stack.frames.map(({ slot }) => slot));
    const regions: StackRegion[] = [];
    const starts = new Map<StackRegion, bigint>();
    for (const { stack: region, sp, slot } of stack.frames) {
      if (region === undefined || starts.has(region)) continue;
      regions.push(region);
      starts.set(region, slot !== undefined && slot >= region.start && slot < region.end ? slot : sp);
    }
    return regions.flatMap((region) =>
      [...textWords(this.view, this.text, (whole ? undefined : starts.get(region)) ?? region.start, region.end)].map(
        ({ slot, address }) => ({
          slot: virtualAddress(slot),
          address: virtualAddress(address),
          symbol: this.text.at(address),
          inFrame: frames.has(virtualAddress(slot)),
        }),
      ),
    );
  }

  private context(task: Struct, regions: readonly StackRegion[]): UnwindContext {
    const returns = new ReplacedReturns(this.view, task, this.text);
    return { view: this.view, orc: this.orc, text: this.text, returns, regions };
  }

  /** `__switch_to_asm` leaves a `struct inactive_task_frame` where `thread.sp` points; arch/x86/include/asm/switch_to.h. */
  private fromSwitch(task: Struct): Position {
    const sp = task.big('thread.sp');
    const frame = this.view.struct('inactive_task_frame', sp);
    const ip = frame.big('ret_addr');
    // A task that has not run yet begins there: it was not called, and its address is that of the first instruction.
    const signal = this.text.at(ip)?.offset === 0;
    const slot = frame.addressOf('ret_addr');
    const registers = signal ? new Map([['rip', ip]]) : undefined;
    return { ip, sp: slot + 8n, bp: frame.big('bp'), signal, registers, slot, guessed: false, doubtful: false };
  }

  /**
   * Of a task that ran, with nothing to tell where: from where it was switched away from before. What lies further out,
   * as an idle CPU's loop, is as it was, unless the task has returned from there since.
   */
  private fromLastSwitch(context: UnwindContext, task: Struct): Stack {
    try {
      return unwind(context, { ...this.fromSwitch(task), guessed: true, doubtful: true });
    } catch (error) {
      if (!isExhumeError(error)) throw error;
      return { frames: [], end: 'lost', problems: [error.message] };
    }
  }

  /** Without registers: from the innermost place where a CPU that dies or is stopped is known to stay, else nothing. */
  private fromScan(context: UnwindContext): Stack {
    const problem = 'there are no registers of the CPU that was running it';
    for (const { start, end } of [...context.regions].reverse()) {
      for (const { slot, address } of textWords(this.view, this.text, start, end)) {
        if (!this.text.isReturnAddress(address) || !this.isLastCall(address)) continue;
        const common = { bp: undefined, signal: false, registers: undefined, slot, guessed: true, doubtful: true };
        const found = unwind(context, { ...common, ip: address, sp: slot + 8n });
        if (found.end !== 'lost') return { ...found, problems: [problem, ...found.problems] };
      }
    }
    return { frames: [], end: 'lost', problems: [problem] };
  }

  /** Is a return address in such a function, or did the call before it go there? */
  private isLastCall(address: bigint): boolean {
    const target = this.text.callTarget(address);
    const names = [this.text.at(address - 1n), target === undefined ? undefined : this.text.at(target)];
    return names.some((hit) => hit !== undefined && LAST_CALLS.has(hit.symbol.name));
  }
}

/** A stack, with the word that its registers may be old first among its problems. */
function withDoubt(stack: Stack, stale: string | undefined): Stack {
  return stale === undefined ? stack : { ...stack, problems: [`registers may be old: ${stale}`, ...stack.problems] };
}

function fromRegisters(registers: RegisterSet): Position {
  const [ip, sp] = [registers.get('rip') ?? 0n, registers.get('rsp') ?? 0n];
  return {
    ip,
    sp,
    bp: registers.get('rbp'),
    signal: true,
    registers,
    slot: undefined,
    guessed: false,
    doubtful: false,
  };
}

function unknownRegion(sp: bigint): StackRegion {
  const start = sp & ~7n;
  return { kind: 'unknown', name: 'unknown', start, end: (start & ~(UNKNOWN_STACK - 1n)) + UNKNOWN_STACK };
}

const kept = new WeakMap<KernelView, Stacks>();

/** The stacks of a kernel, the same for everyone who asks. Throws EXH_NO_LAYOUT. */
export function stacksOf(view: KernelView): Stacks {
  const known = kept.get(view);
  if (known !== undefined) return known;
  const stacks = new Stacks(view);
  kept.set(view, stacks);
  return stacks;
}

/** A task's stack, by the address of its `task_struct`; see `Stacks`. */
export function unwindTask(view: KernelView, task: bigint): TaskStack {
  return stacksOf(view).unwindTask(task);
}

/** The stack of the task that a CPU was running; undefined when it is not known which; see `Stacks`. */
export function unwindCpu(view: KernelView, cpu: number): TaskStack | undefined {
  return stacksOf(view).unwindCpu(cpu);
}
