/**
 * Keeps so many tasks going at once, and takes the results in the order of the tasks.
 * @param tasks is asked for the next task only when there is room for it, and after the results before were taken
 * @param run begins a task
 * @param take is given each result; the next one waits until it is done
 */
export async function inOrder<T, R>(
  tasks: Iterable<T>,
  depth: number,
  run: (task: T) => Promise<R>,
  take: (result: R, task: T) => void | Promise<void>,
): Promise<void> {
  const pending: { readonly task: T; readonly result: Promise<R> }[] = [];
  const takeFirst = async (): Promise<void> => {
    const first = pending.shift();
    if (first !== undefined) await take(await first.result, first.task);
  };
  try {
    for (const task of tasks) {
      pending.push({ task, result: run(task) });
      if (pending.length >= depth) await takeFirst();
    }
    while (pending.length > 0) await takeFirst();
  } catch (error) {
    // Whatever becomes of the others: the first error is the one that is told.
    for (const { result } of pending) result.catch(() => {});
    throw error;
  }
}
