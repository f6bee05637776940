import { isExhumeError } from '../../bytes/errors.js';
import type { KernelView } from '../kernel-view.js';
import type { Struct } from '../types/struct.js';

/** A stack of the kernel, as crash names it. */
export interface StackRegion {
  readonly kind: 'task' | 'irq' | 'exception' | 'entry' | 'unknown';
  /** `task`, `IRQ`, `NMI exception`, `ENTRY trampoline`. */
  readonly name: string;
  readonly start: bigint;
  /** The first address above it: stacks grow down from here. */
  readonly end: bigint;
}

/** THREAD_SIZE and IRQ_STACK_SIZE without KASAN. */
const USUAL_STACK = 16384;
const SMALLEST_STACK = 4096;
const LARGEST_STACK = 1 << 20;

/** Below a task's stack is a page that nothing is mapped at (CONFIG_VMAP_STACK): a stack pointer there has run over. */
const GUARD = 4096n;

/** The stack that an address belongs to: that it lies on, whose end it is (the stack is empty), or that has run over. */
export function regionOf(regions: readonly StackRegion[], sp: bigint): StackRegion | undefined {
  return (
    regions.find(({ start, end }) => sp >= start && sp < end) ??
    regions.find(({ end }) => sp === end) ??
    regions.find(({ kind, start }) => kind === 'task' && sp < start && sp >= start - GUARD)
  );
}

/** `THREAD_SIZE` in bytes: what lies between the ends of the first task's stack, else the size of `struct irq_stack`. */
export function threadSize(view: KernelView): number {
  const { symbols } = view.kernel;
  for (const [from, to] of [
    ['__start_init_stack', '__end_init_stack'],
    ['__start_init_task', '__end_init_task'],
  ] as const) {
    const start = symbols.address(from);
    const end = symbols.address(to);
    const size = start === undefined || end === undefined ? 0 : Number(end - start);
    if (isStackSize(size)) return size;
  }
  const size = view.types.struct('irq_stack')?.size ?? 0;
  return isStackSize(size) ? size : USUAL_STACK;
}

function isStackSize(size: number): boolean {
  return size >= SMALLEST_STACK && size <= LARGEST_STACK && (size & (size - 1)) === 0;
}

/** The stack that a task has for its work in the kernel; undefined when the task has none any more. */
export function taskRegion(task: Struct, size: number): StackRegion | undefined {
  const start = task.pointer('stack');
  return start === 0n ? undefined : { kind: 'task', name: 'task', start, end: start + BigInt(size) };
}

/** The stacks of a CPU for interrupts, exceptions and entries: those that this kernel's types and symbols lead to. */
export function cpuRegions(view: KernelView, cpu: number): StackRegion[] {
  return [irqRegions, exceptionRegions, entryRegions].flatMap((read) => {
    try {
      return read(view, cpu);
    } catch (error) {
      // A CPU that never came up has none; one that is not in the dump cannot be told.
      if (isExhumeError(error)) return [];
      throw error;
    }
  });
}

/** `hardirq_stack_ptr` points at the stack's top, or at its last word since 5.8; in `pcpu_hot` from 6.2 to 6.14. */
function irqRegions(view: KernelView, cpu: number): StackRegion[] {
  const pointer = hotVariable(view, 'hardirq_stack_ptr', cpu);
  if (pointer === undefined || pointer === 0n) return [];
  const size = view.types.struct('irq_stack')?.size ?? USUAL_STACK;
  const end = (pointer + 0xfffn) & ~0xfffn;
  return isStackSize(size) ? [{ kind: 'irq', name: 'IRQ', start: end - BigInt(size), end }] : [];
}

/** A variable that is per-CPU by itself, or a member of `pcpu_hot`. Undefined when the kernel has it in neither place. */
export function hotVariable(view: KernelView, name: string, cpu: number): bigint | undefined {
  const own = view.kernel.symbols.address(name);
  if (own !== undefined) return view.memory.pointer(view.perCpu(own, cpu));
  const hot = view.kernel.symbols.address('pcpu_hot');
  if (hot === undefined || view.types.struct('pcpu_hot')?.field(name) === undefined) return undefined;
  return view.struct('pcpu_hot', view.perCpu(hot, cpu)).pointer(name);
}

/** `cea_exception_stacks` of arch/x86/include/asm/cpu_entry_area.h: a guard page and a stack each. */
function exceptionRegions(view: KernelView, cpu: number): StackRegion[] {
  const type = view.types.struct('cea_exception_stacks');
  const symbol = view.kernel.symbols.address('cea_exception_stacks');
  if (type === undefined || symbol === undefined) return [];
  const base = view.memory.pointer(view.perCpu(symbol, cpu));
  if (base === 0n) return [];
  return EXCEPTIONS.flatMap((name) => {
    const field = type.field(`${name}_stack`);
    if (field === undefined || field.size === 0) return [];
    const start = base + BigInt(field.offset);
    return [{ kind: 'exception' as const, name: `${name} exception`, start, end: start + BigInt(field.size) }];
  });
}

const EXCEPTIONS: readonly string[] = ['DF', 'NMI', 'DB', 'MCE', 'VC', 'VC2'];

/** The trampoline stack, whose end the task-state segment has as the stack for entries from user mode. */
function entryRegions(view: KernelView, cpu: number): StackRegion[] {
  const size = view.types.struct('entry_stack')?.size;
  const symbol = view.kernel.symbols.address('cpu_tss_rw');
  if (size === undefined || symbol === undefined) return [];
  const end = view.struct('tss_struct', view.perCpu(symbol, cpu)).big('x86_tss.sp0');
  // A page-aligned structure of words at the page's start, or the whole page.
  return end === 0n ? [] : [{ kind: 'entry', name: 'ENTRY trampoline', start: end - BigInt(size), end }];
}
