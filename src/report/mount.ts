import { hex } from '../bytes/address.js';
import { type Damage, ExhumeError } from '../bytes/errors.js';
import { attempt } from '../kernel/collect.js';
import { rootOf } from '../kernel/filesystems/files.js';
import { type Mount, readMounts } from '../kernel/filesystems/mounts.js';
import { PathBuilder } from '../kernel/filesystems/paths.js';
import type { KernelView } from '../kernel/kernel-view.js';
import type { Task } from '../kernel/tasks/task.js';
import type { Struct } from '../kernel/types/struct.js';
import { requireView } from './kernel-view.js';
import { chooseTasks } from './processes.js';
import { taskName } from './ps.js';
import type { MountReport, MountsReport } from './schema/mount.js';
import type { Subject } from './subject.js';
import { damageOf } from './words.js';

export interface MountOptions {
  /** The task whose namespace to tell: a pid, address or name. */
  readonly task?: string | undefined;
  /** Only mounts with one of these: directories, devices, addresses of mount, superblock. */
  readonly only?: readonly string[];
}

/**
 * The mounts of the namespace of a task, by default of the first process.
 * Throws EXH_NO_KERNEL, EXH_NO_LAYOUT; EXH_USAGE for a task that there is not.
 */
export function buildMount(subject: Subject, { task: selector, only = [] }: MountOptions = {}): MountsReport {
  const view = requireView(subject);
  const list = chooseTasks(view, [selector ?? '1']);
  const task = list.tasks[0];
  if (task === undefined && selector !== undefined) {
    throw new ExhumeError('EXH_USAGE', `no task is ${selector}`, { found: selector });
  }
  const found: Damage[] = [];
  const struct =
    task === undefined ? view.variable('init_task', 'task_struct') : view.struct('task_struct', task.address);
  const namespace = namespaceOf(view, struct, task);
  const root = attempt(found, 'root directory', () => rootOf(new PathBuilder(view), struct));
  const mounts = readMounts(view, namespace, root, found).map(mountReport);
  const countPath = ['nr_mounts', 'mounts'].find((path) => namespace.type.field(path)?.kind === 'integer');
  const damage = damageOf(subject, [...list.damage, ...found]);
  const chosen = only.length === 0 ? mounts : mounts.filter((mount) => only.some((value) => isNamed(mount, value)));
  return {
    schema: 'exhume-mount/1',
    complete: damage.length === 0,
    namespace: hex(namespace.address),
    mountCount: countPath === undefined ? null : namespace.int(countPath),
    task: task === undefined ? null : taskName(task),
    mounts: chosen,
    damage,
  };
}

/** A task that has exited has given its namespaces back. */
function namespaceOf(view: KernelView, struct: Struct, task: Task | undefined): Struct {
  const proxy =
    struct.follow('nsproxy') ??
    (task?.pid === 1 ? view.variable('init_task', 'task_struct').follow('nsproxy') : undefined);
  const namespace = proxy?.follow('mnt_ns');
  if (namespace === undefined) {
    throw new ExhumeError('EXH_BAD_STRUCTURE', `task ${task?.pid ?? 0} has no mount namespace any more`, {
      address: struct.address,
      hint: 'a task that is exiting has given it back: ask for another one',
    });
  }
  return namespace;
}

function isNamed({ mount, superblock, device, directory }: MountReport, value: string): boolean {
  return [device, directory, mount, superblock].includes(value) || [mount, superblock].includes(`0x${value}`);
}

function mountReport({ address, superblock, seenAt, options, ...mount }: Mount): MountReport {
  return {
    mount: hex(address),
    superblock: hex(superblock),
    ...mount,
    seenAt: seenAt ?? null,
    options: [...options],
  };
}
