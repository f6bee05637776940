import { hex } from '../bytes/address.js';
import { type Damage, ExhumeError } from '../bytes/errors.js';
import {
  type IpcObject,
  readMessageQueues,
  readSemaphores,
  readSharedMemory,
  type SharedMemory,
} from '../kernel/ipc/ipc.js';
import type { KernelView } from '../kernel/kernel-view.js';
import type { Task } from '../kernel/tasks/task.js';
import type { Struct } from '../kernel/types/struct.js';
import { requireView } from './kernel-view.js';
import { chooseTasks } from './processes.js';
import { taskName } from './ps.js';
import type { IpcsReport, SharedMemoryReport } from './schema/ipcs.js';
import type { Subject } from './subject.js';
import { damageOf, hexOrNull } from './words.js';

/** Which facilities to tell; all when none is named. */
export interface IpcsOptions {
  readonly sharedMemory?: boolean | undefined;
  readonly semaphores?: boolean | undefined;
  readonly messageQueues?: boolean | undefined;
  /** The task whose namespace to tell. */
  readonly namespace?: string | undefined;
}

/** Throws EXH_NO_KERNEL, EXH_NO_LAYOUT, EXH_NO_SYMBOL; EXH_USAGE for a namespace of a task that there is not. */
export function buildIpcs(subject: Subject, options: IpcsOptions = {}): IpcsReport {
  const view = requireView(subject);
  const found: Damage[] = [];
  const task = options.namespace === undefined ? undefined : taskNamed(view, options.namespace);
  const namespace = namespaceOf(view, task);
  const all = !(options.sharedMemory || options.semaphores || options.messageQueues);
  const wants = (option: boolean | undefined): boolean => all || option === true;
  const sharedMemory = wants(options.sharedMemory)
    ? readSharedMemory(view, namespace, found).map(sharedMemoryReport)
    : null;
  const semaphores = wants(options.semaphores)
    ? readSemaphores(view, namespace, found).map((one) => ({ ...common(one), semaphores: one.semaphores }))
    : null;
  const messageQueues = wants(options.messageQueues)
    ? readMessageQueues(view, namespace, found).map((one) => ({
        ...common(one),
        usedBytes: one.usedBytes,
        messages: one.messages,
      }))
    : null;
  const damage = damageOf(subject, found);
  return {
    schema: 'exhume-ipcs/1',
    complete: damage.length === 0,
    task: task === undefined ? null : taskName(task),
    sharedMemory,
    semaphores,
    messageQueues,
    damage,
  };
}

function taskNamed(view: KernelView, selector: string): Task {
  const task = chooseTasks(view, [selector]).tasks[0];
  if (task === undefined) throw new ExhumeError('EXH_USAGE', `no task is ${selector}`, { found: selector });
  return task;
}

function namespaceOf(view: KernelView, task: Task | undefined): Struct {
  if (task === undefined) return view.variable('init_ipc_ns', 'ipc_namespace');
  const namespace = view.struct('task_struct', task.address).follow('nsproxy')?.follow('ipc_ns');
  if (namespace !== undefined) return namespace;
  throw new ExhumeError('EXH_BAD_STRUCTURE', `task ${task.pid} has no IPC namespace any more`, {
    address: task.address,
  });
}

function sharedMemoryReport(one: SharedMemory): SharedMemoryReport {
  return {
    ...common(one),
    size: one.size,
    attached: one.attached,
    status: [...one.status],
    inode: hexOrNull(one.inode),
    pages: one.pages === undefined ? null : { ...one.pages },
  };
}

function common({ address, key, id, uid, permissions }: IpcObject) {
  return { address: hex(address), key: hex(key), id, uid, permissions: permissions.toString(8) };
}
