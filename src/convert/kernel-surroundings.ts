import { type VirtualAddress, virtualAddress } from '../bytes/address.js';
import { isExhumeError } from '../bytes/errors.js';
import { viewOf } from '../bytes/struct-table.js';
import type { Kernel } from '../kernel/kernel.js';
import { KernelView } from '../kernel/kernel-view.js';
import { PageArray } from '../kernel/memory/pages.js';
import { readModuleDetails } from '../kernel/module-details.js';
import { cpuRegions, threadSize } from '../kernel/stacks/regions.js';
import { Stacks } from '../kernel/stacks/stacks.js';
import { readTasks } from '../kernel/tasks/task-list.js';
import type { Struct } from '../kernel/types/struct.js';

/** Where the kernel's half of the address space begins and ends, with five levels and with four. */
const KERNEL_HALF = virtualAddress(0xff00_0000_0000_0000n);
const LAST = virtualAddress(0xffff_ffff_ffff_ffffn);
/** No kernel's image, module or per-CPU area is larger, in bytes. */
const LARGEST_AREA = 256n << 20n;
/** Parts of the image without code, kallsyms and BTF, which commands read as far as they need; include/asm-generic/vmlinux.lds.h. */
const DATA = [
  ['__start_rodata', 'kallsyms_num_syms'],
  ['__start_ro_after_init', '__end_ro_after_init'],
  ['_sdata', '_edata'],
  ['__bss_start', '_end'],
] as const;
/** What a task leads to; those of one process share them. */
const TASK_PARTS = ['mm', 'files', 'fs', 'signal', 'sighand', 'cred', 'real_cred', 'nsproxy', 'sched_task_group'];

/**
 * Reads what is asked next when the commands have answered: the kernel's page tables and data, its modules, the
 * per-CPU areas, and of every task the `task_struct`, the stack, the functions on it, and the structures that it owns,
 * all of them in whole. What cannot be read is passed over.
 *
 * Of the kernel's code nothing but functions on stacks: it is more than all else, and is the same in the kernel's file.
 */
export function readSurroundings(kernel: Kernel): void {
  const reader = new WholeReader(kernel);
  reader.try(() => reader.pageTables());
  reader.try(() => reader.data());
  let view: KernelView | undefined;
  reader.try(() => {
    view = new KernelView(kernel);
  });
  if (view === undefined) return;
  const known = view;
  reader.try(() => reader.modules(known));
  reader.try(() => reader.cpus(known));
  reader.try(() => reader.tasks(known));
}

class WholeReader {
  private readonly page: Uint8Array;

  constructor(private readonly kernel: Kernel) {
    this.page = new Uint8Array(kernel.memory.physical.pageSize);
  }

  /** All tables of the kernel's half; what they map is not read. */
  pageTables(): void {
    for (const _ of this.kernel.pageTable.mappings(KERNEL_HALF, LAST));
  }

  data(): void {
    const { symbols } = this.kernel;
    for (const [from, to] of DATA) {
      const [start, end] = [symbols.address(from), symbols.address(to)];
      if (start !== undefined && end !== undefined) this.area(start, end);
    }
  }

  modules(view: KernelView): void {
    for (const { address, areas } of readModuleDetails(view, [])) {
      this.object(view.struct('module', address));
      // Areas for loading only are given back when it is loaded.
      for (const { name, base, size } of areas) if (!name.startsWith('init')) this.area(base, base + BigInt(size));
    }
  }

  cpus(view: KernelView): void {
    const start = view.address('__per_cpu_start');
    const unit = view.kernel.symbols.address('pcpu_unit_size');
    const size = unit === undefined ? view.address('__per_cpu_end') - start : BigInt(view.memory.u32(unit));
    const objects = new StackObjects(view);
    for (const cpu of view.cpus('possible')) {
      const from = view.perCpu(start, cpu);
      this.area(from, from + size);
      for (const region of cpuRegions(view, cpu)) {
        this.area(region.start, region.end);
        this.try(() => objects.onStack(region.start, region.end));
      }
    }
  }

  tasks(view: KernelView): void {
    const size = BigInt(threadSize(view));
    const stacks = new Stacks(view);
    const objects = new StackObjects(view);
    const functions = new Map<bigint, number>();
    for (const { address, stack } of readTasks(view).tasks) {
      const task = view.struct('task_struct', address);
      this.object(task);
      if (stack !== 0n) {
        this.area(stack, stack + size);
        this.try(() => objects.onStack(stack, stack + size));
      }
      this.try(() => {
        const unwound = stacks.unwindTask(address);
        for (const { symbol } of unwound.frames) {
          if (symbol !== undefined) functions.set(symbol.symbol.address, symbol.size);
        }
        stacks.candidates(unwound, true);
      });
      for (const part of TASK_PARTS) {
        this.try(() => {
          const struct = task.has(part) ? task.follow(part) : undefined;
          if (struct !== undefined) this.object(struct);
        });
      }
    }
    for (const [start, length] of functions) this.area(start, start + BigInt(length));
  }

  /** Does a step as far as memory lets it. */
  try(step: () => void): void {
    try {
      step();
    } catch (error) {
      if (!isExhumeError(error)) throw error;
    }
  }

  private object({ address, type }: Struct): void {
    this.area(address, address + BigInt(type.size));
  }

  /** Every page of an area, those that are not mapped or not there passed over. */
  private area(start: bigint, end: bigint): void {
    const { memory } = this.kernel;
    const pageSize = BigInt(this.page.length);
    const last = end - start > LARGEST_AREA ? start + LARGEST_AREA : end;
    for (let at = start - (start % pageSize); at < last; at += pageSize) {
      const physical = memory.translate(at as VirtualAddress);
      if (physical !== undefined) memory.physical.tryRead(physical, this.page.subarray(0, 1));
    }
  }
}

/** Asks of what slab object each word on a stack is the address, as `bt -F` does: no answer is kept, but it was read. */
class StackObjects {
  private readonly pages: PageArray;
  private readonly seen = new Set<bigint>();

  constructor(private readonly view: KernelView) {
    this.pages = new PageArray(view);
  }

  /** Throws memory's errors where the stack is not there. */
  onStack(start: bigint, end: bigint): void {
    const { directMap, memory } = this.view.kernel;
    if (directMap === undefined) return;
    const pageSize = BigInt(memory.physical.pageSize);
    const words = viewOf(memory.bytes(start, Number(end - start)));
    for (let at = 0; at + 8 <= words.byteLength; at += 8) {
      const word = words.getBigUint64(at, memory.littleEndian);
      if (word < directMap || this.seen.has(word / pageSize)) continue;
      this.seen.add(word / pageSize);
      this.pages.slabObject(word);
    }
  }
}
