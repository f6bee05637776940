import { hex } from '../bytes/address.js';
import type { Damage } from '../bytes/errors.js';
import { collect } from '../kernel/collect.js';
import { readWaiters } from '../kernel/scheduling/wait-queue.js';
import { readTasks } from '../kernel/tasks/task-list.js';
import { parseAddress } from './address.js';
import { requireView } from './kernel-view.js';
import { taskName } from './ps.js';
import type { WaitqReport } from './schema/waitq.js';
import type { Subject } from './subject.js';
import { damageOf, symbolOf } from './words.js';

/** More waiters than there can be threads. */
const MOST_WAITERS = 1 << 22;

/**
 * Who waits on a wait queue. @param queue a symbol or the address of a `wait_queue_head`, or of a `swait_queue_head`
 * where `simple`. Throws EXH_USAGE for what is no address, EXH_NO_KERNEL, EXH_NO_LAYOUT.
 */
export function buildWaitq(subject: Subject, queue: string, simple = false): WaitqReport {
  const view = requireView(subject);
  const address = parseAddress(queue, view.kernel.symbols);
  const found: Damage[] = [];
  const list = readTasks(view);
  const waiters = collect(found, 'wait queue', readWaiters(view, list, address, simple), MOST_WAITERS);
  const damage = damageOf(subject, [...list.damage, ...found]);
  return {
    schema: 'exhume-waitq/1',
    complete: damage.length === 0,
    queue: hex(address),
    waiters: waiters.map(({ entry, task, exclusive, wake }) => ({
      entry: hex(entry),
      task: task === undefined ? null : taskName(task),
      exclusive,
      wake: wake === 0n ? null : hex(wake),
      symbol: wake === 0n ? null : symbolOf(view.kernel, wake),
    })),
    damage,
  };
}
