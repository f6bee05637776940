import { isExhumeError } from '../../bytes/errors.js';
import type { KernelView } from '../kernel-view.js';
import type { KernelTypes } from '../types/kernel-types.js';
import type { Struct } from '../types/struct.js';
import type { Task } from './task.js';

/** The memory of a process, in pages. */
export interface TaskMemory {
  /** Mapped: `mm->total_vm`. */
  readonly virtual: number;
  /** In memory: file, anonymous and shared pages. */
  readonly resident: number;
}

const NOTHING: TaskMemory = { virtual: 0, resident: 0 };

/** Which of `rss_stat`'s counters (include/linux/mm_types_task.h) are of resident pages; swap entries are not. */
export function residentCounters(types: KernelTypes): number[] {
  const names = ['MM_FILEPAGES', 'MM_ANONPAGES', 'MM_SHMEMPAGES'];
  const known = names.map((name) => types.enumerator(name)).filter((value) => value !== undefined);
  return known.length > 0 ? known.map(Number) : [0, 1, 3];
}

/**
 * Reads how much memory processes have: `mm_struct.rss_stat` as an array of counters (to 6.1), to which its threads'
 * own counts come (`task_struct.rss_stat`), or of per-CPU counters (since 6.2), whose CPUs' parts are added up.
 */
export class TaskMemoryReader {
  private readonly known = new Map<bigint, TaskMemory | undefined>();
  private readonly ownPages = new Map<bigint, number>();
  private readonly resident: readonly number[];
  private readonly cpus: readonly number[];

  /** @param tasks all, because threads count pages for the mm that they share */
  constructor(
    private readonly view: KernelView,
    tasks: readonly Task[],
  ) {
    this.resident = residentCounters(view.types);
    this.cpus = view.cpus('possible');
    for (const { mm, ownPages } of tasks) {
      if (ownPages !== 0) this.ownPages.set(mm, (this.ownPages.get(mm) ?? 0) + ownPages);
    }
  }

  /** A task's memory, nothing for kernel threads; undefined where it could not be read. */
  of({ mm }: Task): TaskMemory | undefined {
    if (mm === 0n) return NOTHING;
    if (!this.known.has(mm)) this.known.set(mm, this.read(mm));
    return this.known.get(mm);
  }

  private read(address: bigint): TaskMemory | undefined {
    try {
      const mm = this.view.struct('mm_struct', address);
      const pages = this.resident.reduce((sum, kind) => sum + Math.max(0, this.counter(mm, kind)), 0);
      return { virtual: mm.int('total_vm'), resident: Math.max(0, pages + (this.ownPages.get(address) ?? 0)) };
    } catch (error) {
      if (!isExhumeError(error)) throw error;
      return undefined;
    }
  }

  private counter(mm: Struct, kind: number): number {
    const { memory } = this.view;
    if (mm.has('rss_stat.count')) return Number(memory.i64(mm.addressOf('rss_stat.count') + BigInt(kind * 8)));
    const counter = this.view.types.requireStruct('percpu_counter');
    const at = mm.addressOf('rss_stat') + BigInt(kind * counter.size);
    let pages = Number(memory.i64(at + BigInt(counter.require('count').offset)));
    const perCpu = counter.field('counters');
    const counters = perCpu === undefined ? 0n : memory.pointer(at + BigInt(perCpu.offset));
    if (counters === 0n) return pages;
    for (const cpu of this.cpus) pages += memory.i32(this.view.perCpu(counters, cpu));
    return pages;
  }
}

/** Pages of memory below `high_memory`: what crash's %MEM is a part of; undefined where the kernel does not tell. */
export function physicalPages({ kernel, memory }: KernelView): number | undefined {
  const symbol = kernel.symbols.address('high_memory');
  const { directMap } = kernel;
  if (symbol === undefined || directMap === undefined) return undefined;
  try {
    const pages = Number((memory.pointer(symbol) - directMap) / BigInt(memory.physical.pageSize));
    return pages > 0 && pages < 2 ** 40 ? pages : undefined;
  } catch (error) {
    if (!isExhumeError(error)) throw error;
    return undefined;
  }
}
