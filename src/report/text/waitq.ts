import type { WaitqReport } from '../schema/waitq.js';
import { symbolName } from './table-columns.js';
import { taskHeader } from './task.js';

export function* waitqText({ queue, waiters }: WaitqReport): Generator<string> {
  if (waiters.length === 0) yield `wait queue ${queue.slice(2)} is empty`;
  for (const { task, entry, symbol } of waiters) {
    yield task === null ? `${entry.slice(2)}  no task  <${symbolName(symbol)}>` : taskHeader(task);
  }
}
