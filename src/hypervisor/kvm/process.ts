import type { Damage } from '../../bytes/errors.js';
import { attempt } from '../../kernel/collect.js';
import { readVariable } from '../../kernel/identity.js';
import type { KernelView } from '../../kernel/kernel-view.js';
import { readMemoryAreas } from '../../kernel/memory/address-space.js';
import { readArguments } from '../../kernel/tasks/arguments.js';
import type { Task } from '../../kernel/tasks/task.js';
import type { Struct } from '../../kernel/types/struct.js';
import { guestNameOf, optionOf } from '../command-line.js';
import type { GuestProcess } from '../guest.js';
import { filePages } from './file-pages.js';
import { HostSwap } from './host-swap.js';
import { ProcessAreas } from './process-areas.js';
import { ProcessPages } from './process-pages.js';
import { SlotMemory } from './slot-memory.js';

/** The process that has a guest's memory. */
export interface VmProcess {
  /** Undefined where no task has its memory any more. */
  readonly told: GuestProcess | undefined;
  readonly pages: ProcessPages;
  readonly areas: ProcessAreas;
}

/** Reads the process behind `kvm->mm`. Throws EXH_BAD_STRUCTURE, EXH_NO_LAYOUT and memory's errors. */
export function readVmProcess(
  view: KernelView,
  mm: Struct,
  tasks: readonly Task[],
  damage: Damage[],
): VmProcess | undefined {
  const root = view.memory.translate(mm.pointer('pgd'));
  if (root === undefined) return undefined;
  const { levels } = view.kernel.pageTable;
  const areas = new ProcessAreas(readMemoryAreas(view, mm, damage), filePages(view));
  const encryption = attempt(damage, 'sme_me_mask', () => readVariable(view.kernel, 'sme_me_mask'));
  const { physical } = view.memory;
  const pages = new ProcessPages(
    physical,
    Math.floor(root / physical.pageSize),
    levels === 5 ? 5 : 4,
    areas,
    encryption,
  );
  const own = tasks.filter((task) => task.mm === mm.address);
  const leader = own.find((task) => task.pid === task.tgid) ?? own[0];
  return { told: leader && describe(view, leader, pages, damage), pages, areas };
}

/** What KVM itself noted of the process that made a machine, where no task of it can be read. */
export function notedProcess(pid: number | undefined): GuestProcess | undefined {
  return pid === undefined ? undefined : { pid, comm: '', commandLine: [], name: undefined, uuid: undefined };
}

/** Pages of a process: addresses of its own are below 2^47. */
const PROCESS_PAGES = 2 ** 35;

function describe(view: KernelView, leader: Task, pagesOf: ProcessPages, damage: Damage[]): GuestProcess {
  const whole = { first: 0, pages: PROCESS_PAGES, processPage: 0, pagesOf };
  // Its stack may be in swap, too.
  const memory = new SlotMemory(view.memory.physical, [whole], new HostSwap(view));
  const bytes = (address: bigint, length: number): Uint8Array => memory.bytes(Number(address), length);
  const found = attempt(damage, `arguments of pid ${leader.pid}`, () => readArguments(view, leader, () => ({ bytes })));
  const commandLine = found?.arguments ?? [];
  return {
    pid: leader.tgid,
    comm: leader.comm,
    commandLine,
    name: guestNameOf(commandLine),
    uuid: optionOf(commandLine, 'uuid'),
  };
}
