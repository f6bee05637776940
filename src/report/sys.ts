import type { Damage } from '../bytes/errors.js';
import { attempt } from '../kernel/collect.js';
import { readSystem, type SystemFacts } from '../kernel/devices/system.js';
import { clockIfAny } from '../kernel/interrupts/clock.js';
import { readTasks } from '../kernel/tasks/task-list.js';
import { crashOf } from './crash.js';
import { requireView } from './kernel-view.js';
import { logOf } from './log.js';
import type { SysReport } from './schema/sys.js';
import type { Subject } from './subject.js';
import { damageOf } from './words.js';

/** crash's first page. Throws EXH_NO_KERNEL, EXH_NO_LAYOUT. */
export function buildSys(subject: Subject, files: readonly string[]): SysReport {
  const view = requireView(subject);
  const { kernel } = view;
  const found: Damage[] = [];
  const facts = readSystem(view, found);
  const clock = clockIfAny(view);
  const list = attempt(found, 'task list', () => readTasks(view));
  found.push(...(list?.damage ?? []));
  const { report: crash } = crashOf(kernel, logOf(subject));
  const died = crash.kind !== 'none' && crash.kind !== 'unknown';
  const panic = crash.panicMessage === null ? crash.reason : `Kernel panic - not syncing: ${crash.panicMessage}`;
  const damage = damageOf(subject, found);
  return {
    schema: 'exhume-sys/1',
    complete: damage.length === 0,
    buildId: kernel.buildId ?? null,
    files: [...files],
    cpus: cpuCounts(facts),
    date: kernel.stoppedTime === undefined ? null : dateOf(kernel.stoppedTime),
    uptime: clock === undefined ? null : Number(clock.monotonic + clock.toBoot) / 1e9,
    loadAverage: facts.loadAverage === undefined ? null : [...facts.loadAverage],
    tasks: list?.tasks.length ?? null,
    nodeName: facts.nodeName ?? null,
    release: facts.release ?? null,
    version: facts.version ?? null,
    machine: facts.machine ?? null,
    megahertz: facts.kilohertz === undefined ? null : Math.floor(facts.kilohertz / 1000),
    memory: facts.memory ?? null,
    panic: died ? panic : null,
    damage,
  };
}

/** How many CPUs there are, and how many of them are not online. */
export function cpuCounts({ presentCpus, onlineCpus }: SystemFacts): SysReport['cpus'] {
  if (presentCpus === undefined || onlineCpus === undefined) return null;
  return { present: presentCpus, offline: Math.max(0, presentCpus - onlineCpus) };
}

/** Seconds since 1970 as ISO 8601; null for what no calendar has. */
function dateOf(seconds: number): string | null {
  const date = new Date(seconds * 1000);
  return Number.isNaN(date.getTime()) ? null : date.toISOString();
}
