import { hex } from '../bytes/address.js';
import type { Damage } from '../bytes/errors.js';
import { attempt } from '../kernel/collect.js';
import type { KernelView } from '../kernel/kernel-view.js';
import { type MemoryArea, readMemoryAreas } from '../kernel/memory/address-space.js';
import type { Task } from '../kernel/tasks/task.js';
import { TaskMemoryReader } from '../kernel/tasks/task-memory.js';
import { requireView } from './kernel-view.js';
import { chooseTasks } from './processes.js';
import { taskName } from './ps.js';
import type { MemoryAreaReport, TaskMemoryReport, VmReport } from './schema/vm.js';
import type { Subject } from './subject.js';
import { damageOf } from './words.js';

/** The address spaces of tasks, of every process by default. Throws EXH_NO_KERNEL, EXH_NO_LAYOUT, EXH_NO_SYMBOL. */
export function buildVm(subject: Subject, selectors: readonly string[] = []): VmReport {
  const view = requireView(subject);
  const found: Damage[] = [];
  const { all, tasks, unmatched, damage: listDamage } = chooseTasks(view, selectors);
  const memory = new TaskMemoryReader(view, all);
  const reports = tasks.map((task) => taskReport(view, task, memory, found));
  const damage = damageOf(subject, [...listDamage, ...found]);
  const complete = damage.length === 0 && unmatched.length === 0;
  return { schema: 'exhume-vm/1', complete, tasks: reports, unmatched, damage };
}

function taskReport(view: KernelView, task: Task, memory: TaskMemoryReader, damage: Damage[]): TaskMemoryReport {
  if (task.mm === 0n) return { task: taskName(task), mm: null, pgd: null, resident: 0, virtual: 0, areas: [] };
  const mm = view.struct('mm_struct', task.mm);
  const part = `memory of task ${task.pid}`;
  const pages = memory.of(task);
  const pageSize = view.memory.physical.pageSize;
  const pgd = attempt(damage, part, () => mm.pointer('pgd'));
  return {
    task: taskName(task),
    mm: hex(mm.address),
    pgd: pgd === undefined ? null : hex(pgd),
    resident: pages === undefined ? null : pages.resident * pageSize,
    virtual: pages === undefined ? null : pages.virtual * pageSize,
    areas: (attempt(damage, part, () => readMemoryAreas(view, mm, damage)) ?? []).map(areaReport),
  };
}

function areaReport({ address, start, end, ...area }: MemoryArea): MemoryAreaReport {
  return {
    area: hex(address),
    start: hex(start),
    end: hex(end),
    flags: hex(area.flags),
    permissions: area.permissions,
    offset: hex(area.offset),
    inode: String(area.inode),
    device: area.device ?? null,
    file: area.file ?? null,
    name: area.name ?? null,
  };
}
