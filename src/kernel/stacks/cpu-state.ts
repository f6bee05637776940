import { type VirtualAddress, virtualAddress } from '../../bytes/address.js';
import { isExhumeError } from '../../bytes/errors.js';
import { viewOf } from '../../bytes/struct-table.js';
import type { Cpu } from '../../machine/machine.js';
import type { KernelView } from '../kernel-view.js';
import { cpuRegions, hotVariable, regionOf, taskRegion, threadSize } from './regions.js';
import { isPlausible, isUserMode, type RegisterSet, readSavedRegisters } from './registers.js';

/** What a CPU was doing when this kernel last ran on it. */
export interface CpuState {
  readonly cpu: number;
  /** Address of its current `task_struct`; undefined when that cannot be read. */
  readonly task: VirtualAddress | undefined;
  /** Its registers; undefined when no note of this kernel's has them. */
  readonly registers: RegisterSet | undefined;
  /** `notes`: of the dump. `crash_notes`: what the dying kernel saved in its memory. */
  readonly source: 'notes' | 'crash_notes' | undefined;
  /** Why the registers may be older than the memory, or are not taken for that; undefined: they are not. */
  readonly stale: string | undefined;
}

/**
 * The task that a CPU was running: `current_task`, in `pcpu_hot` from 6.2 to 6.14, else what its run queue says.
 * A CPU that was never started still has the first task there, which runs elsewhere.
 */
export function currentTask(view: KernelView, cpu: number): VirtualAddress | undefined {
  try {
    const current = hotVariable(view, 'current_task', cpu) ?? 0n;
    const address = current === 0n ? view.struct('rq', view.perCpu('runqueues', cpu)).pointer('curr') : current;
    if (address === 0n) return undefined;
    const task = view.struct('task_struct', address);
    const where = ['thread_info.cpu', 'cpu'].find((path) => task.has(path));
    return where === undefined || task.int(where) === cpu ? virtualAddress(address) : undefined;
  } catch (error) {
    if (isExhumeError(error)) return undefined;
    throw error;
  }
}

/**
 * A CPU's task and registers. Where another kernel ran on it by the time of the dump, as kdump's capture kernel does,
 * the notes are of that one: then what this kernel saved when it died is taken, and nothing when it saved nothing.
 */
export function cpuState(view: KernelView, cpu: number): CpuState {
  const task = currentTask(view, cpu);
  const found = notedCpu(view, cpu, task);
  // Without one that could be it, as where QEMU last asked in the firmware, by its number.
  const stale = (found ?? view.kernel.machine.cpus[cpu])?.stale;
  const saved = (): CpuState | undefined => {
    const registers = savedNote(view, cpu);
    return registers && { cpu, task, registers, source: 'crash_notes', stale: undefined };
  };
  const noted = (): CpuState | undefined => {
    const registers = found?.registers;
    if (found === undefined || registers === undefined) return undefined;
    if (stale !== undefined && !couldBeNow(view, cpu, task, found, registers)) return undefined;
    return { cpu, task, registers, source: 'notes', stale };
  };
  // A kernel's own dump has in its notes what the dead kernel saved, but not which CPU each is of.
  const current = view.kernel.machine.creator === 'qemu' && stale === undefined;
  return (
    (current ? (noted() ?? saved()) : (saved() ?? noted())) ?? {
      cpu,
      task,
      registers: undefined,
      source: undefined,
      stale: stale === undefined ? undefined : `${stale}; they are not of what it was running`,
    }
  );
}

/** Could old registers still be a CPU's: is its stack pointer on one of the stacks that it has now, or its page table its task's? */
function couldBeNow(
  view: KernelView,
  cpu: number,
  task: bigint | undefined,
  noted: Cpu,
  registers: RegisterSet,
): boolean {
  if (task === undefined) return false;
  try {
    const struct = view.struct('task_struct', task);
    if (isUserMode(registers)) {
      const mm = struct.follow('mm');
      const root = mm && view.memory.translate(mm.pointer('pgd'));
      return view.kernel.machine.rootsOf(noted).some((one) => one.root === root);
    }
    const own = taskRegion(struct, threadSize(view));
    const regions = [...(own === undefined ? [] : [own]), ...cpuRegions(view, cpu)];
    return regionOf(regions, registers.get('rsp') ?? 0n) !== undefined;
  } catch (error) {
    if (isExhumeError(error)) return false;
    throw error;
  }
}

/** The machine's CPU that is this kernel's CPU of a number, if it was still this kernel that ran on it. */
function notedCpu(view: KernelView, cpu: number, task: VirtualAddress | undefined): Cpu | undefined {
  const { machine } = view.kernel;
  const all = machine.cpus.filter(({ registers, mode }) => registers !== undefined && mode !== 'firmware');
  const area = perCpuArea(view, cpu);
  const byArea = all.filter((one) => machine.perCpuBasesOf(one).some((base) => base === area));
  const own = byArea.find((one) => runs(view, one) !== false);
  if (own !== undefined) return own;
  // Without segment bases: kdump's notes are in the order of the CPUs, or tell their tasks.
  const bare = all.filter((one) => machine.perCpuBasesOf(one).length === 0 && runs(view, one) !== false);
  const pid = task === undefined ? undefined : pidOf(view, task);
  if (machine.creator === 'qemu') return bare.find(({ index }) => index === cpu);
  return (pid === undefined || pid === 0 ? undefined : bare.find((one) => one.pid === pid)) ?? bare[cpu];
}

function perCpuArea(view: KernelView, cpu: number): bigint | undefined {
  try {
    return view.perCpu(0n, cpu);
  } catch (error) {
    if (isExhumeError(error)) return undefined;
    throw error;
  }
}

function pidOf(view: KernelView, task: bigint): number | undefined {
  try {
    return view.struct('task_struct', task).int('pid');
  } catch (error) {
    if (isExhumeError(error)) return undefined;
    throw error;
  }
}

/** Does a CPU's page table map this kernel's code where this kernel has it? Undefined when its registers name none. */
function runs({ kernel }: KernelView, cpu: Cpu): boolean | undefined {
  const text = kernel.symbols.address('_stext');
  const physical = text === undefined ? undefined : kernel.pageTable.translate(text);
  const roots = kernel.machine.rootsOf(cpu);
  if (text === undefined || physical === undefined || roots.length === 0) return undefined;
  return roots.some(({ root, levels }) => kernel.machine.pageTable(root, levels).translate(text) === physical);
}

const NT_PRSTATUS = 1;
/** `CORE` and its NUL. */
const NOTE_NAME_SIZE = 5;
/** In bytes: 336 on x86-64, 392 on arm64. */
const LARGEST_PRSTATUS = 4096;
/** Where `pr_reg` is in `struct elf_prstatus` of 64-bit machines; include/uapi/linux/elfcore.h. */
const PR_REG = 112n;

/** The registers that `crash_save_cpu()` saved of a CPU when the kernel died, if it did. */
function savedNote(view: KernelView, cpu: number): RegisterSet | undefined {
  try {
    const note = findSavedNote(view, cpu);
    if (note === undefined) return undefined;
    // The register set of a note is laid out as the kernel's own.
    const registers = readSavedRegisters(view, note.at + PR_REG);
    return isPlausible(registers) || isUserMode(registers) ? registers : undefined;
  } catch (error) {
    if (isExhumeError(error)) return undefined;
    throw error;
  }
}

/** `struct elf_prstatus` of a CPU as the dying kernel saved it; undefined when it did not. Throws memory's errors. */
export function savedPrstatus(view: KernelView, cpu: number): Uint8Array | undefined {
  const note = findSavedNote(view, cpu);
  return note && view.memory.bytes(note.at, note.size);
}

/** `crash_notes` points at a per-CPU area with room for a note of each CPU; kernel/crash_core.c. Gives its description. */
function findSavedNote(view: KernelView, cpu: number): { readonly at: bigint; readonly size: number } | undefined {
  const variable = view.kernel.symbols.address('crash_notes');
  if (variable === undefined) return undefined;
  const area = view.memory.pointer(variable);
  if (area === 0n) return undefined;
  const note = view.perCpu(area, cpu);
  const header = viewOf(view.memory.bytes(note, 12));
  const size = header.getUint32(4, true);
  const filled =
    header.getUint32(0, true) === NOTE_NAME_SIZE &&
    header.getUint32(8, true) === NT_PRSTATUS &&
    size > 0 &&
    size <= LARGEST_PRSTATUS;
  // Behind the header and the name, padded.
  return filled ? { at: note + 12n + 8n, size } : undefined;
}
